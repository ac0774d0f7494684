"""The UDP link: what happens when either end moves, and when there is no network yet."""

import socket

from skerry_device.links import udp


class Names:
    """Stands in for socket's name service; the sockets are real."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    def __getattr__(self, name):
        return getattr(socket, name)

    def getaddrinfo(self, host, port, *more):
        self.asked += 1
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if answer is None:
            raise OSError(-2)
        return socket.getaddrinfo("127.0.0.1", answer, *more)


def end(names):
    """Return a socket that a link can reach, and its port."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for port in range(20_000, 60_000, 7):
        try:
            listening.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
            break
        except OSError:
            continue
    listening.settimeout(0.5)
    return listening, port


def linked(*answers):
    names = Names(*answers)
    udp.socket = names
    return names, udp.UdpLink("hub.example", 5683)


def test_datagrams():
    there, port = end(None)
    names, link = linked(port)
    link.send(b"up")
    data, address = there.recvfrom(100)
    assert data == b"up"
    there.sendto(b"down", address)
    assert link.receive(500) == b"down"
    assert (link.sent, link.received, names.asked) == (2, 4, 1)
    assert link.receive(1) is None
    link.close()
    there.close()


def test_answers_keep_the_socket():
    there, port = end(None)
    names, link = linked(port)
    for _ in range(20):
        link.send(b"up")
        there.sendto(b"down", there.recvfrom(100)[1])
        assert link.receive(500) == b"down"
    assert names.asked == 1
    link.close()
    there.close()


def test_the_hub_has_moved():
    """T15: the name leads to a stranger, who does not answer, and then to the hub."""
    stranger, old = end(None)
    there, new = end(None)
    names, link = linked(old, new)
    for _ in range(4):
        link.send(b"up")
        assert link.receive(1) is None
    link.send(b"up")
    there.sendto(b"down", there.recvfrom(100)[1])
    assert link.receive(500) == b"down"
    link.close()
    stranger.close()
    there.close()


def test_no_network_yet():
    """Each datagram tries the name again; what cannot be sent is lost, and waiting waits."""
    there, port = end(None)
    names, link = linked(None, None, port)
    for _ in range(2):
        link.send(b"lost")
        assert link.receive(20) is None
    link.send(b"up")
    assert there.recvfrom(100)[0] == b"up"
    assert (names.asked, link.sent) == (3, 2)
    link.close()
    there.close()


def test_a_name_that_is_gone_keeps_the_socket():
    there, port = end(None)
    names, link = linked(port, None)
    for _ in range(9):
        link.send(b"up")
        assert there.recvfrom(100)[0] == b"up"
    link.close()
    there.close()
