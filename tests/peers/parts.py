"""Peers of other people, as processes on loopback, and ours to meet them."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ports import free_port
from real import Hub

from skerry import coap, record, schedule, wire
from skerry.chain import Chain
from skerry.initiator import Start
from skerry_hub.sim.fleet import interpreter, library

ROOT = Path(__file__).parents[2]
PEERS = ROOT / "build" / "peers"
LIBCOAP = PEERS / "libcoap"
PLUGTEST = PEERS / "aiocoap" / "contrib" / "oscore-plugtest"
HOST = "127.0.0.1"
ALGORITHMS = {10: "AES-CCM-16-64-128", 30: "AES-CCM-16-128-128"}

Address = tuple[str, int]


def ask(datagram: bytes, address: Address, timeout: float = 2) -> bytes | None:
    """Send one datagram and return the first answer, None for silence or nobody there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.settimeout(timeout)
        made.connect(address)
        try:
            made.send(datagram)
            return made.recv(2048)
        except OSError:
            return None


PING = b"\x40\x00\x12\x34"
PONG = b"\x70\x00\x12\x34"  # a reset: RFC 7252 section 4.3


@contextmanager
def served(
    command: list[Any], address: Address, log: Path, script: str = "", **more: Any
) -> Iterator[None]:
    """Run a server until the block ends; it is there once it answers a CoAP ping.

    `script` is what it reads, `more` is for Popen.
    """
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, stdin=subprocess.PIPE, text=True, **more
        )
    assert process.stdin is not None
    process.stdin.write(script)
    process.stdin.close()
    try:
        end = time.monotonic() + 20
        while ask(PING, address, 0.2) != PONG:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Context:
    """What both ends of an OSCORE security context are given (RFC 8613 section 3.2)."""

    secret: bytes
    salt: bytes
    client_id: bytes
    server_id: bytes
    id_context: bytes | None = None
    algorithm: int = 10

    def ids(self, end: str) -> tuple[bytes, bytes]:
        """Return Sender ID and Recipient ID of the client or the server."""
        both = (self.client_id, self.server_id)
        return both if end == "client" else both[::-1]

    def for_libcoap(self, end: str, file: Path) -> Path:
        """Write coap-oscore-conf(5). Replay windows start empty: no Echo for the first request."""
        sender, recipient = self.ids(end)
        lines = [
            f'master_secret,hex,"{self.secret.hex()}"', f'master_salt,hex,"{self.salt.hex()}"',
            f'sender_id,hex,"{sender.hex()}"', f'recipient_id,hex,"{recipient.hex()}"',
            f"aead_alg,integer,{self.algorithm}", "rfc8613_b_1_2,bool,false",
        ]  # fmt: skip
        if self.id_context is not None:
            lines.append(f'id_context,hex,"{self.id_context.hex()}"')
        file.write_text("\n".join(lines) + "\n")
        return file

    def for_aiocoap(self, end: str, folder: Path) -> Path:
        """Write the folder of aiocoap's FilesystemSecurityContext."""
        sender, recipient = self.ids(end)
        folder.mkdir(parents=True)
        settings = {
            "sender-id_hex": sender.hex(), "recipient-id_hex": recipient.hex(),
            "algorithm": ALGORITHMS[self.algorithm],
        }  # fmt: skip
        if self.id_context is not None:
            settings["id-context_hex"] = self.id_context.hex()
        (folder / "settings.json").write_text(json.dumps(settings))
        secret = {"secret_hex": self.secret.hex(), "salt_hex": self.salt.hex()}
        (folder / "secret.json").write_text(json.dumps(secret))
        return folder

    def for_us(self, end: str) -> dict[str, Any]:
        """Return what on_device.py and server.py take."""
        sender, recipient = self.ids(end)
        return {
            "secret": self.secret.hex(), "salt": self.salt.hex(), "sender_id": sender.hex(),
            "recipient_id": recipient.hex(), "algorithm": self.algorithm,
            "id_context": None if self.id_context is None else self.id_context.hex(),
        }  # fmt: skip


