"""A board in QEMU that runs the real firmware, and the bridge from its serial line to the hub.

    console: JSON lines     UART: slipmux  <->  UDP        memory: a file, so it survives a kill

The layout of the memory is that of boards/MPS2_AN385/psram.py.
"""

import json
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from skerry_hub.slipmux import Deframer, frame

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "build" / "firmware"
IMAGE = IMAGES / "mps2-an385.elf"
QEMU = shutil.which("qemu-system-arm")


def built(image: Path) -> bool:
    """Tell whether an image is there and no older than what it is made from."""
    folders = ("boards", "common/skerry", "device/skerry_device")
    made_from = [file for each in folders for file in (ROOT / each).rglob("*.*") if file.is_file()]
    made_from = [file for file in made_from if file.suffix not in (".md", ".pyc")]
    newest = max(file.stat().st_mtime for file in made_from)
    return image.exists() and image.stat().st_mtime >= newest


needs_firmware = pytest.mark.skipif(
    QEMU is None or not built(IMAGE), reason="needs QEMU and new images: boards/build.sh qemu"
)


def mps2_an385(memory: Path, image: Path = IMAGE) -> list[str | Path]:
    """Return QEMU's arguments for a Cortex-M3; its second UART is the link."""
    return [
        "-M", "mps2-an385,memory-backend=mem", "-kernel", image, "-serial", "stdio",
        "-object", f"memory-backend-file,id=mem,size=16M,mem-path={memory},share=on",
    ]  # fmt: skip


def without_cryptolib(memory: Path) -> list[str | Path]:
    """The same, its firmware built without AES."""
    return mps2_an385(memory, IMAGES / "mps2-an385-plain.elf")


def microbit(memory: Path) -> list[str | Path]:
    """A Cortex-M0: its one UART is the link, its memory is filled at the start and not kept."""
    with memory.open("rb") as file:
        (memory.parent / "loaded").write_bytes(file.read(OPTIONS + ROOM))
    return [
        "-M", "microbit", "-kernel", IMAGES / "microbit.elf",
        "-global", "nrf51-soc.flash-size=1048576", "-global", "nrf51-soc.sram-size=262144",
        "-device", "loader,file=loaded,addr=0x20030000,force-raw=on",
    ]  # fmt: skip


SLOT, BUNDLE, OPTIONS, ROOM, SIZE = 256, 512, 1024, 512, 16 << 20


def passing(direction: str, datagram: bytes) -> bytes | None:
    """Let everything pass."""
    return datagram


class Board:
    """One emulated board: its folder is what survives, a process is one time it is on.

    `machine` returns QEMU's arguments for it.
    `lines` are the JSON objects it printed, `noise` all other lines, `seen` the datagrams as
    (direction, bytes). `rule(direction, datagram)` returns what to send on, or None. `junk` is what
    the line brings before each frame to the board.
    """

    def __init__(
        self,
        folder: Path,
        hub: tuple[str, int] | None = None,
        rule: Callable[[str, bytes], bytes | None] = passing,
        machine: Callable[[Path], list[str | Path]] = mps2_an385,
    ) -> None:
        """Make a blank board."""
        self.folder = folder
        self.machine = machine
        self.hub = hub
        self.rule = rule
        self.junk = b""
        self.lines: list[dict] = []
        self.noise: list[str] = []
        self.seen: list[tuple[str, bytes]] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.psram = folder / "psram"
        with self.psram.open("wb") as file:
            file.truncate(SIZE)
        (folder / "noise").symlink_to("/dev/urandom")

    def provision(self, bundle: Path) -> None:
        """Write a bundle of the hub's to the board, as a programmer would."""
        slot = (bundle / "skerry.0").read_bytes()
        self.poke(0, slot)
        self.poke(BUNDLE, (bundle / "skerry.json").read_bytes().ljust(ROOM, b"\0"))

    def poke(self, offset: int, data: bytes) -> None:
        """Write to the PSRAM of a board that is off."""
        with self.psram.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def slots(self) -> bytes:
        """Return both slots, to compare and to put back."""
        with self.psram.open("rb") as file:
            return file.read(2 * SLOT)

    def power(self, *arguments: str, **options) -> "Board":
        """Switch it on; the options are main.py's, the arguments are QEMU's."""
        assert self.process is None or self.process.poll() is not None
        self.poke(OPTIONS, json.dumps(options).encode().ljust(ROOM, b"\0"))
        self.lines, self.noise = [], []
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [
                QEMU, *self.machine(self.psram), "-display", "none", "-monitor", "none",
                "-chardev", f"socket,id=link,fd={theirs.fileno()}", "-serial", "chardev:link",
                "-semihosting-config", "enable=on,target=native", *arguments,
            ],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, pass_fds=[theirs.fileno()],
        )  # fmt: skip
        theirs.close()
        self._threads = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._carry, args=(ours,), daemon=True),
        ]
        for each in self._threads:
            each.start()
        return self

    def _listen(self) -> None:
        for text in self.process.stdout:
            try:
                self.lines.append(json.loads(text))
            except ValueError:
                self.noise.append(text.decode(errors="replace").rstrip())

    def _carry(self, line: socket.socket) -> None:
        """Carry datagrams between the serial line and the hub until the board is off."""
        frames = Deframer()
        with line, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hub:
            if self.hub:
                hub.connect(self.hub)
            while True:
                for ready in select.select([line, hub] if self.hub else [line], [], [])[0]:
                    try:
                        got = ready.recv(2048)
                    except OSError:  # the hub is down, or the board was cut off
                        got = b"" if ready is line else None
                    if ready is hub and got is not None:
                        self._pass("down", got, lambda each: line.sendall(self.junk + frame(each)))
                    elif ready is line:
                        if not got:
                            return
                        for each in frames.feed(got):
                            self._pass("up", each.content, hub.send)

    def _pass(self, direction: str, datagram: bytes, send: Callable[[bytes], object]) -> None:
        self.seen.append((direction, datagram))
        passed = self.rule(direction, datagram)
        if passed is not None and self.hub:
            with suppress(OSError):  # lost, like any datagram
                send(passed)

    def kill(self) -> None:
        """Cut its power."""
        if self.process is not None:
            self.process.kill()
            self.finish(10)

    def finish(self, limit: float = 30) -> int:
        """Wait until it is off; return its exit status."""
        try:
            status = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        for each in self._threads:
            each.join(10)
        return status

    def until(self, event: str, limit: float = 30) -> dict:
        """Wait for a line; return it."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            for line in list(self.lines):
                if line["event"] == event:
                    return line
            if self.process.poll() is not None and not self._threads[0].is_alive():
                break
            time.sleep(0.002)
        raise AssertionError((event, self.lines[-3:], self.noise[-8:]))
