"""Guest instructions, heap and stack of a handshake and a request, each step on its own.

Under QEMU's -icount shift=8 an instruction takes 256 ns of the guest's time, and the board's
counter ticks more often than that: the difference of two readings gives the exact number (soc.py).
The other end's messages are among the options, made by the test that asks
(tests/firmware/test_cost.py).
"""

import gc
import json
import sys
from binascii import unhexlify
from hashlib import sha256

import psram
import soc
from machine import mem8, mem32
from micropython import const, mem_total

from skerry import coap, primitives, schedule
from skerry.chain import Chain
from skerry.initiator import Start
from skerry.session import Session
from skerry_device import client
from skerry_device.store import ChainStore

_STACK_ROOM = const(16384)
_PAINT = const(0xA5)  # the test fills the stack with it before the start


class CannedLink:
    """A link whose other end answers each datagram with `payload`."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.sent = self.received = 0

    def send(self, datagram: bytes) -> None:
        """Make the answer, with the token of what is sent."""
        self.answer = b"\x51\x44\0\0" + datagram[4:5] + b"\xff" + self.payload

    def receive(self, timeout_ms: int) -> bytes:
        """Return the answer."""
        return self.answer

    def close(self) -> None:
        """Do nothing."""


class CannedHub(client.Hub):
    """A connection that is made when `connect` is called, with a hub that is no process."""

    def start(self) -> None:
        """Do nothing yet."""

    def connect(self) -> None:
        """Do what skerry_device.connect does once it has a link and a bundle."""
        client.Hub.start(self)


def _count(function, *arguments):
    """Return (instructions, result) of a call, and of what it takes to call."""
    gc.collect()
    start = soc.counter()
    result = function(*arguments)
    return soc.instructions(soc.counter() - start), result


def _nothing():
    pass


def _stack() -> int:
    at = soc.STACK_END - _STACK_ROOM
    while mem8[at] == _PAINT:
        at += 1
    return soc.STACK_END - at


def _reading() -> coap.Message:
    return coap.Message(
        coap.POST, coap.path_options("readings"), b'{"c": 21.5}', coap.CON, 1, b"\1"
    )


def _request(oscore, response) -> None:
    _, binding = oscore.protect_request(_reading())
    oscore.unprotect_response(coap.decode(response), binding)


def _with_little_heap(leave: int, step, *arguments) -> None:
    """Take all heap but `leave` bytes away for a step; a MemoryError ends the program."""
    gc.collect()
    ballast = None
    size = 4096  # in pieces, as what is free may lie in pieces
    while size:
        try:
            while gc.mem_free() > leave + size + 32:
                ballast = (ballast, bytearray(size))
        except MemoryError:
            pass
        size //= 2
    step(*arguments)
    print(json.dumps({"event": "enough", "ballast": bool(ballast)}))


def _primitives(cost) -> None:
    key = bytes(range(32))
    cost("hmac", primitives.hmac_sha256, key, bytes(50))
    cost("sha256", lambda data: sha256(data).digest(), bytes(64))
    cost("seal", primitives.AesCcm(key[:16], 8).seal, bytes(13), bytes(24), bytes(24))
    cost("collect", gc.collect)


def run(options):
    """Print one JSON line; with "connect" or "request", tell that so much free heap is enough."""
    gc.collect()
    held = gc.mem_alloc()
    bundle = json.loads(psram.bundle())
    suite = bundle["suite"]
    ctx = schedule.context(suite, bundle["device"].encode(), bundle["hub"].encode())
    n_d = unhexlify(options["n_d"])
    message_2 = unhexlify(options["message_2"])
    client._nonce = lambda: n_d
    hub = CannedHub(link=CannedLink(message_2), medium=psram.Slots(), bundle=bundle)
    response = unhexlify(options["response"])
    if "connect" in options:
        _with_little_heap(options["connect"], hub.connect)
        return
    if "request" in options:
        hub.connect()
        _with_little_heap(options["request"], _request, hub.session.oscore, response)
        return

    told = {"event": "cost", "held": held, "own_aes": "skerry.aes" in sys.modules}
    none = _count(_nothing)[0]

    def cost(name, function, *arguments):
        count, result = _count(function, *arguments)
        told[name] = count - none
        return result

    slots = psram.Slots()
    image = slots.read(0), slots.read(1)
    before = mem_total()
    mem32[soc.LEDS] = 1  # for who watches from outside
    cost("connect", hub.connect)
    mem32[soc.LEDS] = 0
    told["allocated"] = mem_total() - before
    told["fingerprint"] = hub.fingerprint
    slots.write(0, image[0])
    slots.write(1, image[1])

    store = ChainStore(slots)
    chain = Chain.unpack(cost("load", store.load))
    message_1, wait = cost("message_1", Start(ctx, suite, chain).send, n_d)
    told["sent"] = message_1.hex()
    accepted = cost("message_2", wait.receive, message_2)
    secret = accepted.persisted(cost("store", store.save, accepted.record))
    session = cost("session", Session, secret, suite)
    parts = ("message_1", "message_2", "store", "session")
    told["handshake"] = sum([told[each] for each in parts])

    outer, binding = cost("protect", session.oscore.protect_request, _reading())
    told["request"] = coap.encode(outer).hex()
    answer = coap.decode(response)
    told["code"] = cost("unprotect", session.oscore.unprotect_response, answer, binding).code

    _primitives(cost)
    told["stack"] = _stack()
    print(json.dumps(told))
