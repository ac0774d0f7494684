"""docs/hub-api.md does what it says: its example runs in a hub process."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest
from peer import Peer

from skerry import coap, further

PAGE = Path(__file__).parents[2] / "docs" / "hub-api.md"

MORE = """
import json, time

class Told(resource.Resource):
    async def render_post(self, request):
        remote = request.remote
        return aiocoap.Message(payload=json.dumps({
            "device": remote.device, "fingerprint": remote.fingerprint, "window": remote.window,
            "key": remote.export_key("lock", b"door", 16).hex(), "now": time.time(),
        }).encode())

class Store(resource.Resource):
    body = b""

    async def render_put(self, request):
        self.body = request.payload
        return aiocoap.Message()

    async def render_get(self, request):
        return aiocoap.Message(payload=self.body)

class Back(resource.Resource):
    def __init__(self, devices):
        super().__init__()
        self.devices = devices

    async def render_post(self, request):
        asked = aiocoap.Message(code=aiocoap.GET, uri_path=["n"])
        answer = await self.devices.request(request.remote.device, asked)
        return aiocoap.Message(payload=b"it said " + answer.payload)

async def more(site, devices):
    site.add_resource(["back"], Back(devices))
    site.add_resource(["told"], Told())
    site.add_resource(["store"], Store())
"""


@pytest.fixture
def app(hub, monkeypatch):
    """Start the hub anew with a function of the example's module."""
    (source,) = re.findall(r"```python\n# greenhouse.py\n(.*?)```", PAGE.read_text(), re.S)
    (hub.folder / "greenhouse.py").write_text(source + MORE)
    monkeypatch.chdir(hub.folder)

    def start(function):
        hub.kill()
        monkeypatch.setenv("SKERRY_APP", f"greenhouse:{function}")
        hub.start()

    return start


def test_the_example(hub, app):
    app("add")
    peer, other = Peer(hub, "d-1"), Peer(hub, "d-2")
    peer.join()
    other.join()
    first = peer.notification(peer.round_trip(peer.registration("valve")))[0]
    assert first.payload == b"0"
    answer = other.response([other.round_trip(other.request(b"30", path="valve"))])
    assert answer.code == coap.CHANGED
    told = peer.receive()
    assert peer.notification(told)[0].payload == b"70"
    peer.acknowledge(told)
    assert peer.response([peer.round_trip(peer.request(b"", coap.GET, "valve"))]).payload == b"70"


def test_a_resource_asks_the_device_back(hub, app):
    """While the device's own request is open: each has its own session counters and tokens."""
    app("more")
    peer = Peer(hub, "d-1")
    peer.join()
    for number in range(3):
        peer.send(peer.request(b"", path="back"))
        answers = []
        while len(answers) < 2:
            datagram = peer.receive()
            outer = coap.decode(datagram)
            if outer.type == coap.CON and outer.option(coap.OSCORE)[1:2]:  # has a kid: a request
                request, binding = peer.asked(datagram)
                peer.send(peer.answer(request, binding, b"%d" % number))
                answers.append(datagram)
            elif outer.code:
                assert peer.response([datagram]).payload == b"it said %d" % number
                answers.append(datagram)


def test_what_a_resource_sees_of_the_device(hub, app):
    app("more")
    peer = Peer(hub, "d-1")
    before = time.time()
    peer.join()
    joined = time.time()
    time.sleep(0.5)
    answer = peer.response([peer.round_trip(peer.request(b"", path="told"))])
    seen = json.loads(answer.payload)
    assert (seen["device"], seen["fingerprint"]) == ("d-1", peer.session.fingerprint)
    key = further.exported(peer.session.secret, b"lock", b"door", 16)
    assert seen["key"] == key.hex()
    earliest, latest = seen["window"]
    assert before <= earliest <= joined
    assert joined + 0.5 <= latest <= seen["now"]


def test_bodies_of_several_blocks(hub, app):
    """3,000 bytes there and back through a resource that knows nothing of blocks."""
    app("more")
    peer = Peer(hub, "d-1")
    peer.join()
    body = bytes(range(250)) * 12

    def ask(code, payload, option):
        peer.mid += 1
        inner = coap.Message(
            code, [*coap.path_options("store"), option], payload, coap.CON, peer.mid, b"b"
        )
        outer, peer.binding = peer.session.oscore.protect_request(inner)
        return peer.response([peer.round_trip(coap.encode(outer))])

    for at in range(0, len(body), 256):
        more = len(body) > at + 256
        option = (27, coap.uint(at // 256 << 4 | more << 3 | 4))
        assert ask(coap.PUT, body[at : at + 256], option).code == (0x5F if more else 0x44)
    got, number, more = b"", 0, True
    while more:
        answer = ask(coap.GET, b"", (23, coap.uint(number << 4 | 4)))
        got, number = got + answer.payload, number + 1
        more = answer.option(23)[-1] & 8
    assert got == body


def test_without_a_session_nothing_but_the_list(hub, app):
    app("more")
    peer = Peer(hub, "d-1")
    for path, code in (("store", coap.UNAUTHORIZED), (".well-known/core", coap.CONTENT)):
        peer.mid += 1
        plain = coap.Message(coap.GET, coap.path_options(path), b"", coap.CON, peer.mid, b"p")
        assert coap.decode(peer.round_trip(coap.encode(plain))).code == code


@pytest.mark.parametrize(
    ("app_", "text"),
    [("greenhouse", "MODULE:FUNCTION"), ("nowhere:x", "No module"), ("json:nothing", "nothing")],
)
def test_an_app_that_is_none(hub, app_, text):
    hub.kill()
    command = hub.command("run", "--listen", "127.0.0.1:0", "--app", app_)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert text in done.stderr
