"""Power is cut at exact points while the firmware replaces its chain; it always comes back.

Only the stores into the slots change what survives, so cutting after each of them gives every
image that a cut at any instruction boundary can leave. That this is so is tried as well: cuts at
boundaries in between leave, byte for byte, the image that the stores before them make. With
SKERRY_CUTS=all this is done at every boundary from the first store to the last.

A witness who knows the master key reads along: no session secret comes twice, and within a
session no Partial IV, but for requests that are sent again as they were.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bridge import SLOT, Board, needs_firmware
from real import Hub
from watched import CUT, Trace, compiled

from skerry import coap, record, schedule, wire, wire_hub
from skerry.chain import Chain
from skerry.errors import Malformed
from skerry.oscore import decode_option

pytestmark = needs_firmware

BOARDS = 4
SAMPLE = 96  # boundaries between the first store and the first byte sent after the last


class Witness:
    """Knows a device's chain from its bundle on, and keeps what its datagrams used."""

    def __init__(self, bundle: Path) -> None:
        told = json.loads((bundle / "skerry.json").read_text())
        names = told["device"].encode(), told["hub"].encode()
        self.ctx = schedule.context(told["suite"], *names)
        self.chain = Chain.unpack(record.unpack((bundle / "skerry.0").read_bytes())[1])
        self.keys: dict[bytes, bytes] = {}
        self.secrets: set[bytes] = set()

    def _key(self, pid: bytes) -> bytes:
        """Return the epoch key of a pseudonym; epochs come in order, and eras are not left."""
        while pid not in self.keys:
            assert self.chain.step < 10_000, "a pseudonym of no epoch"
            key = self.chain.chain_key
            self.keys[schedule.pseudonym(key)] = schedule.epoch_key(key)
            self.chain = self.chain.next_step()
        return self.keys[pid]

    def read(self, seen: list[tuple[str, bytes]]) -> int:
        """Read what one run said and heard; return how many sessions it had."""
        bodies: dict[bytes, bytes] = {}
        secrets: dict[bytes, bytes] = {}
        sent: dict[tuple[bytes, bytes], bytes] = {}
        for direction, datagram in seen:
            message = coap.decode(datagram)
            option = message.option(coap.OSCORE)
            if direction == "up" and option is None and message.payload:
                bodies[message.token] = wire_hub.decode_message_1(message.payload)[0]
            elif direction == "up" and option is not None:
                partial_iv, _, kid = decode_option(option)
                ciphertext = sent.setdefault((kid, partial_iv), message.payload)
                assert ciphertext == message.payload, "a nonce used twice"
                assert kid in secrets
            elif option is None:
                try:
                    body, n_h, _, _ = wire.decode_message_2(message.payload)
                except Malformed:
                    continue
                body_1 = bodies[message.token]
                secret = schedule.session_secret(
                    self._key(body_1[1:7]), self.ctx, body_1, body[0], n_h
                )
                secrets[schedule.oscore_secrets(secret)[2]] = secret
        assert self.secrets.isdisjoint(secrets.values()), "a session secret used twice"
        self.secrets.update(secrets.values())
        return len(secrets)


