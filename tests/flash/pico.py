"""The Pico that rp2040py emulates, for its --board-spec, with two of its faults put right.

Its ring oscillator always reads 1, and its UARTs raise their transmit interrupt for ever.
"""

import dataclasses
import secrets

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


class Chip(RP2040):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.peripherals[ROSC] = RingOscillator(self, "ROSC")


RPUART.check_interrupts = check_interrupts
board = dataclasses.replace(BOARDS["pico"], mcu=Chip, layout=FlashLayout(0xA0000, 352, 4096))
