"""The device's API against a real hub, over a network that loses, repeats and moves."""

import hashlib
import socket
import threading
import time

import pytest
from program import Program, run

CONNECT = """
import skerry_device
hub = skerry_device.connect(timeout_ms=4000, ack_timeout_ms=300)
"""

STORE = """
import aiocoap
from aiocoap import resource

class Store(resource.Resource):
    body = b""

    async def render_put(self, request):
        self.body = request.payload
        return aiocoap.Message()

    async def render_get(self, request):
        return aiocoap.Message(payload=self.body)

    async def render_post(self, request):
        return aiocoap.Message(payload=request.payload * 150)

def add(site, devices):
    site.add_resource(["store"], Store())
"""


@pytest.fixture
def running(hub, tmp_path):
    """Start a program of this text on a board; it ends with the test."""
    started = []

    def start(folder, text, heap="128k"):
        source = tmp_path / f"program{len(started)}.py"
        source.write_text(text)
        program = Program(source, folder, heap)
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()


@pytest.fixture
def store(hub, monkeypatch):
    """Start the hub anew with a resource that keeps bodies of any length."""
    hub.kill()
    (hub.folder / "store_app.py").write_text(STORE)
    monkeypatch.chdir(hub.folder)
    command = hub.command

    def extended(*arguments):
        return command(*arguments, *(("--app", "store_app:add") if arguments[0] == "run" else ()))

    monkeypatch.setattr(hub, "command", extended)
    hub.start()


def test_observe_through_losses_moves_and_restarts(hub, running):
    """T14, T7: half of all datagrams lost; another address; a hub that was killed."""
    relay = hub.relay()
    watcher = running(
        hub.board("d-1", relay),
        CONNECT
        + """
watch = hub.observe("config/led", timeout_ms=300)
while True:
    for message in watch:
        print("led:" + message.text())
    hub.queue("readings", {"n": 1})
""",
    )
    watcher.says("led:")
    hub("set", "d-1", "led", "red")
    watcher.says("led:red")
    relay.rule = lambda way, index, _: [] if index % 2 else [0.0]
    hub("set", "d-1", "led", "green")
    watcher.says("led:green", limit=60)
    relay.rule = lambda way, index, _: [0.0]
    fingerprint = hub.row("d-1")["session_fingerprint"]
    relay.move()
    hub("set", "d-1", "led", "blue")
    watcher.says("led:blue", limit=60)
    assert hub.row("d-1")["session_fingerprint"] == fingerprint
    hub.kill()
    hub.start()
    hub("set", "d-1", "led", "white")
    watcher.says("led:white", limit=60)
    assert hub.row("d-1")["session_fingerprint"] != fingerprint


def test_the_hub_asks(hub, running):
    """Each method, an unknown path, a method that is not served; then a new session by a poke."""
    program = running(
        hub.board("d-1"),
        CONNECT
        + """
state = {"led": "off"}

def put(request):
    state["led"] = request.text()

hub.serve("led", get=lambda request: state["led"], put=put)
before = hub.fingerprint
while True:
    hub.listen(1000)
    if hub.fingerprint != before:
        before = hub.fingerprint
        print("session", before)
    print("listening")
""",
    )
    program.says("listening")
    assert "off" in str(hub("request", "d-1", "get", "led"))
    hub("request", "d-1", "put", "led", "on")
    assert "on" in str(hub("request", "d-1", "get", "led"))
    hub("request", "d-1", "get", "nowhere", ok=False)
    hub("request", "d-1", "delete", "led", ok=False)
    hub("poke", "d-1")
    session = program.says("session", limit=100).split()[1]
    assert hub.row("d-1")["session_fingerprint"] == session
    assert "on" in str(hub("request", "d-1", "get", "led"))


def test_blocks_both_ways(hub, store, tmp_path):
    """12,000 bytes up and down as streams on a heap that could not hold them twice; then whole."""
    relay = hub.relay(lambda way, index, _: [] if index % 9 == 8 else [0.0])
    lines = run(
        hub,
        tmp_path,
        hub.board("d-1", relay),
        CONNECT
        + """
import gc
from hashlib import sha256

def piece(offset, length):
    length = max(min(length, 12000 - offset), 0)
    return bytes([(offset + i) * 7 & 255 for i in range(length)])

print(hub.upload("store", piece).code)
digest = sha256()
size = 0

def write(offset, data):
    global size, digest
    if not offset:
        digest, size = sha256(), 0
    digest.update(data)
    size += len(data)

print(hub.download("store", write).code, size, digest.digest().hex())
body = bytes(range(250)) * 12
print(hub.put("store", body).code)
print(hub.get("store").payload == body)
print(hub.post("store", b"a long answer").payload == b"a long answer" * 150)
""",
        "112k",
    )
    whole = bytes(i * 7 & 255 for i in range(12000))
    expected = ["68", f"69 12000 {hashlib.sha256(whole).hexdigest()}", "68", "True", "True"]
    assert lines == expected


