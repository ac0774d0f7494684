"""A running hub asked by the command line: a Unix socket in the data folder, for its owner alone.

A lone hub's is `control`; those of hubs that share its port are `control.2` and so on. One JSON
object a line, one line each way a connection: {"do": "poke", "device": "kitchen"} is answered by
{"ok": ...} or {"error": "one line"}.
"""

import asyncio
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from skerry_hub.errors import ControlError, HubError
from skerry_hub.files import locked

_MAX_LINE = 1 << 18  # bytes
_IDLE_S = 10.0  # until a caller that says nothing is left
_LOOK_S = 0.2  # until it is asked again which hub a device is with

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class Control:
    """The hub's end; `handlers` are by what callers ask to `do`.

    With `share` there may be others, which then have sockets of other names.
    """

    def __init__(self, path: Path, handlers: dict[str, Handler], share: bool = False) -> None:
        self._path = path
        self._handlers = handlers
        self._share = share
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raise ControlError if another hub does that does not share."""
        with locked(self._path.parent):
            if not self._share and alive(self._path):
                raise ControlError(f"another hub runs on {self._path.parent}: end that one first")
            self._path = next(each for each in _names(self._path) if not _listens(each))
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listening = _bound(self._path)
                listening.listen()
            finally:
                os.umask(before)
        self._server = await asyncio.start_unix_server(
            self._answer, sock=listening, limit=_MAX_LINE
        )

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._path.unlink(missing_ok=True)  # before another process may take the name
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_IDLE_S):
                line = await reader.readline()
            answer = await self._do(line)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, OSError, ValueError):  # it went away, or said too much
            pass
        finally:
            writer.close()

    async def _do(self, line: bytes) -> dict[str, Any]:
        try:
            said = json.loads(line)
            handler = self._handlers[said["do"]]
        except (ValueError, KeyError, TypeError):
            return {"error": "the running hub does not know this command: start it anew"}
        try:
            return {"ok": await handler(said)}
        except HubError as error:
            return {"error": str(error)}


def ask(path: Path, request: dict[str, Any], timeout: float) -> Any:
    """Ask the running hub and return what it answers; raise ControlError.

    `timeout` is in seconds; the hub should give up before.
    """
    try:
        with _connected(path) as calling, calling.makefile("rwb") as stream:
            calling.settimeout(timeout)
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline(_MAX_LINE))
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(f"no hub runs on {path.parent}: start one with skerry run") from None
    except (OSError, ValueError):
        raise ControlError(f"the hub that runs on {path.parent} does not answer") from None
    if "error" in answer:
        raise ControlError(answer["error"])
    return answer["ok"]


def ask_all(path: Path, request: dict[str, Any], timeout: float) -> list[Any]:
    """Ask all hubs that run on a data folder and return what they answer; raise ControlError."""
    return [ask(each, request, timeout) for each in running(path) or [path]]


def holder(path: Path, device: str, within: float) -> tuple[Path, float]:
    """Return the hub that a device is in a session with, and how many seconds are left.

    If there are several and it is with none of them, it is asked for a new session. A lone hub
    does that by itself. Raises ControlError.
    """
    hubs, end, poked = running(path), time.monotonic() + within, False
    while len(hubs) > 1:
        for each in hubs:
            if ask(each, {"do": "holds", "device": device}, _IDLE_S):
                return each, end - time.monotonic()
        if not poked:
            ask(hubs[0], {"do": "poke", "device": device}, _IDLE_S)
            poked = True
        if time.monotonic() > end:
            raise ControlError(f"{device} does not connect: try again when it is in reach")
        time.sleep(_LOOK_S)
        hubs = running(path)
    return (hubs or [path])[0], end - time.monotonic()


def _at(folder: int, path: Path) -> str:
    """Name a socket through its open folder: a Unix socket's own path has at most 107 bytes."""
    return f"/proc/self/fd/{folder}/{path.name}"


def _bound(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listening.bind(_at(folder, path))
    except OSError as error:
        listening.close()
        raise ControlError(f"cannot listen on {path}: {error.strerror}") from None
    finally:
        os.close(folder)
    return listening


def _connected(path: Path) -> socket.socket:
    """Return a connection; raise OSError."""
    calling = socket.socket(socket.AF_UNIX)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        calling.connect(_at(folder, path))
    except OSError:
        calling.close()
        raise
    finally:
        os.close(folder)
    return calling


def running(path: Path) -> list[Path]:
    """Return the sockets of all hubs that run on a data folder, by the name of a lone hub's."""
    beside = sorted(path.parent.glob(f"{path.name}.*"))
    return [each for each in (path, *beside) if _listens(each)]


def alive(path: Path) -> bool:
    """Tell whether a hub runs there."""
    return bool(running(path))


def _names(path: Path) -> Iterator[Path]:
    yield path
    for number in count(2):
        yield path.with_name(f"{path.name}.{number}")


def _listens(path: Path) -> bool:
    try:
        _connected(path).close()
    except OSError:
        return False
    return True
