"""A device in CPython on a real UDP socket, for what the hub starts by itself."""

import socket
import subprocess
import threading
import time

from desk import DeskDevice, empty

from skerry import coap


class Peer(DeskDevice):
    """Keeps all that it sent and heard. Whatever it waits for has to come within 10 s."""

    def __init__(self, hub, name: str) -> None:
        super().__init__(hub.enroll(name))
        self.hub = hub.address
        self.sent: list[bytes] = []
        self.heard: list[bytes] = []
        self.move()

    def move(self) -> None:
        """Take another port, as behind a NAT that forgot its mapping."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)
        self.socket.sendto(datagram, self.hub)

    def receive(self) -> bytes:
        self.heard.append(self.socket.recv(2048))
        return self.heard[-1]

    def silent(self, seconds: float) -> bool:
        """Tell whether nothing comes for a while."""
        self.socket.settimeout(seconds)
        try:
            self.receive()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(10)
        return False

    def round_trip(self, datagram: bytes) -> bytes:
        self.send(datagram)
        return self.receive()

    def join(self) -> None:
        """Make a handshake, and confirm it."""
        self.accept([self.round_trip(self.attempt())])
        assert self.post().code == coap.CHANGED

    def post(self, payload: bytes = b"21") -> coap.Message:
        return self.response([self.round_trip(self.request(payload))])

    def acknowledge(self, datagram: bytes) -> None:
        self.send(empty(coap.ACK, coap.decode(datagram).mid))

    def serve(self, reply, requests: int = 1) -> threading.Thread:
        """Answer requests of the hub in the background: `reply(request)` -> (code, payload)."""

        def run() -> None:
            for _ in range(requests):
                request, binding = self.asked(self.receive())
                code, payload = reply(request)
                self.send(self.answer(request, binding, payload, code))

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def until(condition, limit: float = 10.0) -> float:
    """Wait for a condition; return how long that took, in seconds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < limit
        time.sleep(0.02)
    return time.monotonic() - start


def said(hub, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command for people and return what it printed."""
    command = [each for each in hub.command(*arguments) if each != "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    return done
