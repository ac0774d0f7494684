"""What a handshake and a request cost, in instructions that are counted exactly.

python tests/firmware/test_cost.py writes the figures of docs/firmware.md.
"""

import json
import re
import subprocess
from bisect import bisect_right
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from bridge import (
    BUNDLE,
    IMAGE,
    ROOT,
    Board,
    microbit,
    mps2_an385,
    needs_firmware,
    without_cryptolib,
)
from watched import compiled

from skerry import coap, provisioning, record, schedule
from skerry.chain import Chain
from skerry.initiator import Start
from skerry.responder import HubSession, Known, identify
from skerry.session import Session

pytestmark = needs_firmware

DOCUMENT = ROOT / "docs" / "firmware.md"
LIMIT = 2_500_000  # instructions of a handshake
DEVICE, HUB = "lamp-7", "hub"
N_D, N_H, TIME = bytes(range(8)), bytes(range(8, 16)), 0x6A5B4C3D2E
STACK_ROOM = 16384
MACHINES = {  # and where the stack begins
    "Cortex-M3": (mps2_an385, 0x00400000),
    "without `cryptolib`": (without_cryptolib, 0x00400000),
    "Cortex-M0": (microbit, 0x20040000),
}
TOLERANCE = 0.2  # of the figures: what else lies in the heap moves them by so much
STEPS = {
    "message_1": "make message 1",
    "message_2": "verify message 2, next epoch",
    "store": "write, read back, wipe",
    "session": "OSCORE's keys",
    "handshake": "**handshake**, these four",
    "connect": "handshake with CoAP, message layer, garbage collection",
    "protect": "protect a request",
    "unprotect": "unprotect its response",
    "hmac": "one HMAC-SHA-256 of 50 bytes",
    "sha256": "one SHA-256 of 64 bytes",
    "seal": "AES-CCM of 24 bytes",
    "collect": "one garbage collection",
}
MEMORY = {
    "held": "heap held before, all modules loaded",
    "connect_heap": "free heap that a handshake cannot do without",
    "request_heap": "free heap that a request and its response cannot do without",
    "allocated": "heap that it allocates, all in all",
    "stack": "stack at its deepest",
}


def other_end(suite: int) -> tuple[Chain, dict]:
    """Play the hub and the device: the device's chain, and what the board has to be told."""
    ctx = schedule.context(suite, DEVICE.encode(), HUB.encode())
    chain = provisioning.first_epoch(bytes(range(32)), ctx)
    message_1, wait = Start(ctx, suite, chain).send(N_D)
    verified = Known(ctx, suite, chain, None).verify(identify(message_1), 0)
    message_2, secret = verified.answer(N_H, TIME)
    accepted = wait.receive(message_2)
    device = Session(accepted.persisted(accepted.record), suite)
    request = coap.Message(
        coap.POST, coap.path_options("readings"), b'{"c": 21.5}', coap.CON, 1, b"\1"
    )
    outer, _ = device.oscore.protect_request(request)
    hub = HubSession(secret, suite)
    inner, binding = hub.oscore.unprotect_request(outer)
    assert inner.payload == request.payload
    answer = coap.Message(coap.CHANGED, [], b"", coap.ACK, 1, b"\1")
    told = {
        "n_d": N_D.hex(),
        "message_2": message_2.hex(),
        "response": coap.encode(hub.oscore.protect_response(answer, binding)).hex(),
    }
    expected = {
        "sent": message_1.hex(),
        "request": coap.encode(outer).hex(),
        "code": coap.CHANGED,
        "fingerprint": hub.fingerprint,
    }
    return chain, {"told": told, "expected": expected}


def run(
    folder: Path, name: str = "Cortex-M3", suite: int = 0, plugin: str = "", **heap: int
) -> dict:
    """Run cost.py on a board of its own."""
    chain, ends = other_end(suite)
    machine, stack_end = MACHINES[name]
    board = Board(folder, machine=machine)
    board.poke(0, record.pack(0, chain.pack()))
    bundle = {"device": DEVICE, "hub": HUB, "suite": suite, "address": []}
    board.poke(BUNDLE, json.dumps(bundle).encode())
    (folder / "noise").unlink()
    (folder / "noise").write_bytes(bytes(range(256)))
    (folder / "paint").write_bytes(b"\xa5" * STACK_ROOM)
    board.power(
        "-icount", "shift=8,sleep=off",
        "-device", f"loader,file=paint,addr={stack_end - STACK_ROOM:#x},force-raw=on",
        *(["-plugin", plugin] if plugin else []),
        cost=ends["told"] | heap,
    )  # fmt: skip
    status = board.finish(60)
    line = board.lines[-1] if board.lines else {}
    if heap:
        return {"enough": status == 0 and line.get("event") == "enough"}
    assert status == 0, board.noise
    assert line.pop("own_aes") == (machine is without_cryptolib)
    for key, value in ends["expected"].items():
        assert line.pop(key) == value, key
    return line


