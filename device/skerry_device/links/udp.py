"""UDP over IPv4 or IPv6, whichever the hub's name resolves to first."""

import socket


class UdpLink:
    """A connected socket: the stack itself drops datagrams of any other address.

    Each fourth datagram in a row without an answer resolves the name again and takes a new
    `socket`: either end may have moved.
    """

    def __init__(self, host: str, port: int) -> None:
        """Resolve nothing yet."""
        self._address = host, port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sent = self.received = self._unanswered = 0

    def send(self, datagram: bytes) -> None:
        """Send, or lose: an ICMP error may be gone at the next transmission.

        Resolving the hub's name may block.
        """
        try:
            if not self._unanswered & 3:
                info = socket.getaddrinfo(*self._address, 0, socket.SOCK_DGRAM)[0]
                self.close()
                self.socket = socket.socket(info[0], socket.SOCK_DGRAM)
                self.socket.connect(info[-1])
            self._unanswered += 1
        except OSError:  # no name service: the address of before may still do
            pass
        try:
            self.socket.send(datagram)
            self.sent += len(datagram)
        except OSError:
            pass

    def receive(self, timeout_ms: int) -> bytes | None:
        """Return a datagram, or None."""
        self.socket.settimeout(timeout_ms / 1000)
        try:
            datagram = self.socket.recv(640)
            self.received += len(datagram)
            self._unanswered = 1
            return datagram
        except OSError:  # time is up, or an ICMP error
            pass
        return None

    def close(self) -> None:
        """Free the socket."""
        self.socket.close()
