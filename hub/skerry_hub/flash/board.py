"""One board on a serial line: its raw REPL, through mpremote, and what on_board.py does there.

Nothing that a board says is trusted: answers have a limit in time and size, and are checked.
"""

import contextlib
import io
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial import SerialException

from skerry_hub.errors import BoardError

_SLOW = float(os.environ.get("SKERRY_SLOW") or 1)  # for boards that are emulated slowly
ATTENTION_S = 40.0 * _SLOW  # how long a board that does something else is interrupted
_ANSWER_S = 60.0 * _SLOW
_BANNER_S = 10.0 * _SLOW
_LONGEST = 65536  # characters of an answer
_INTERRUPTS = 50
_PROGRAM = Path(__file__).with_name("on_board.py")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Firmware:
    """What a board says of itself. `mpy` is the version of its bytecode."""

    version: str
    mpy: int
    machine: str
    board: str
    chip: str
    missing: list[str]


class _Line(SerialTransport):  # type: ignore[misc]
    """mpremote's transport, with more time: flash may be erased before a file is written."""

    def exec_raw(
        self, command: str | bytes, timeout: float = _ANSWER_S, data_consumer: Any = None
    ) -> Any:
        """Run a program and return its output and errors."""
        return super().exec_raw(command, timeout, data_consumer)


class Board:
    """A board in its raw REPL. Every method raises BoardError if the board does not do it."""

    def __init__(self, port: str, attention_s: float = ATTENTION_S) -> None:
        """Interrupt whatever it does, and take it over."""
        self.port = port
        self._transport: _Line | None = None
        try:
            self._take_over(attention_s)
            self._run(_PROGRAM.read_text())
        except BoardError:
            self.close()
            raise

    def _take_over(self, limit_s: float) -> None:
        """Enter the raw REPL: after a soft reset that skips main.py, or else without one."""
        end = time.monotonic() + limit_s
        soft_reset = True
        while True:
            try:
                self._open()
                self._interrupt()
                with contextlib.redirect_stdout(io.StringIO()):  # mpremote prints what it got
                    self._line.enter_raw_repl(soft_reset=soft_reset, timeout_overall=_BANNER_S)
                    self._line.exec("pass")  # nothing at all would be a soft reset
            except (TransportError, SerialException, OSError):
                self.close()  # a board that resets takes its port away
            else:
                return
            if time.monotonic() > end:
                raise BoardError(
                    f"the board on {self.port} does not stop what it is doing: it catches Ctrl-C"
                    " or has no MicroPython; hold its boot button at power-on and install"
                    " MicroPython anew"
                )
            soft_reset = not soft_reset
            time.sleep(0.2)

    def _open(self) -> None:
        try:
            mode = Path(self.port).stat().st_mode
        except OSError:
            mode = None
        if mode is not None and stat.S_ISCHR(mode) and not os.access(self.port, os.R_OK | os.W_OK):
            raise BoardError(f"no permission for {self.port}: {permission_remedy(self.port)}")
        self._transport = _Line(self.port, timeout=_BANNER_S)

    def _interrupt(self) -> None:
        """Press Ctrl-C, until a program that catches it is caught between two tries."""
        for _ in range(_INTERRUPTS):
            self._line.serial.write(b"\x03")
            time.sleep(0.002)
        self._line.serial.reset_input_buffer()

    @property
    def _line(self) -> _Line:
        if self._transport is None:
            raise BoardError(f"the board on {self.port} is gone: plug it in and run this again")
        return self._transport

    @contextmanager
    def _edge(self) -> Iterator[None]:
        """Turn what goes wrong on the line into BoardError."""
        try:
            yield
        except TransportExecError as error:
            raise BoardError(f"{self.port}: {_last_line(error.error_output)}") from None
        except (TransportError, SerialException, OSError, UnicodeDecodeError) as error:
            raise BoardError(
                f"the board on {self.port} stopped answering ({_last_line(str(error))}):"
                " run this again, it goes on where it was"
            ) from None

    def _run(self, program: str, limit_s: float = _ANSWER_S) -> str:
        """Run a program and return what it printed."""
        with self._edge():
            line = self._line
            line.exec_raw_no_follow(program)
            parts = []
            for _ in ("output", "error"):
                part = line.read_until(1, b"\x04", timeout=limit_s, timeout_overall=limit_s)
                if not part.endswith(b"\x04") or len(part) > _LONGEST:
                    raise TransportError("no end of its answer")
                parts.append(bytes(part[:-1]))
            if parts[1]:
                raise TransportExecError(parts[0], parts[1].decode("utf-8", "replace"))
            return parts[0].decode()

    def call(self, name: str, *arguments: object) -> dict[str, Any]:
        """Call a function of on_board.py; return what it told, {} if nothing."""
        said = self._run(f"{name}{arguments!r}").strip()
        if not said:
            return {}
        try:
            told = json.loads(said.splitlines()[-1])
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise BoardError(f"the board on {self.port} answers what was not asked: reset it")
        return told

    def firmware(self) -> Firmware:
        """Ask what runs there, on which chip."""
        told = self.call("tell_board")
        try:
            major, minor, patch = (int(each) for each in told["version"])
            return Firmware(
                f"{major}.{minor}.{patch}",
                int(told["mpy"]) & 0xFF,
                printable(told["machine"]),
                printable(told["board"]),
                bytes.fromhex(told["chip"]).hex(),
                [printable(each) for each in told["missing"]],
            )
        except (KeyError, TypeError, ValueError):
            raise BoardError(
                f"the board on {self.port} does not say what it is: reset it"
            ) from None

    def write(self, path: str, content: bytes, progress: Progress | None = None) -> None:
        """Write a file, then put it in its place: what was there stays until it is whole."""
        self.call("folders", path)
        with self._edge():
            self._line.fs_writefile(path + ".new", content, progress_callback=progress)
        self.call("put", path)

    def restart(self) -> None:
        """Start it anew, with its main.py."""
        with self._edge():
            line = self._line
            line.exit_raw_repl()
            line.read_until(1, b">>> ", timeout_overall=_BANNER_S)
            line.serial.write(b"\x04")
            line.read_until(1, b"soft reboot\r\n", timeout_overall=_BANNER_S)
        self.close()

    def close(self) -> None:
        """Let go of the line."""
        if self._transport is not None:
            with suppress(OSError, SerialException):
                self._transport.close()
            self._transport = None


@contextmanager
def opened(port: str, attention_s: float = ATTENTION_S) -> Iterator[Board]:
    """Take a board over for a while."""
    board = Board(port, attention_s)
    try:
        yield board
    finally:
        board.close()


def permission_remedy(port: str) -> str:
    """Say how to get access to a serial port."""
    import grp

    try:
        group = grp.getgrgid(Path(port).stat().st_gid).gr_name
    except (KeyError, OSError):
        group = "dialout"
    return f"run sudo usermod -a -G {group} $USER, then log out and in"


def printable(value: object) -> str:
    """Return a text of a board's as a terminal may show it: 80 characters at most."""
    return "".join(each for each in str(value) if each.isprintable())[:80]


def _last_line(text: str) -> str:
    return printable((text.strip().splitlines() or ["no reason given"])[-1])
