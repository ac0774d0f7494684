"""Cases 0 to 17 of the OSCORE interop test specification (test-spec5), both sides.

Side a, the client, is our device against aiocoap's plug test server and against our own; side b,
the server, is server.py against aiocoap's plug test client, on both interpreters.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from peers.cases import AB, CD, CORRECT, HELLO, TEXT
from peers.parts import (
    HOST,
    PLUGTEST,
    Address,
    Context,
    device,
    libcoap,
    on_micropython,
    served,
)
from ports import free_port

from skerry import coap, oscore
from skerry.oscore import SecurityContext

OBSERVE = 6
HELLO_1 = {"path": "oscore/hello/1"}


class Peer:
    """A server, and Partial IVs that it has not seen."""

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self.address = address
        self.numbers = count(0, 8)

    def ask(self, context: Context | None, *steps: dict[str, Any], **more: Any) -> list[Any]:
        """Let a device make these requests, the first one with a fresh Partial IV."""
        first, *others = steps
        return device(
            self.address, context, {"sequence": next(self.numbers), **first}, *others, **more
        )


def our_server(interpreter: str, folder: Path, port: int) -> list[str]:
    contexts = folder / "contexts.json"
    contexts.write_text(json.dumps([AB.for_us("server"), CD.for_us("server")]))
    program, environment = on_micropython("server.py")
    if interpreter == "cpython":
        program = [sys.executable, program[-1]]
        environment["MICROPYPATH"] = ""
    paths = f"MICROPYPATH={environment['MICROPYPATH']}"
    return ["env", paths, *program, str(port), str(contexts)]


def aiocoap_server(folder: Path, port: int, *more: str) -> list[Any]:
    AB.for_aiocoap("server", folder / "b")
    CD.for_aiocoap("server", folder / "d")
    return [
        sys.executable, PLUGTEST / "plugtest-server", folder, "--bind", f"{HOST}:{port}", *more
    ]  # fmt: skip


@pytest.fixture(scope="module", params=["aiocoap", "micropython", "cpython"])
def peer(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("peer")
    address = (HOST, free_port())
    if request.param == "aiocoap":
        command = aiocoap_server(folder / "contexts", address[1])
    else:
        command = our_server(request.param, folder, address[1])
    with served(command, address, folder / "log"):
        yield Peer(request.param, address)
    log = (folder / "log").read_text()
    assert "Traceback" not in log
    # What aiocoap's server finds in our requests: who observes also asks for blocks of 256 bytes.
    wrong = [line for line in log.splitlines() if "verify failed" in line]
    assert [line for line in wrong if "BLOCK2: " not in line] == []


def outer(line: dict[str, Any], way: str, index: int = 0) -> coap.Message:
    """Return a message as it was on the wire: "sent" or "received"."""
    return coap.decode([bytes.fromhex(each) for said, each in line["log"] if said == way][index])


def opened(line: dict[str, Any], request: int, response: int) -> coap.Message:
    """Open a response that the device received; case 7 does not return it."""
    sent, received = outer(line, "sent", request), outer(line, "received", response)
    context = SecurityContext(AB.secret, AB.salt, *AB.ids("client"))
    partial_iv, _, kid = oscore.decode_option(sent.option(coap.OSCORE) or b"")
    assert partial_iv is not None
    assert kid is not None
    return context.unprotect_response(
        received, oscore.Binding(kid, partial_iv, context.nonce(kid, partial_iv))
    )


def check(result: dict[str, Any], code: int, options: list[Any], payload: str) -> None:
    assert "error" not in result, result
    assert (result["code"], result["options"], result["payload"]) == (code, options, payload)


# Side a.


def test_0a_plain(peer: Peer) -> None:
    (line,) = device(peer.address, None, {"plain": True, "path": "oscore/hello/coap"})
    check(line["results"][0], 0x45, [TEXT], HELLO)


@pytest.mark.parametrize("number", sorted(CORRECT))
def test_a_correct(peer: Peer, number: int) -> None:
    context, step, code, options, payload = CORRECT[number]
    (line,) = peer.ask(context, step)
    check(line["results"][0], code, options, payload)
    sent, received = outer(line, "sent"), outer(line, "received")
    assert (sent.code, received.code) == (coap.POST, coap.CHANGED)
    assert [option for option, _ in sent.options] == [coap.OSCORE]
    _, id_context, kid = oscore.decode_option(sent.option(coap.OSCORE) or b"")
    assert (id_context, kid) == (context.id_context, context.client_id)
    assert oscore.decode_option(received.option(coap.OSCORE) or b"")[1:] == (None, None)


def test_5a_observe_of_what_cannot_be_observed(peer: Peer) -> None:
    (line,) = peer.ask(AB, {"observe": HELLO_1["path"], "take": 1})
    (result,) = line["results"]
    check(result, 0x45, [TEXT], HELLO)
    sent = outer(line, "sent")
    assert (sent.code, sent.option(OBSERVE)) == (5, b"")
    assert outer(line, "received").option(OBSERVE) is None


def observed(lines: list[Any], payloads: list[bytes]) -> None:
    """Check notifications: what is inside and outside, and that their numbers rise."""
    results = lines[0]["results"]
    assert [bytes.fromhex(each["payload"]) for each in results] == payloads
    numbers = [each["number"] for each in results]
    assert numbers == sorted(set(numbers))
    assert all(number >= 0 for number in numbers[1:])
    for index, result in enumerate(results):
        if result["code"] == coap.CONTENT:
            received = outer(lines[0], "received", index)
            assert received.code == coap.CONTENT
            assert received.option(OBSERVE) is not None
            assert result["options"] == [[OBSERVE, ""], TEXT]


def test_6a_observe_until_an_error(peer: Peer) -> None:
    lines = peer.ask(AB, {"observe": "oscore/observe1", "take": 3})
    observed(lines, [b"one", b"two", b"Terminate Observe"])
    last = lines[0]["results"][-1]
    assert (last["code"], last["options"]) == (0xA0, [TEXT])


def test_7a_observe_and_cancel(peer: Peer) -> None:
    lines = peer.ask(AB, {"observe": "oscore/observe2", "take": 2, "cancel": True})
    observed(lines, [b"one", b"two"])
    sent = outer(lines[0], "sent", -1)
    assert (sent.code, sent.option(OBSERVE)) == (5, b"\x01")
    assert sent.token == outer(lines[0], "sent").token
    received = opened(lines[0], -1, -1)
    assert (received.code, received.option(OBSERVE)) == (coap.CONTENT, None)
    # aiocoap's server knows no cancellation and its resource always says "one".
    assert received.payload == (b"one" if peer.name == "aiocoap" else b"two")


@pytest.mark.parametrize(
    ("changed", "error", "code"),
    [
        ({"sender_id": "7a"}, "Malformed", 0x81),  # case 12
        ({"broken": ["_sender"]}, "Malformed", 0x80),  # case 13
        ({"broken": ["_recipient"]}, "BadTag", 0x44),  # case 14
    ],
    ids=["12", "13", "14"],
)
def test_a_contexts_that_do_not_match(
    peer: Peer, changed: dict[str, Any], error: str, code: int
) -> None:
    (line,) = peer.ask(AB, HELLO_1, **changed)
    (result,) = line["results"]
    assert (result["error"], result["code"]) == (error, code)


def test_15a_replay(peer: Peer) -> None:
    number = next(peer.numbers)
    first, second = peer.ask(AB, {**HELLO_1, "sequence": number}, {**HELLO_1, "sequence": number})
    check(first["results"][0], 0x45, [TEXT], HELLO)
    assert outer(first, "sent").payload == outer(second, "sent").payload
    (result,) = second["results"]
    assert (result["error"], result["code"]) == ("Malformed", 0x81)


def test_16a_server_without_oscore(tmp_path: Path) -> None:
    """libcoap built without cryptography does not know option 9, which is critical."""
    address = (HOST, free_port())
    with served(libcoap("server-notls", "-A", HOST, "-p", address[1]), address, tmp_path / "log"):
        (line,) = device(address, AB, {"path": "oscore/hello/coap"})
    (result,) = line["results"]
    assert (result["error"], result["code"]) == ("Malformed", 0x82)


def test_17a_without_oscore(peer: Peer) -> None:
    """aiocoap's server leaves it to the resource; only ours refuses."""
    (line,) = device(peer.address, None, {"plain": True, **HELLO_1})
    expected = 0x45 if peer.name == "aiocoap" else 0x81
    assert line["results"][0]["code"] == expected


