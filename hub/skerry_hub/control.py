"""A running hub asked by the command line: a Unix socket in the data folder, for its owner alone.

One JSON object a line, one line each way a connection: {"do": "poke", "device": "kitchen"} is
answered by {"ok": ...} or {"error": "one line"}.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from skerry_hub.errors import ControlError, HubError

_MAX_LINE = 1 << 18  # bytes
_IDLE_S = 10.0  # until a caller that says nothing is left

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class Control:
    """The hub's end; `handlers` are by what callers ask to `do`."""

    def __init__(self, path: Path, handlers: dict[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; raise ControlError if another hub does."""
        if alive(self._path):
            raise ControlError(f"another hub runs on {self._path.parent}: end that one first")
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listening = _bound(self._path)
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(
            self._answer, sock=listening, limit=_MAX_LINE
        )

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

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


def alive(path: Path) -> bool:
    """Tell whether a hub listens there."""
    try:
        _connected(path).close()
    except OSError:
        return False
    return True
