"""The Pico that rp2040py emulates, for its --board-spec, with two of its faults put right.

Its ring oscillator always reads 1, and its UARTs raise their transmit interrupt for ever. UART 1
comes out at a pseudo-terminal, which PICO_UART is the link to.
"""

import asyncio
import dataclasses
import os
import pty
import secrets
import tty
from contextlib import suppress

from rp2040py.boards import BOARDS, FlashLayout
from rp2040py.peripherals.peripheral import BasePeripheral
from rp2040py.peripherals.uart import RPUART
from rp2040py.rp2040 import RP2040

ROSC = 0x40060
RANDOM_BIT = 0x1C


class RingOscillator(BasePeripheral):
    """Random, at least."""

    def read_uint32(self, offset):
        return secrets.randbits(1) if offset == RANDOM_BIT else 0

    def write_uint32(self, offset, value):
        pass


def check_interrupts(self):
    self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))


RPUART.check_interrupts = check_interrupts


class Chip(RP2040):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.peripherals[ROSC] = RingOscillator(self, "ROSC")
        self.coming = bytearray()
        self.line, end = pty.openpty()
        tty.setraw(end)
        link = os.environ["PICO_UART"]
        with suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(os.ttyname(end), link)
        self.uart[1].on_byte = lambda byte: os.write(self.line, bytes((byte,)))
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.line, lambda: self.coming.extend(os.read(self.line, 4096)))
        self.feed()

    def feed(self):
        while self.coming and not self.uart[1].rx_fifo.full:
            self.uart[1].feed_byte(self.coming.pop(0))
        self.loop.call_later(0.001, self.feed)


board = dataclasses.replace(BOARDS["pico"], mcu=Chip, layout=FlashLayout(0xA0000, 352, 4096))
