"""Where the microseconds of a handshake and of a request go: python bench/steps.py.

Times each primitive by itself, as the hub calls it, and multiplies by how often it does so. What
is left to the figures of bench/hub.py is Python: objects, calls, dictionaries. The sum is what no
rewriting in CPython can go below.
"""

import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import fleet

from skerry.primitives import AesCcm, hmac_sha256
from skerry_hub import enrolment
from skerry_hub.store import Advance, Confirmation, NewReading

BATCH, ROUNDS = 250, 20
# How often for a handshake, for its first request, for any other request.
COUNTS = {
    "datagram in": (1, 1, 1),
    "datagram out": (1, 1, 1),
    "HMAC-SHA-256": (13, 0, 0),  # 7 of the handshake, 6 of OSCORE's context and the fingerprint
    "AES-SIV, keys at rest": (3, 0, 0),
    "AES-CCM": (0, 2, 2),
    "AES-CCM key": (2, 0, 0),
    "SHA-256, CTX": (1, 0, 0),
    "look up a device": (1, 0, 0),
    "write: move, confirm, reading": (1, 1, 1),
}


def each(act: Callable[[], object], count: int = BATCH) -> float:
    """Return microseconds of processor time a call, the least of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.thread_time()
        for _ in range(count):
            act()
        best = min(best, time.thread_time() - begun)
    return best / count * 1e6


def datagrams() -> tuple[float, float]:
    """Return what it takes to receive one and to send one, as udp.py does."""
    ours, theirs = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for one in (ours, theirs):
        one.bind(("127.0.0.1", 0))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    ours.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    there = theirs.getsockname()
    took_in, took_out = [], []
    for _ in range(ROUNDS):
        for _ in range(BATCH):
            theirs.sendto(bytes(31), ours.getsockname())
        took_in.append(_once(lambda: ours.recvmsg(2048, 64)))
        took_out.append(_once(lambda: ours.sendmsg([bytes(28)], (), 0, there)))
        for _ in range(BATCH):
            theirs.recv(2048)
    return min(took_in), min(took_out)


def _once(act: Callable[[], object]) -> float:
    begun = time.thread_time()
    for _ in range(BATCH):
        act()
    return (time.thread_time() - begun) / BATCH * 1e6


def stored(opened: enrolment.Hub) -> tuple[float, tuple[float, float, float]]:
    """Return microseconds for a look-up, and for each kind of write in a batch of its own."""
    store = opened.store
    rows = store._db.execute("SELECT name, pid FROM device LIMIT ?", (BATCH,)).fetchall()
    names = [name for name, _ in rows]
    pids = [pid for _, pid in rows]
    store.candidates(pids)
    look_up = each(lambda: store.candidates(pids), 1) / BATCH
    moves, confirmations, readings = [], [], []
    for _ in range(ROUNDS):
        known = [store.keys(name) for name in names]
        steps = [
            Advance(one, one.era, one.step + 1, sha256(one.pid).digest()[:6], one.chain, one.pid,
                    bytes((one.chain[0],)) + bytes(48), [])
            for one in known
        ]  # fmt: skip
        of = [
            Confirmation(one.id, one.pid, "00000000", one.era, one.step, 0.0, reading)
            for one in known
            for reading in [NewReading(one.id, 0.0, "readings", None, bytes(32))]
        ]
        moves.append(_written(store, steps))
        confirmations.append(_written(store, of))
        readings.append(_written(store, [one.reading for one in of]))
    return look_up, (min(moves), min(confirmations), min(readings))


def _written(store: object, batch: list) -> float:
    begun = time.thread_time()
    assert all(store.write(batch))
    return (time.thread_time() - begun) / len(batch) * 1e6


def main() -> None:
    """Measure and print."""
    key, ccm = bytes(32), AesCcm(bytes(16), 8)
    with tempfile.TemporaryDirectory() as folder:
        config = fleet.hub(Path(folder) / "hub", 1000)
        with enrolment.opened(config) as opened:
            look_up, writes = stored(opened)
            vault = opened.vault
            siv = each(lambda: vault.seal(b"chain", b"d-0000001", bytes(72)))
    taken, sent = datagrams()
    costs = {
        "datagram in": taken,
        "datagram out": sent,
        "HMAC-SHA-256": each(lambda: hmac_sha256(key, bytes(32))),
        "AES-SIV, keys at rest": siv,
        "AES-CCM": each(lambda: ccm.seal(bytes(13), bytes(44), bytes(28))),
        "AES-CCM key": each(lambda: AesCcm(bytes(16), 8)),
        "SHA-256, CTX": each(lambda: sha256(bytes(32)).digest()),
        "look up a device": look_up,
    }
    print(f"SQLite {sqlite3.sqlite_version}; microseconds")
    print(f"{'':30}  {'each':>6}  {'handshake':>9}  {'first':>6}  {'request':>7}")
    sums = [0.0, 0.0, 0.0]
    for name, counts in COUNTS.items():
        shares = [count * costs.get(name, 0.0) for count in counts]
        if name.startswith("write"):
            shares = list(writes)
        sums = [one + other for one, other in zip(sums, shares, strict=True)]
        cost = f"{costs[name]:6.2f}" if name in costs else " " * 6
        print(f"{name:30}  {cost}  {shares[0]:9.1f}  {shares[1]:6.1f}  {shares[2]:7.1f}")
    print(f"{'all':30}  {'':6}  {sums[0]:9.1f}  {sums[1]:6.1f}  {sums[2]:7.1f}")


if __name__ == "__main__":
    main()
