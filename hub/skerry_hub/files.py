"""Files and folders of the hub's own: private, durable, one process at a time, and destroyed."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, synced to the disk; raise OSError."""
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def beside(path: Path, end: str) -> Path:
    """Return the path of a file's name with an end to it."""
    return path.with_name(path.name + end)


def destroy(path: Path) -> None:
    """Overwrite a file, if there is one, and remove it; a flash disk may keep a copy.

    If it has another name, too, it stays as it is under that one.
    """
    if path.exists():
        if path.stat().st_nlink == 1:
            with path.open("r+b") as opened:
                opened.write(bytes(path.stat().st_size))
                opened.flush()
                os.fsync(opened.fileno())
        path.unlink()
        synced(path.parent)


def synced(folder: Path) -> None:
    """Make durable which files are in a folder."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Take turns with other processes that ask; a killed one holds nothing up."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def hold(path: Path) -> int | None:
    """Hold a file for as long as what is returned is open; None if another process does.

    A killed one holds it no more. The file stays: of two with its name, two could hold one each.
    Raises OSError.
    """
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return file


def keep_from_git(folder: Path) -> None:
    """Have git take nothing of a folder."""
    (folder / ".gitignore").write_text("*\n")