def test_a_hub_that_restarts_in_a_transfer(hub, store, running):
    """It starts anew in a new session, by itself."""
    relay = hub.relay()
    program = running(
        hub.board("d-1", relay),
        CONNECT
        + """
body = bytes(range(250)) * 32
print("put", hub.put("store", body).code)
hub.limit = 8000
print("same", hub.get("store").payload == body)
""",
    )
    while len(relay.seen) < 20:
        time.sleep(0.001)
    hub.kill()
    hub.start()
    assert program.ends(60) == ["put 68", "same True"]


def test_the_hub_sends_and_fetches_in_blocks(hub, running):
    """Both ways at once: a request of 3,000 bytes, and the answer to it."""
    relay = hub.relay(lambda way, index, _: [] if index % 9 == 8 else [0.0])
    program = running(
        hub.board("d-1", relay),
        CONNECT
        + """
def image(request):
    print("whole", len(request.payload))
    return request.text() + "!"

hub.serve("image", image)
hub.post("readings", {"n": 1})
while True:
    hub.listen(1000)
    print("listening")
""",
    )
    program.says("listening")
    text = "".join(f"{number:05}" for number in range(600))
    answer = hub("request", "d-1", "put", "image", text)
    assert answer["text"] == text + "!"
    program.says("whole 3000")


def test_queue_through_an_outage(hub, running):
    program = running(
        hub.board("d-1"),
        CONNECT
        + """
import time
for number in range(1, 9):
    print("waiting", hub.queue("readings", {"n": number}), number)
    time.sleep_ms(200)
while hub.flush():
    time.sleep_ms(200)
print("done", hub.status()["dropped"])
""",
    )
    program.says("waiting 0 2")
    hub.kill()
    program.says("waiting 2", limit=60)
    hub.start()
    program.says("done 0", limit=120)
    assert hub.row("d-1")["readings"] == 8


def test_another_server_at_the_hubs_address(hub, running):
    """T15: whoever answers there is not the hub; the error says what to check."""
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.1", 0))

    def answer():
        while True:
            datagram, address = stranger.recvfrom(2048)
            if datagram == b"end":
                return
            token = datagram[4 : 4 + (datagram[0] & 15)]
            head = bytes((0x50 | len(token), 0x44)) + datagram[2:4] + token
            for reply in (
                head + b"\xff" + bytes(22),
                head,
                b"\x70\0" + datagram[2:4],
                b"HTTP/1.1",
            ):
                stranger.sendto(reply, address)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        hub.address, true = stranger.getsockname(), hub.address
        folder = hub.board("d-1")
        hub.address = true
        program = running(
            folder,
            "import skerry_device\ntry:\n    skerry_device.connect(timeout_ms=1000)\n"
            "except skerry_device.HubSilent as error:\n    print(error)\n",
        )
        assert program.ends() == ["no hub: check network, address, enrolment"]
    finally:
        stranger.sendto(b"end", stranger.getsockname())
        thread.join()
        stranger.close()


def test_synchronous_use_imports_nothing_else(hub, tmp_path):
    """Neither asyncio nor a module of ours that was not used."""
    lines = run(
        hub,
        tmp_path,
        hub.board("d-1"),
        CONNECT
        + """
import sys
hub.post("readings", {"c": 21.5})
hub.get("readings")
print(" ".join(sorted([name for name in sys.modules if "asyncio" in name or "skerry" in name])))
""",
        "64k",
    )
    (loaded,) = lines
    assert loaded.split() == [
        "skerry", "skerry.backend_micropython", "skerry.chain", "skerry.coap", "skerry.errors",
        "skerry.initiator", "skerry.oscore", "skerry.primitives", "skerry.record",
        "skerry.schedule", "skerry.session", "skerry.wire", "skerry_device",
        "skerry_device.client", "skerry_device.entropy", "skerry_device.errors",
        "skerry_device.exchange", "skerry_device.links", "skerry_device.links.udp",
        "skerry_device.store",
    ]  # fmt: skip
