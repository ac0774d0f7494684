"""Devices with sockets of their own, each in a thread: they do what `connect()` and `post()` do."""

import socket
import threading
import time

from desk import DeskDevice

from skerry import coap

WAIT_S = 0.4
SENT = 3  # times, each datagram
LOST_S = 90.0  # after that a device counts as locked out


class Walker(threading.Thread):
    """Posts a number again and again. `answered` are those of which it was told that they count."""

    def __init__(self, name: str, device: DeskDevice, addresses: list[tuple[str, int]]) -> None:
        super().__init__(daemon=True)
        self.name, self.device, self.addresses = name, device, addresses
        self.answered: list[bytes] = []
        self.secrets: list[bytes] = []
        self.recoveries = self.refused = 0
        self.longest = 0.0  # without an answer, in seconds
        self.failed: BaseException | None = None
        self._ends = threading.Event()
        self._posts = self._asked = 0

    def run(self) -> None:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as self.wire:
                self.wire.settimeout(WAIT_S)
                self._walk()
        except BaseException as error:
            self.failed = error

    def _walk(self) -> None:
        last, connected = time.monotonic(), False
        while not self._ends.is_set():
            connected = (connected or self._connect()) and self._post()
            now = time.monotonic()
            if connected:
                self.longest, last = max(self.longest, now - last), now
            assert now - last < LOST_S, f"{self.name} is locked out"

    def _ask(self, datagram: bytes) -> bytes | None:
        """Send until somebody answers this very message; each hub in turn."""
        message = coap.decode(datagram)
        self._asked += 1
        message.token = self._asked.to_bytes(4, "big")
        datagram = coap.encode(message)
        for _ in range(SENT):
            self.wire.sendto(datagram, self.addresses[0])
            end = time.monotonic() + WAIT_S
            while time.monotonic() < end:
                try:
                    answer = self.wire.recv(2048)
                except OSError:  # nobody, or nobody's port
                    continue
                if coap.decode(answer).token == message.token:
                    return answer
            self.addresses.append(self.addresses.pop(0))
        return None

    def _connect(self) -> bool:
        for recover in (False, True):
            answer = self._ask(self.device.attempt(recover))
            if answer is not None:
                self.device.accept([answer])
                self.secrets.append(self.device.session.secret)
                self.recoveries += recover
                return True
        return False

    def _post(self) -> bool:
        self._posts += 1
        payload = f"{self.name}-{self._posts}".encode()
        answer = self._ask(self.device.request(payload))
        if answer is None:
            return False
        if coap.decode(answer).code == coap.UNAUTHORIZED:  # this hub does not know the session
            self.refused += 1
            return False
        assert self.device.response([answer]).code == coap.CHANGED
        self.answered.append(payload)
        if self._posts % 7 == 0:  # now and then it wants a new one
            return False
        time.sleep(0.005)
        return True

    def end(self) -> None:
        self._ends.set()
        self.join(30)
        if self.failed is not None:
            raise self.failed
