"""skerry gateway PORT...: boards on serial lines talk to a hub over UDP.

    board -- UART, slipmux --> this machine -- UDP, a socket for each board --> hub

It sees what any router sees: sessions are end to end. A board that is unplugged comes back when it
is plugged in again.
"""

import argparse
import json
import logging
import select
import socket
import sys
import threading
from collections import Counter

from serial import Serial, SerialException

from skerry_hub.config import Config
from skerry_hub.errors import HubError
from skerry_hub.slipmux import COAP, Deframer, frame

_RETRY_S = 1.0
_READ = 4096

log = logging.getLogger(__name__)


class Line:
    """One serial line and its socket; `counts` has the datagrams, up and down."""

    def __init__(self, port: str, baud: int, hub: tuple[str, int]) -> None:
        """Open both; raise HubError."""
        self.port = port
        self.counts: Counter[str] = Counter()
        self._baud = baud
        self._stop, self._stopped = socket.socketpair()
        try:
            family, kind, proto, _, address = socket.getaddrinfo(*hub, type=socket.SOCK_DGRAM)[0]
            self._hub = socket.socket(family, kind, proto)
            self._hub.connect(address)
        except OSError as error:
            raise HubError(f"no way to the hub at {hub[0]} port {hub[1]}: {error}") from None
        self._serial: Serial | None = self._open()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _open(self) -> Serial:
        try:
            return Serial(self.port, self._baud, timeout=0, exclusive=True)
        except (SerialException, OSError) as error:
            raise HubError(f"{self.port}: {getattr(error, 'strerror', None) or error}") from None

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._stop.send(b"x")
        self._thread.join()
        for each in (self._hub, self._stop, self._stopped):
            each.close()
        if self._serial is not None:
            self._serial.close()

    def _run(self) -> None:
        while True:
            try:
                if self._serial is None:
                    self._serial = self._open()
                    log.info("%s is back", self.port)
                if not self._carry(self._serial):
                    return
            except (HubError, SerialException, OSError) as error:
                if self._serial is not None:
                    log.warning("%s is gone: %s", self.port, error)
                    self._serial.close()
                self._serial = None
                if select.select([self._stopped], [], [], _RETRY_S)[0]:
                    return

    def _carry(self, line: Serial) -> bool:
        """Carry until somebody stops it, which returns False; raise if the line fails."""
        frames = Deframer()
        while True:
            ready = select.select([self._stopped, line, self._hub], [], [])[0]
            if self._stopped in ready:
                return False
            if line in ready:
                got = line.read(_READ)
                if not got:
                    raise SerialException("unplugged")
                for kind, content in frames.feed(got):
                    self._up(kind, content)
            if self._hub in ready:
                self._down(line)

    def _up(self, kind: int, content: bytes) -> None:
        if kind != COAP:
            text = content.decode("utf-8", "replace")
            log.info("%s: %s", self.port, "".join(c for c in text if c.isprintable())[:200])
            return
        try:
            self._hub.send(content)
            self.counts["up"] += 1
        except OSError as error:  # the hub is down: lost, like any datagram
            log.debug("to the hub: %s", error)

    def _down(self, line: Serial) -> None:
        try:
            datagram = self._hub.recv(_READ)
        except OSError as error:  # an ICMP error of an earlier datagram
            log.debug("from the hub: %s", error)
            return
        line.write(frame(datagram))
        self.counts["down"] += 1


def run(config: Config, args: argparse.Namespace) -> int:
    """Carry until SIGINT or SIGTERM."""
    import signal

    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    hub = config.address or config.reachable
    lines = [Line(port, args.baud, hub) for port in args.port]
    said = {"hub": list(hub), "ports": args.port}
    print(
        json.dumps(said) if config.json else f"{', '.join(args.port)} <-> {hub[0]} port {hub[1]}"
    )
    sys.stdout.flush()
    for each in lines:
        each.start()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(0.2):
        pass
    for each in lines:
        each.close()
    return 0
