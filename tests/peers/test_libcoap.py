"""libcoap 4.3.4 with OSCORE in both roles: its client against the hub, our device at its server.

libcoap has no AES-CCM-16-128-128, so this is suite 0.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from peers.cases import SALT, SECRET
from peers.parts import (
    HOST,
    Address,
    Context,
    Said,
    device,
    enrolled,
    libcoap,
    said_by,
    served,
    start_client,
)
from ports import free_port
from real import Hub

GET, POST, PUT, DELETE = 1, 2, 3, 4
OBSERVE, CONTENT_FORMAT = 6, 12
CREATED, DELETED, CHANGED, CONTENT = 0x41, 0x42, 0x44, 0x45
NOT_FOUND = 0x84


class Client:
    """libcoap's client in one session with the hub; each call is one process."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.name, context = enrolled(hub)
        self._hub = hub
        self._folder = folder
        self._secrets = context.for_libcoap("client", folder / "oscore.conf")

    def start(self, path: str, *arguments: Any) -> Any:
        """Start to ask; the sequence number goes on where the last process stood."""
        secrets = f"{self._secrets},{self._folder / 'sequence'}"
        return start_client(self._hub.address, path, "-E", secrets, *arguments)

    def __call__(self, path: str, *arguments: Any) -> Said:
        """Ask and return what came."""
        return said_by(self.start(path, *arguments))

    def body(self, data: bytes) -> Path:
        """Return a file with this body, to send."""
        file = self._folder / "body"
        file.write_bytes(data)
        return file


@pytest.fixture
def client(hub: Hub, tmp_path: Path) -> Client:
    return Client(hub, tmp_path)


def test_methods(hub: Hub, client: Client) -> None:
    assert client("readings") == Said(b"", "4.04")
    for method in ("post", "put"):
        text = f"by {method}".encode()
        assert client("readings", "-m", method, "-t", 0, "-e", text.decode()) == Said(b"", "")
        assert client("readings") == Said(text, "")
    assert client("readings", "-m", "delete").error.startswith("4.05")
    assert client("nowhere") == Said(b"", "4.04")
    assert client("readings", "-N") == Said(b"by put", "")  # non-confirmable
    assert hub.row(client.name)["readings"] == 2


@pytest.mark.parametrize("size", [1, 900, 1024])
def test_payload_sizes(client: Client, size: int) -> None:
    data = bytes(33 + i % 90 for i in range(size))
    assert client("readings", "-m", "post", "-t", 42, "-f", client.body(data)) == Said(b"", "")
    assert client("readings") == Said(data, "")


@pytest.mark.parametrize("block", [16, 64, 512])
def test_blocks_both_ways(hub: Hub, client: Client, block: int) -> None:
    """RFC 7959 inside OSCORE (RFC 8613 section 4.1.3.4.1): Block1 up, Block2 down."""
    data = bytes(33 + i % 90 for i in range(1000))
    sent = client("readings", "-m", "post", "-t", 42, "-b", block, "-f", client.body(data))
    assert sent == Said(b"", "")
    assert client("readings", "-b", block) == Said(data, "")
    assert hub.row(client.name)["readings"] == 1


@pytest.mark.parametrize("size", [1025, 8192, 32768])
def test_too_large(hub: Hub, client: Client, size: int) -> None:
    sent = client("readings", "-m", "post", "-t", 42, "-f", client.body(bytes(size)))
    assert sent.error.startswith("4.13")
    assert hub.row(client.name)["readings"] == 0


def test_observe(hub: Hub, client: Client) -> None:
    """What the operator sets while libcoap observes arrives; in the end it cancels, and reads."""
    client("readings")
    hub("set", client.name, "colour", "red")
    observing = client.start("config/colour", "-s", 6)
    time.sleep(1)
    hub("set", client.name, "colour", "blue")
    said = said_by(observing)
    assert re.fullmatch(b"(red)+(blue){2,}", said.body)  # a notification may repeat what is known
    assert said.error == ""


# Our device at libcoap's server.

SERVER = Context(SECRET, SALT, b"\x01\x02\x03", b"")  # the hub's way: the server's ID is empty
OTHER = replace(SERVER, client_id=b"lib")  # of libcoap's own client at the same server


