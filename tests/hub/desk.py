"""A hub's parts on the desk with a real database, and a device made of the real initiator."""

import asyncio
import socket
from pathlib import Path as Folder

from stores import environ

from skerry import coap, initiator, observe, oscore_server, record, schedule
from skerry.chain import Chain
from skerry.replay import ReplayWindow
from skerry.session import Session
from skerry_hub import audit, bundles, enrolment
from skerry_hub.bridge import Bridge
from skerry_hub.config import Config
from skerry_hub.devices import Devices
from skerry_hub.front import Front
from skerry_hub.handshakes import Handshakes
from skerry_hub.pokes import Pokes
from skerry_hub.resources import Configured, site
from skerry_hub.sessions import Sessions
from skerry_hub.udp import Path

ADDRESS = ("127.0.0.1", 5683)


class DeskHub:
    """Everything of a hub but its socket; use `ask` inside a running loop."""

    def __init__(self, hub: enrolment.Hub) -> None:
        self.hub = hub
        self.sessions = Sessions()
        self.handshakes = Handshakes(hub.id, hub.store, hub.vault, self.sessions)
        self.configured = Configured(hub.store, hub.vault)
        self.site = site(hub.store, self.configured)
        bridge = Bridge(self.site)
        self.pokes = Pokes(hub.store, hub.vault, self.sessions, lambda peer: None)
        self.devices = Devices(self.sessions, bridge, self.pokes)
        self.front = Front(self.handshakes, self.sessions, hub.store, bridge)
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._theirs.setblocking(False)

    async def ask(self, datagram: bytes, peer: int = 1) -> list[bytes]:
        """Give the front a datagram and return what it answers."""
        return await self.ask_all([datagram], peer)

    async def ask_all(self, datagrams: list[bytes], peer: int = 1) -> list[bytes]:
        """Give the front datagrams that came together and return what it answers."""
        path = SocketPath(self._ours, ("desk", peer), ())
        self.front.receive([(each, path) for each in datagrams])
        return await self.sent()

    async def sent(self, turns: int = 8) -> list[bytes]:
        """Let the loop turn and return what the hub sent."""
        for _ in range(turns):
            await asyncio.sleep(0)
        answers = []
        while True:
            try:
                answers.append(self._theirs.recv(2048))
            except BlockingIOError:
                return answers


class SocketPath(Path):
    """A path whose socket is connected already."""

    def send(self, datagram: bytes) -> None:
        self.socket.send(datagram)


def empty(kind: int, mid: int) -> bytes:
    """Return an acknowledgement or a reset."""
    return coap.encode(coap.Message(coap.EMPTY, [], b"", kind, mid))


class DeskDevice:
    """The initiator with its record in memory."""

    def __init__(self, bundle: Folder) -> None:
        said = bundles.read(bundle)
        self.suite = said.suite
        self.ctx = schedule.context(said.suite, said.device.encode(), said.hub.encode())
        slot = record.unpack((bundle / "skerry.0").read_bytes())
        assert slot is not None
        self.chain = Chain.unpack(slot[1])
        self.session: Session | None = None
        self.mid = 0
        self.nonce = 0

    def message_1(self, recover: bool = False) -> bytes:
        """Start an attempt and return message 1."""
        self.nonce += 1
        chain = self.chain.next_era() if recover else self.chain
        start = initiator.Start(self.ctx, self.suite, chain)
        message_1, self.waiting = start.send(self.nonce.to_bytes(8, "big"))
        return message_1

    def attempt(self, recover: bool = False) -> bytes:
        """Start an attempt and return its datagram."""
        return self.datagram(self.message_1(recover))

    def datagram(self, message_1: bytes) -> bytes:
        self.mid += 1
        return coap.encode(
            coap.Message(coap.POST, coap.path_options("k"), message_1, mid=self.mid, token=b"t")
        )

    def accept(self, answers: list[bytes]) -> None:
        """Take the one answer and move on."""
        (answer,) = answers
        accepted = self.waiting.receive(coap.decode(answer).payload)
        self.chain = Chain.unpack(accepted.record)
        self.session = Session(accepted.persisted(accepted.record), self.suite)
        self.window = ReplayWindow()
        self.observing: dict[bytes, object] = {}
        self.numbers: dict[bytes, int] = {}

    async def connect(self, hub: DeskHub) -> None:
        self.accept(await hub.ask(self.attempt()))

    def request(self, payload: bytes = b"21", code: int = coap.POST, path="readings") -> bytes:
        """Return the datagram of a protected request."""
        self.mid += 1
        inner = coap.Message(
            code, coap.path_options(path), payload, coap.CON, self.mid, self.mid.to_bytes(2, "big")
        )
        outer, self.binding = self.session.oscore.protect_request(inner)
        return coap.encode(outer)

    def response(self, answers: list[bytes]) -> coap.Message:
        """Open the one answer to the last request."""
        (answer,) = answers
        return self.session.oscore.unprotect_response(coap.decode(answer), self.binding)

    def registration(self, path: str, value: bytes = b"", token: bytes = b"o", *options) -> bytes:
        """Return the datagram of a request with Observe: `value` 1 cancels."""
        self.mid += 1
        options = [*coap.path_options(path), (observe.OBSERVE, value), *options]
        inner = coap.Message(coap.GET, options, b"", coap.CON, self.mid, token)
        outer, self.observing[token] = observe.protect_registration(self.session.oscore, inner)
        return coap.encode(outer)

    def notification(self, datagram: bytes) -> tuple[coap.Message, int]:
        """Open a notification; return it with its number, which has to be newer than the last."""
        outer = coap.decode(datagram)
        token = outer.token
        inner, number = observe.unprotect_notification(
            self.session.oscore, outer, self.observing[token], self.numbers.get(token, -2)
        )
        self.numbers[token] = number
        return inner, number

    def asked(self, datagram: bytes) -> tuple[coap.Message, object]:
        """Open a request of the hub; return it with what its response is bound to."""
        return oscore_server.unprotect_request(
            self.session.oscore, self.window, coap.decode(datagram)
        )

    def answer(self, request, binding, payload=b"", code=coap.CONTENT, options=(), type=coap.ACK):
        """Return the datagram of a response to the hub."""
        inner = coap.Message(code, list(options), payload, type, request.mid, request.token)
        return coap.encode(oscore_server.protect_response(self.session.oscore, inner, binding))


def made(folder: Folder) -> Config:
    """Make a hub in a folder."""
    config = Config.of(data=str(folder / "data"), environ=environ())
    enrolment.init(config)
    return config


def enrolled(hub: enrolment.Hub, name: str, suite: int = 0) -> DeskDevice:
    """Enrol a device and take its bundle."""
    done = enrolment.enroll(hub, name, address=ADDRESS, suite=suite)
    return DeskDevice(done.bundle_path)


def states(config: Config) -> dict[str, str]:
    """Return the devices' states, of a hub that opens and whose audit log is whole."""
    with enrolment.opened(config) as hub:
        audit.verified(hub.store)
        return {each.name: each.state for each in hub.store.devices()}


def found_by(store, pid: bytes) -> list:
    """Return the devices that a pseudonym may stand for, now or in a coming era."""
    return store.candidates([pid])[pid] + store.coming([pid])[pid]