class Bench:
    """A hub, and boards that take turns at being cut."""

    def __init__(self, folder: Path) -> None:
        self.hub = Hub(folder)
        self.hub.start()
        self.plugin = compiled(folder)
        self.rows = [self._board(folder / f"board-{i}") for i in range(BOARDS)]
        board, witness = self.rows[0]
        board.power("-plugin", f"{self.plugin},trace=trace", readings=1)
        assert board.finish() == 0
        witness.read(board.seen)
        self.trace = Trace(board.folder / "trace")

    def _board(self, folder: Path) -> tuple[Board, Witness]:
        bundle = self.hub.enroll(folder.name)
        board = Board(folder, self.hub.address)
        board.provision(bundle)
        return board, Witness(bundle)

    def each(self, function, cuts: list) -> None:
        """Share the cuts among the boards."""
        with ThreadPoolExecutor(BOARDS) as pool:
            shares = [pool.submit(self._share, function, i, cuts) for i in range(BOARDS)]
            for share in shares:
                share.result()
        for board, witness in self.rows:
            self.recovers(board, witness)
            row = self.hub.row(board.folder.name)
            assert row["session_fingerprint"] == board.lines[-1]["fingerprint"]

    def _share(self, function, i: int, cuts: list) -> None:
        for cut in cuts[i::BOARDS]:
            function(*self.rows[i], cut)

    def cut(self, board: Board, witness: Witness, where: str) -> None:
        """Switch a board on and cut its power there."""
        board.seen = []
        board.power("-plugin", f"{self.plugin},{where}", readings=1, timeout=8000)
        assert board.finish() == CUT, (where, board.lines, board.noise)
        witness.read(board.seen)

    def recovers(self, board: Board, witness: Witness) -> None:
        """Switch a board on: it connects without a single error, and posts a reading."""
        board.seen = []
        board.power(readings=1)
        assert board.finish() == 0, (board.lines, board.noise)
        assert [line["event"] for line in board.lines] == ["start", "session", "reading", "done"]
        assert witness.read(board.seen) == 1

    def expected(self, before: bytes, stores: int) -> bytes:
        """Return what the slots hold after that many stores of a change of chains."""
        found = {i: record.unpack(before[i * SLOT : i * SLOT + record.LENGTH]) for i in (0, 1)}
        (old,) = [i for i in found if found[i]]
        sequence, chain = found[old]
        fresh = record.pack(sequence + 1, Chain.unpack(chain).next_step().pack())
        image = bytearray(before)
        half = len(self.trace.stores) // 2
        for i, (_, address, size) in enumerate(self.trace.stores[:stores]):
            slot, data = (1 - old, fresh) if i < half else (old, bytes(record.LENGTH))
            at = address % SLOT
            image[slot * SLOT + at : slot * SLOT + at + size] = data[at : at + size]
        return bytes(image)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("cuts"))
    yield made
    for board, _ in made.rows:
        board.kill()
    made.hub.stop()
    assert "Traceback" not in made.hub.log.read_text()


def test_the_path_is_as_described(bench):
    """One slot filled, then the other one wiped, each once from its first byte to its last."""
    stores = bench.trace.stores
    half = len(stores) // 2
    for part in (stores[:half], stores[half:]):
        offsets = [address % SLOT + i for _, address, size in part for i in range(size)]
        assert offsets == list(range(record.LENGTH))
        assert len({address // SLOT for _, address, _ in part}) == 1
    assert bench.trace.last < bench.trace.sent
    print(f"{len(stores)} stores in {bench.trace.last} instructions")


def test_after_each_store(bench):
    def cut(board, witness, stores):
        before = board.slots()
        bench.cut(board, witness, f"stores={stores}")
        assert board.slots() == bench.expected(before, stores)
        bench.recovers(board, witness)

    bench.each(cut, list(range(1, len(bench.trace.stores) + 1)))


def test_between_the_stores(bench):
    """The number of instructions varies a little with what else is in the heap.

    So each run tells itself how many stores there were before it was cut.
    """
    every = os.environ.get("SKERRY_CUTS") == "all"
    path, rest = bench.trace.last * 11 // 10, bench.trace.sent * 9 // 10
    points = list(range(1, path, 1 if every else path // (SAMPLE // 2)))
    points += range(path, rest, rest // (SAMPLE // 2))

    def cut(board, witness, instruction):
        before = board.slots()
        bench.cut(board, witness, f"after={instruction},trace=trace")
        stores = Trace(board.folder / "trace").stores
        assert all(at < instruction for at, _, _ in stores)
        assert board.slots() == bench.expected(before, len(stores)), instruction
        if every and instruction % 16:
            board.poke(0, before)
        else:
            bench.recovers(board, witness)

    bench.each(cut, points)


@pytest.mark.parametrize("at", ["half a record", "both records"])
def test_again_while_it_starts(bench, at):
    """A cut leaves a torn or an outdated record; the next one comes while that is wiped."""
    half = len(bench.trace.stores) // 2
    first = half // 2 if at == "half a record" else half

    def cut(board, witness, stores):
        bench.cut(board, witness, f"stores={first}")
        bench.cut(board, witness, f"stores={stores}")
        bench.recovers(board, witness)

    bench.each(cut, list(range(1, half + 1)))