def handshake(bundle: Path, address: Address) -> Context:
    """Make a handshake as the device of this bundle; return the context that it gives."""
    config = json.loads((bundle / "skerry.json").read_text())
    unpacked = record.unpack((bundle / "skerry.0").read_bytes())
    assert unpacked is not None
    names = config["device"].encode(), config["hub"].encode()
    ctx = schedule.context(config["suite"], *names)
    message_1, wait = Start(ctx, config["suite"], Chain.unpack(unpacked[1])).send(os.urandom(8))
    request = coap.Message(coap.POST, coap.path_options("k"), message_1, token=b"t")
    answer = ask(coap.encode(request), address)
    assert answer is not None
    accepted = wait.receive(coap.decode(answer).payload)
    stored = record.pack(unpacked[0] + 1, accepted.record)
    (bundle / "skerry.0").write_bytes(stored)
    key, salt, kid = schedule.oscore_secrets(accepted.persisted(accepted.record))
    return Context(key, salt, kid, b"", None, wire.SUITES[config["suite"]][1])


_names = count(1)


def enrolled(hub: Hub, suite: int = 0) -> tuple[str, Context]:
    """Enrol a device and make its handshake; return its name and the session's context."""
    name = f"peer-{next(_names)}"
    hub("enroll", name, "--suite", str(suite))
    return name, handshake(hub.data / "bundles" / name, hub.address)


def libcoap(program: str, *arguments: Any) -> list[str]:
    """Return the command of one of libcoap's programs, under the libraries it was built for."""
    lib = LIBCOAP / "usr" / "lib" / "x86_64-linux-gnu"
    loader = [str(lib / "ld-linux-x86-64.so.2"), "--library-path", str(lib)]
    return [*loader, str(LIBCOAP / "usr" / "bin" / f"coap-{program}"), *map(str, arguments)]


@dataclass
class Said:
    """What coap-client printed: the body, and what it complains of, such as "4.04"."""

    body: bytes
    error: str


def start_client(address: Address, path: str, *arguments: Any) -> "subprocess.Popen[bytes]":
    """Start libcoap's client for one request, or for an observation of "-s SECONDS"."""
    uri = f"coap://{address[0]}:{address[1]}/{path}"
    command = libcoap("client-openssl", "-B", 10, *arguments, uri)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def said_by(client: "subprocess.Popen[bytes]") -> Said:
    """Wait for the client's end and return what it said."""
    body, error = client.communicate(timeout=20)
    assert client.returncode == 0, error
    return Said(body.removesuffix(b"\n"), error.decode().strip())


def on_micropython(program: str) -> tuple[list[str], dict[str, str]]:
    """Return command and environment of a program of this folder, over the compiled library.

    Its heap is for what it records; tests/interop has devices in 64 KiB.
    """
    environment = {**os.environ, "MICROPYPATH": str(library(ROOT / "build"))}
    return [interpreter(), "-X", "heapsize=1m", str(ROOT / "tests/peers" / program)], environment


@contextmanager
def serving_device(context: Context, log: Path) -> Iterator[Address]:
    """Run a device of ours that serves, and return where."""
    address = (HOST, free_port())
    script = {
        "address": address,
        "context": context.for_us("server"),
        "steps": [{"serve": 90_000}],
    }
    command, environment = on_micropython("on_device.py")
    with served(command, address, log, json.dumps(script), env=environment):
        yield address


def device(
    address: Address, context: Context | None, *steps: dict[str, Any], **more: Any
) -> list[Any]:
    """Let a device of ours make requests; return what came of each (see on_device.py)."""
    given = {**context.for_us("client"), **more} if context is not None else None
    script = {"address": address, "context": given, "steps": steps}
    command, environment = on_micropython("on_device.py")
    done = subprocess.run(
        command, input=json.dumps(script), env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(steps)
    return lines
