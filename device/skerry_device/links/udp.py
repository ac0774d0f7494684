"""UDP over IPv4 or IPv6, whichever the hub's name resolves to first."""

import socket


class UdpLink:
    """A connected socket: the stack itself drops datagrams of any other address."""

    def __init__(self, host: str, port: int) -> None:
        """Resolve the hub's name, which may block; raise OSError."""
        info = socket.getaddrinfo(host, port, 0, socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(info[0], socket.SOCK_DGRAM)
        self.socket.connect(info[-1])
        self.sent = self.received = 0

    def send(self, datagram: bytes) -> None:
        """Send, or lose: an ICMP error may be gone at the next transmission."""
        try:
            self.socket.send(datagram)
            self.sent += len(datagram)
        except OSError:
            pass

    def receive(self, timeout_ms: int) -> bytes | None:
        """Return a datagram, or None."""
        self.socket.settimeout(timeout_ms / 1000)
        try:
            datagram = self.socket.recv(1280)
            self.received += len(datagram)
            return datagram
        except OSError:  # time is up, or an ICMP error
            pass
        return None

    def close(self) -> None:
        """Free the socket."""
        self.socket.close()