def least_heap(folder: Path, name: str, step: str) -> int:
    """Find how much free heap a step needs, in steps of 64 bytes."""
    low, high = 0, 512
    while low + 1 < high:
        middle = (low + high) // 2
        enough = run(folder / f"{step}-{middle}", name, **{step: 64 * middle})["enough"]
        low, high = (low, middle) if enough else (middle, high)
    return 64 * high


def spent(folder: Path) -> list[tuple[str, int]]:
    """Return the functions of the firmware by what a handshake spends in them."""
    names = subprocess.run(["arm-none-eabi-nm", "-n", IMAGE], capture_output=True, text=True)
    code = [row.split() for row in names.stdout.splitlines()]
    starts = [(int(row[0], 16) & ~1, row[2]) for row in code if row[1] in "tTwW"]
    folder.mkdir()
    profile = folder / "profile"
    run(folder / "board", plugin=f"{compiled(folder)},profile={profile}")
    lit = profile.read_text().split("\n\n")[1]
    sums: Counter[str] = Counter()
    for line in lit.splitlines():
        address, executed = line.split()
        at = bisect_right(starts, (int(address, 16), "~")) - 1
        sums[starts[at][1]] += int(executed)
    return sums.most_common()


def table(costs: list[dict], functions: list[tuple[str, int]]) -> str:
    """Return the lines that stand in the document."""
    head = " | ".join(["", *MACHINES, ""])
    rows: list[str] = []
    for title, lines in (("instructions", STEPS), ("bytes", MEMORY)):
        rows += [f"| {title}{head}".rstrip(), "| --- " + "| ---: " * len(costs) + "|"]
        rows += [
            f"| {text} | " + " | ".join(f"{cost[key]:,}" for cost in costs) + " |"
            for key, text in lines.items()
        ]
        rows += [""]
    rows += ["| function of the firmware | part of the handshake |", "| --- | ---: |"]
    total = sum(executed for _, executed in functions)
    rows += [f"| `{name}` | {executed / total:.0%} |" for name, executed in functions[:8]]
    return "\n".join(rows)


def measured(folder: Path, name: str) -> dict:
    """Measure all of a machine."""
    least = {f"{step}_heap": least_heap(folder, name, step) for step in ("connect", "request")}
    return run(folder / "board", name) | least


@pytest.fixture(scope="module")
def cost(tmp_path_factory) -> dict:
    return run(tmp_path_factory.mktemp("cost") / "first")


def test_identical_from_run_to_run(cost, tmp_path):
    assert run(tmp_path / "second") == cost


def test_limit(cost):
    assert cost["handshake"] <= LIMIT


@pytest.mark.parametrize("name", MACHINES)
def test_suite_1(name, tmp_path):
    assert run(tmp_path / "board", name, suite=1)["handshake"] <= LIMIT


def compiler() -> str:
    found = subprocess.run(
        ["arm-none-eabi-gcc", "--version"], capture_output=True, text=True, check=True
    )
    return found.stdout.splitlines()[0]


def figures(folder: Path) -> str:
    """Return what stands at the document's end."""
    costs = [measured(folder / str(i), name) for i, name in enumerate(MACHINES)]
    return f"`{compiler()}`\n\n{table(costs, spent(folder / 'spent'))}\n"


def cells(text: str) -> list[str | float]:
    """Take a text with tables apart: words as they are, figures as numbers."""
    parts = re.split(r"([\d,]*\d)", text)
    return [float(part.replace(",", "")) if i % 2 else part for i, part in enumerate(parts)]


def test_document(tmp_path):
    """The document's figures are those of these images, if its compiler made them."""
    text = DOCUMENT.read_text()
    if compiler() not in text:
        pytest.skip("the figures are of another compiler")
    there = cells(text[text.index(f"`{compiler()}`") :].partition("| function")[0])
    found = cells(figures(tmp_path).partition("| function")[0])
    assert len(there) == len(found)
    for documented, value in zip(there, found, strict=True):
        near = value if isinstance(value, str) else pytest.approx(value, rel=TOLERANCE)
        assert documented == near, "python tests/firmware/test_cost.py writes them anew"


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        before = DOCUMENT.read_text().partition("`arm-none-eabi-gcc")[0]
        DOCUMENT.write_text(before + figures(Path(name)))
