"""What measure.py runs on MicroPython: one step, with all heap taken away but what is left to it.

    micropython -m on_device STEP LEAVE        prints one JSON line, or dies

It dies of a MemoryError, or of the hub's silence: a datagram that there is no room for is lost.
STEP is a name in STEPS; LEAVE is how many bytes of heap stay free, 0 for all.
"""

import gc
import json
import sys

gc.collect()
_before = gc.mem_alloc()
import skerry_device  # noqa: E402
from skerry_device.links import udp  # noqa: E402, F401

gc.collect()
_IMPORT = gc.mem_alloc() - _before


def connect():
    return skerry_device.connect(timeout_ms=2000, ack_timeout_ms=100)


def post(hub, payload):
    answer = hub.post("readings", payload)
    if not answer.ok:
        raise ValueError(answer.code)


def handshake():
    connect()


def request(hub):
    post(hub, {"c": 21.5})


def blocks(hub):
    post(hub, b"\x40\xff" * 512)


def both():
    request(connect())


# Name -> what has to be there before, and what is measured.
STEPS = {
    "handshake": (None, handshake),
    "request": (connect, request),
    "blocks": (connect, blocks),
    "handshake and request": (None, both),
}


def fill(leave):
    """Take all heap but one piece of `leave` bytes; return what holds it."""
    room = bytearray(leave)
    held = None
    size = 1 << 16
    while size >= 16:
        try:
            held = (held, bytearray(size))
        except MemoryError:
            size >>= 1
    room = None  # noqa: F841 - free from here on
    gc.collect()
    return held


def main(step, leave):
    before, measured = STEPS[step]
    arguments = (before(),) if before else ()
    gc.collect()
    idle = gc.mem_alloc()
    ballast = fill(leave) if leave else None
    measured(*arguments)
    print(json.dumps({"import": _IMPORT, "idle": idle, "full": bool(ballast)}))


main(sys.argv[1], int(sys.argv[2]))
