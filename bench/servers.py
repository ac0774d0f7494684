"""Server processes on a core of their own, and their processor time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = 1, 0


def resident(pid: int) -> int:
    """Return the memory that a process holds, in bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


class Server:
    """A running process; `cpu()` is the processor time it has used so far, in seconds."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
        )

    def cpu(self) -> float:
        """Of all threads, user and system, to the nanosecond."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return (
            sum(int((each / "schedstat").read_text().split()[0]) for each in tasks.iterdir()) / 1e9
        )

    def resident(self) -> int:
        """Return the memory it holds, in bytes."""
        return resident(self.process.pid)

    def line(self) -> str:
        """Return its next line of output."""
        return self.process.stdout.readline()


@contextmanager
def server(command: list[str], ready: float | None = None) -> Iterator[Server]:
    """Run a process; it is ready after its first line, or after so many seconds."""
    running = Server(command)
    try:
        if ready is None:
            running.greeting = running.line()
            assert running.greeting, f"{command[0]} did not start"
        else:
            time.sleep(ready)
        yield running
    finally:
        running.process.send_signal(signal.SIGINT)
        try:
            running.process.wait(10)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
        running.process.stdout.close()
