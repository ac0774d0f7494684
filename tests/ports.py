"""Ports for servers that a test stops and starts again at the same address."""

import random
import socket

_BELOW_THE_SYSTEM_S_OWN = range(10_000, 30_000)  # which no socket is given that asks for none
_held: list[socket.socket] = []


def free_port() -> int:
    """Return a port of UDP and TCP that is this process's own until it ends.

    A port that the system chose and that was given back can be somebody else's a moment later,
    even that of a connection of the very server that is to come back to it.
    """
    for port in random.sample(_BELOW_THE_SYSTEM_S_OWN, 1000):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0skerry-test-port-{port}")  # other processes that run tests see it
        except OSError:
            mark.close()
            continue
        if all(map(_free, [socket.SOCK_DGRAM, socket.SOCK_STREAM], [port] * 2)):
            _held.append(mark)
            return port
        mark.close()
    raise AssertionError("no port is free")


def _free(kind: int, port: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
