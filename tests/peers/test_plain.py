"""CoAP without OSCORE: our message layer and libcoap's (RFC 7252)."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from peers.parts import (
    HOST,
    PING,
    PONG,
    Address,
    Said,
    device,
    libcoap,
    on_micropython,
    said_by,
    served,
    start_client,
)
from ports import free_port
from real import Hub

from skerry import coap

PLAIN = {"plain": True}


def get(hub: Hub, path: str, *arguments: object) -> Said:
    return said_by(start_client(hub.address, path, *arguments))


# libcoap's client at the hub.


def test_discovery(hub: Hub) -> None:
    said = get(hub, ".well-known/core")
    links = said.body.decode().split(",")
    assert "</readings>" in [each.split(";")[0] for each in links]
    assert said.error == ""


def test_what_needs_a_session_is_refused(hub: Hub) -> None:
    assert get(hub, "readings") == Said(b"", "4.01")
    assert get(hub, "readings", "-N") == Said(b"", "4.01")
    for method in ("post", "put"):
        assert get(hub, "readings", "-m", method, "-e", "x") == Said(b"", "4.01")
    assert get(hub, "readings", "-s", 1) == Said(b"", "4.01")  # Observe


def test_blocks_without_a_session_are_refused(hub: Hub, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(bytes(4096))
    assert get(hub, "readings", "-m", "post", "-f", body).error.startswith("4.01")


def datagrams(client: "subprocess.Popen[bytes]", limit: float) -> list[str]:
    """Return what libcoap's client logged of each datagram, until it ends or is ended."""
    try:
        log = client.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        client.send_signal(signal.SIGINT)  # it writes its log before it ends
        log = client.communicate()[0]
    lines = log.decode(errors="replace").splitlines()
    return [after[4:] for line, after in pairwise(lines) if "netif: " in line]


def test_what_is_no_handshake_is_met_with_silence(hub: Hub) -> None:
    """Not even an acknowledgement comes, however often libcoap repeats it."""
    client = start_client(hub.address, "k", "-m", "post", "-e", "nothing of ours", "-v", 7)
    seen = datagrams(client, 6)
    assert len(seen) >= 2
    assert {each[:6] for each in seen} == {"t:CON "}


def test_ping(hub: Hub) -> None:
    """libcoap's keep-alive, while it waits for an answer that does not come."""
    client = start_client(hub.address, "k", "-N", "-m", "post", "-e", "x", "-K", 1, "-v", 7)
    first, ping, pong, *_ = [each.split(" [")[0].split(" {")[0] for each in datagrams(client, 4)]
    assert first.startswith("t:NON c:POST")
    assert (ping[:12], pong[:12]) == ("t:CON c:0.00", "t:RST c:0.00")
    assert ping[12:] == pong[12:]  # the same message id


# Our device at libcoap's server.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    address = (HOST, free_port())
    command = libcoap("server-notls", "-A", HOST, "-p", address[1], "-d", 10)
    with served(command, address, tmp_path_factory.mktemp("server") / "log"):
        yield address


@pytest.mark.parametrize("type", [coap.CON, coap.NON])
def test_device_without_oscore(server: Address, type: int) -> None:
    data = bytes(range(256)).hex()
    there = {**PLAIN, "type": type, "path": f"by/{type}"}
    lines = device(
        server, None, {**there, "code": 3, "payload": data}, there, {**there, "code": 4}, there
    )
    results = [line["results"][0] for line in lines]
    assert [each["code"] for each in results] == [0x41, 0x45, 0x42, 0x84]
    assert results[1]["payload"] == data


def test_device_waits_for_a_separate_response(server: Address) -> None:
    """/async answers after a second: an empty acknowledgement, then a confirmable response."""
    (line,) = device(server, None, {**PLAIN, "path": "async", "query": ["2"]})
    assert line["results"][0]["code"] == 0x45
    ways = [(way, coap.decode(bytes.fromhex(each))) for way, each in line["log"]]
    kinds = [(way, message.type, bool(message.code)) for way, message in ways]
    assert kinds == [
        ("sent", coap.CON, True),
        ("received", coap.ACK, False),
        ("received", coap.CON, True),
        ("sent", coap.ACK, False),
    ]


def test_device_resets_what_it_does_not_expect() -> None:
    """A ping, and a response to nobody: RFC 7252 sections 4.2 and 4.3."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hub:
        hub.bind((HOST, 0))
        hub.settimeout(10)
        script = {"address": hub.getsockname(), "context": None, "steps": [{**PLAIN, "path": "a"}]}
        command, environment = on_micropython("on_device.py")
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(script) + "\n")
        process.stdin.close()
        datagram, peer = hub.recvfrom(2048)
        request = coap.decode(datagram)
        hub.sendto(PING, peer)
        assert hub.recv(2048) == PONG
        stranger = coap.Message(coap.CONTENT, [], b"", coap.CON, 77, b"other")
        hub.sendto(coap.encode(stranger), peer)
        assert hub.recv(2048) == b"\x70\x00\x00\x4d"
        answer = coap.Message(coap.CONTENT, [], b"x", coap.ACK, request.mid, request.token)
        hub.sendto(coap.encode(answer), peer)
        assert process.stdout is not None
        said = json.loads(process.stdout.read())
        assert process.wait(10) == 0
    assert said["results"][0]["payload"] == b"x".hex()