class Server:
    """libcoap's server, and Partial IVs that it has not seen."""

    def __init__(self, address: Address, folder: Path) -> None:
        self.address = address
        self.folder = folder
        self.numbers = count(0, 64)

    def ask(self, *steps: dict[str, Any], **more: Any) -> list[Any]:
        """Let a device make these requests; return the results of each."""
        first, *others = steps
        first = {"sequence": next(self.numbers), **first}
        return [line["results"] for line in device(self.address, SERVER, first, *others, **more)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("libcoap")
    secrets = SERVER.for_libcoap("server", folder / "oscore.conf")
    with secrets.open("a") as file:
        file.write(f'recipient_id,hex,"{OTHER.client_id.hex()}"\n')
    OTHER.for_libcoap("client", folder / "other.conf")
    address = (HOST, free_port())
    command = libcoap("server-openssl", "-A", HOST, "-p", address[1], "-E", secrets, "-d", 100)
    with served(command, address, folder / "log"):
        yield Server(address, folder)


def code_of(results: list[Any]) -> int:
    assert "error" not in results[0], results
    code: int = results[0]["code"]
    return code


def option(result: dict[str, Any], number: int) -> bytes | None:
    found = [bytes.fromhex(value) for each, value in result["options"] if each == number]
    return found[0] if found else None


def test_device_gets(server: Server) -> None:
    ((result,),) = server.ask({})
    assert result["code"] == CONTENT
    assert b"test server made with libcoap" in bytes.fromhex(result["payload"])


@pytest.mark.parametrize("size", [1, 12, 300, 500])  # its link takes 640 bytes
def test_device_puts_gets_and_deletes(server: Server, size: int) -> None:
    data = bytes(i * i & 255 for i in range(size)).hex()
    there = {"path": f"made/by/device/{size}"}
    put = {**there, "code": PUT, "options": [[CONTENT_FORMAT, "2a"]], "payload": data}
    made, again, read, gone, missing = server.ask(
        put, put, there, {**there, "code": DELETE}, there
    )
    assert (code_of(made), code_of(again)) == (CREATED, CHANGED)
    assert (code_of(read), read[0]["payload"]) == (CONTENT, data)
    assert option(read[0], CONTENT_FORMAT) == b"\x2a"
    assert (code_of(gone), code_of(missing)) == (DELETED, NOT_FOUND)


def test_device_observes_and_cancels(server: Server) -> None:
    """libcoap's clock, once a second: numbers rise, and all differ."""
    (results,) = server.ask({"observe": "time", "take": 4, "cancel": True})
    numbers = [each["number"] for each in results]
    assert numbers == sorted(set(numbers))
    for each in results:
        assert (each["code"], option(each, OBSERVE)) == (CONTENT, b"")
    assert len({each["payload"] for each in results}) == 4


@pytest.mark.parametrize("size", [257, 512, 1000, 4096])
def test_device_sends_and_takes_blocks(server: Server, size: int) -> None:
    """Block1 and Block2 inside OSCORE, 256 bytes each."""
    data = bytes(i * i >> 3 & 255 for i in range(size)).hex()
    sent, read = server.ask({"put": f"long/{size}", "payload": data}, {"get": f"long/{size}"})
    assert code_of(sent) == CREATED
    assert (code_of(read), read[0]["payload"]) == (CONTENT, data)


def test_device_takes_what_libcoap_put(server: Server) -> None:
    """Two clients of one server, each in its own context."""
    data = bytes(33 + i % 90 for i in range(3000))
    (server.folder / "body").write_bytes(data)
    secrets = f"{server.folder / 'other.conf'},{server.folder / 'sequence'}"
    put = ("-m", "put", "-t", 42, "-f", server.folder / "body")
    made = said_by(start_client(server.address, "large", "-E", secrets, *put))
    assert made == Said(b"", "")
    (read,) = server.ask({"get": "large"})
    assert (code_of(read), bytes.fromhex(read[0]["payload"])) == (CONTENT, data)


@pytest.mark.parametrize(
    ("changed", "code"), [({"sender_id": "7a"}, 0x81), ({"broken": ["_sender"]}, 0x80)]
)
def test_device_is_refused(server: Server, changed: dict[str, Any], code: int) -> None:
    ((result,),) = server.ask({}, **changed)
    assert (result["error"], result["code"]) == ("Malformed", code)


def test_device_hears_what_it_cannot_open(server: Server) -> None:
    ((result,),) = server.ask({}, broken=["_recipient"])
    assert result["error"] == "BadTag"


def test_device_answers_an_echo_challenge_and_replays(tmp_path: Path) -> None:
    """libcoap's default: it trusts no first request (RFC 8613 appendix B.1.2).

    Without that default libcoap does not look for replays at all.
    """
    secrets = SERVER.for_libcoap("server", tmp_path / "oscore.conf")
    secrets.write_text(secrets.read_text().replace("b_1_2,bool,false", "b_1_2,bool,true"))
    address = (HOST, free_port())
    command = libcoap("server-openssl", "-A", HOST, "-p", address[1], "-E", secrets)
    with served(command, address, tmp_path / "log"):
        (first, replay) = device(address, SERVER, {"echo": True}, {"sequence": 1})
    challenge, answer = first["results"]
    assert (challenge["code"], challenge["options"][0][0]) == (0x81, 252)
    assert answer["code"] == CONTENT
    (refused,) = replay["results"]
    assert (refused["error"], refused["code"]) == ("Malformed", 0x81)