def test_echo_challenge(tmp_path: Path) -> None:
    """RFC 8613 appendix B.1.2: a server that lost its replay window asks for a fresh request."""
    address = (HOST, free_port())
    command = aiocoap_server(tmp_path / "contexts", address[1], "--state-was-lost")
    with served(command, address, tmp_path / "log"):
        (line,) = device(address, AB, {**HELLO_1, "echo": True})
    challenge, answer = line["results"]
    assert (challenge["code"], challenge["options"][0][0]) == (0x81, 252)
    check(answer, 0x45, [TEXT], HELLO)


# Side b.


@pytest.fixture(scope="module", params=["micropython", "cpython"])
def ours(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Address, Path]]:
    """Our server, and the contexts of aiocoap's client, which keeps its sequence number there."""
    folder = tmp_path_factory.mktemp("ours")
    AB.for_aiocoap("client", folder / "a")
    CD.for_aiocoap("client", folder / "c")
    address = (HOST, free_port())
    with served(our_server(request.param, folder, address[1]), address, folder / "log"):
        yield address, folder
    assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize("number", [each for each in range(18) if each != 16])
def test_b(ours: tuple[Address, Path], number: int) -> None:
    """Case 16 is of servers without OSCORE, which ours is not."""
    (host, port), folder = ours
    command = [sys.executable, PLUGTEST / "plugtest-client", f"{host}:{port}", folder, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    said = said.replace("Precondition Failed", "")
    wrong = [
        line
        for line in said.splitlines()
        if "fail" in line.lower() and not line.startswith("Check passed")
    ]
    assert wrong == []
    assert "passed" in said
