"""MicroPython's unix port as a board: behind a pseudo-terminal, with a file as its flash.

    python -m skerry_hub.flash.unix FOLDER      prints the terminal's path, and stays

It starts as a board does: boot.py, main.py, then the REPL; a soft reset is a new process. FOLDER
holds `chip`, its unique id, and `flash`, a littlefs image, each made if it is not there.
"""

import os
import pty
import secrets
import select
import signal
import subprocess
import sys
import termios
import threading
import tty
from contextlib import suppress
from pathlib import Path

from skerry_hub.tools import find_tool

_BLOCK, _BLOCKS = 4096, 256  # of the flash
_RAW = b"\x01"  # Ctrl-A: the raw REPL
_REBOOT = b"\r\nMPY: soft reboot\r\n"
# After an empty command the raw REPL ends with OK, the friendly one without.
_ENDED_RAW = b"OK\r\n"

_START = """
import os, sys
with open("/proc/self/fd/{ready}", "wb") as file:
    file.write(b"1")
class Flash:
    def __init__(self):
        self.file = open({flash!r}, "r+b")
        self.blank = not any(self.file.read({block}))
    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * {block} + offset)
        self.file.readinto(buffer)
    def writeblocks(self, block, buffer, offset=0):
        self.file.seek(block * {block} + offset)
        self.file.write(buffer)
    def ioctl(self, what, argument):
        if what == 3:
            self.file.flush()
        if what == 4:
            return {blocks}
        if what == 5:
            return {block}
        return 0
flash = Flash()
if flash.blank:
    os.VfsLfs2.mkfs(flash)
os.umount("/")
os.mount(os.VfsLfs2(flash), "/")
os.chdir("/")
import machine
class Board:
    reset = soft_reset = staticmethod(sys.exit)
    unique_id = staticmethod(lambda: bytes.fromhex({chip!r}))
for name in dir(machine):
    if not hasattr(Board, name):
        setattr(Board, name, getattr(machine, name))
sys.modules["machine"] = Board
sys.path[:] = ["", ".frozen", "/lib"]
del name, machine, Board, flash, Flash
def start(file):
    try:
        with open(file) as opened:
            program = opened.read()
    except OSError:
        return
    try:
        exec(compile(program, file, "exec"), globals())
    except SystemExit:
        raise
    except BaseException as error:
        sys.print_exception(error)
for file in {files!r}:
    start(file)
"""


class UnixBoard:
    """A board that is on from here to `close`; `port` is its serial line's path."""

    def __init__(self, folder: Path, heap: str = "256k") -> None:
        """Switch it on; a new folder is a new chip with a blank flash. Raises HubError."""
        self._interpreter = find_tool("micropython", "flash")
        folder.mkdir(parents=True, exist_ok=True)
        self.flash = folder / "flash"
        if not self.flash.exists():
            self.flash.write_bytes(bytes(_BLOCK * _BLOCKS))
        self._heap = heap
        chip = folder / "chip"
        if not chip.exists():
            chip.write_text(secrets.token_hex(8))
        self.chip = chip.read_text()
        self._host, host_end = pty.openpty()  # the line that others open
        self._line, self._board_end = pty.openpty()  # the board's own
        tty.setraw(host_end)
        self._host_end = host_end  # held open: whoever closes the line does not end it
        self.port = os.ttyname(host_end)
        self._on = True
        self._boot(raw=False)
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _boot(self, raw: bool) -> None:
        """Start the interpreter; into the raw REPL, which does without main.py."""
        settings = termios.tcgetattr(self._board_end)
        settings[0] &= ~(termios.ICRNL | termios.IXON)
        settings[1] &= ~termios.OPOST
        settings[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        settings[3] |= termios.ISIG  # Ctrl-C interrupts a program that runs
        termios.tcsetattr(self._board_end, termios.TCSANOW, settings)
        files = ["boot.py"] if raw else ["boot.py", "main.py"]
        ready, started = os.pipe()
        program = _START.format(
            ready=started, flash=str(self.flash.absolute()), block=_BLOCK,
            blocks=self.flash.stat().st_size // _BLOCK, chip=self.chip, files=files,
        )  # fmt: skip
        self._process = subprocess.Popen(  # noqa: S603 - our interpreter, our program
            [
                sys.executable, "-c", _LEAD, self._interpreter, "-X", f"heapsize={self._heap}",
                "-i", "-c", program,
            ],
            stdin=self._board_end, stdout=self._board_end, stderr=self._board_end,
            start_new_session=True, cwd="/", pass_fds=[started],
        )  # fmt: skip
        os.close(started)
        os.read(ready, 1)  # what comes before would end a process that has no handler yet
        os.close(ready)
        if raw:
            os.write(self._line, _RAW)

    def _carry(self) -> None:
        """Carry bytes both ways; start anew what has ended."""
        last = b""
        while self._on:
            ready = select.select([self._host, self._line], [], [], 0.05)[0]
            with suppress(OSError):  # it was switched off
                if self._host in ready:
                    os.write(self._line, os.read(self._host, 4096))
                if self._line in ready:
                    said = os.read(self._line, 4096)
                    os.write(self._host, said)
                    last = (last + said)[-len(_ENDED_RAW) :]
            if self._on and not ready and self._process.poll() is not None:
                os.write(self._host, _REBOOT)
                self._boot(raw=last == _ENDED_RAW)
                last = b""

    def close(self) -> None:
        """Cut its power."""
        self._on = False
        self._thread.join()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for each in (self._host, self._host_end, self._line, self._board_end):
            os.close(each)


# The terminal has to be the process's own one for Ctrl-C to reach it.
_LEAD = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


def main() -> None:
    """Run a board until SIGINT or SIGTERM."""
    board = UnixBoard(Path(sys.argv[1]))
    print(board.port, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        signal.pause()
    finally:
        board.close()


if __name__ == "__main__":
    main()
