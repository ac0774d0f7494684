"""The hub's sockets: two queues for one port, and answers that leave together."""

import asyncio
import socket

import pytest

from skerry_hub import lanes, udp
from skerry_hub.errors import HubError

MESSAGE_1 = bytes((0x50 | 1, 2, 0, 1)) + b"t\xb1k\xff" + bytes(23)
REQUEST = bytes((0x40 | 1, 2, 0, 2)) + b"t\x95\x08kid\xff" + bytes(20)


class Hub:
    """Sockets in a loop, and what came by them."""

    def __init__(self, address=("127.0.0.1", 0), share: bool = False) -> None:
        self.batches: list[list[udp.Datagram]] = []
        self.sockets = udp.Sockets([address], self.receive, share)
        self.address = self.sockets.addresses[0]

    def receive(self, batch: list[udp.Datagram]) -> None:
        self.batches.append(batch)

    async def turn(self) -> list[udp.Datagram]:
        """Receive for a moment and return what came."""
        self.sockets.start()
        await asyncio.sleep(0.05)
        self.sockets.stop()
        return [each for batch in self.batches for each in batch]


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(2)
        yield opened


def in_loop(test):
    """Run a test in a loop, with a hub."""

    def run(peer):
        async def main():
            hub = Hub()
            try:
                await test(hub, peer)
            finally:
                hub.sockets.close()

        asyncio.run(main())

    return run


@in_loop
async def test_messages_1_come_by_a_queue_of_their_own(hub, peer):
    others = (REQUEST, b"", b"\x40", MESSAGE_1[:6], b"\x60\x44\0\1", b"\x50\x03" + MESSAGE_1[2:])
    for token in (b"", b"t", b"token678"):
        head = bytes((0x40 | len(token), 2, 0, 1)) + token
        peer.sendto(head + b"\xb1k\xff" + bytes(23), hub.address)
    for each in others:
        peer.sendto(each, hub.address)
    came = await hub.turn()
    (first, second), queues = hub.sockets._sockets[0], {}
    for datagram, path in came:
        queues.setdefault(path.socket, []).append(datagram)
    assert len(queues[second]) == 3
    assert queues[first] == list(others)


@in_loop
async def test_a_flood_of_messages_1_drops_messages_1_alone(hub, peer):
    for _ in range(60_000):  # more than a queue holds, while nobody reads
        peer.sendto(MESSAGE_1, hub.address)
    peer.sendto(REQUEST, hub.address)
    came = [datagram for datagram, _ in await hub.turn()]
    assert came.count(REQUEST) == 1
    assert REQUEST in [datagram for datagram, _ in hub.batches[0]]
    assert len(came) < 60_001


@in_loop
async def test_answers_of_a_batch_leave_together(hub, peer):
    """None before all is done; and all, although one thing went wrong."""
    peer.settimeout(0)
    waiting = []

    def receive(batch):
        for datagram, path in batch:
            path.send(datagram)
            try:
                waiting.append(peer.recv(100))
            except BlockingIOError:
                waiting.append(b"")
        raise RuntimeError("unforeseen")

    hub.sockets._receive = receive
    peer.sendto(b"1", hub.address)
    peer.sendto(b"2", hub.address)
    asyncio.get_running_loop().set_exception_handler(lambda loop, said: None)
    await hub.turn()
    assert waiting == [b"", b""]
    assert [peer.recv(100), peer.recv(100)] == [b"1", b"2"]
    path = hub.sockets.path_to(peer.getsockname())
    path.send(b"3")  # outside of a batch: at once
    assert peer.recv(100) == b"3"


@in_loop
async def test_two_hubs_do_not_share_a_port(hub, peer):
    with pytest.raises(HubError, match="choose another with --listen"):
        udp.Sockets([hub.address], hub.receive)


@in_loop
async def test_hubs_that_share_a_port_get_a_part_of_everything(hub, peer):
    """Also after a hub that had it alone: its program does not go on to tell messages apart."""
    address = hub.address
    shared = [Hub(address, share=True), Hub(address, share=True)]
    hub.sockets.close()
    for number in range(64):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            device.sendto((MESSAGE_1, REQUEST)[number % 2], address)
    for each in shared:
        came = {datagram for datagram, _ in await each.turn()}
        assert came == {MESSAGE_1, REQUEST}
        each.sockets.close()


def test_a_kernel_without_such_programs_has_one_queue(peer, monkeypatch, caplog):
    monkeypatch.setattr(lanes, "_SO_ATTACH_REUSEPORT_CBPF", 9999)

    async def main():
        hub = Hub()
        for each in (MESSAGE_1, REQUEST):
            peer.sendto(each, hub.address)
        assert [datagram for datagram, _ in await hub.turn()] == [MESSAGE_1, REQUEST]
        assert [len(each) for each in hub.sockets._sockets] == [1]
        hub.sockets.close()

    asyncio.run(main())
    assert "can hold up sessions" in caplog.text
