"""A device that is silent, stolen or copied, as an operator meets it: a real hub, real sockets."""

import copy
import json
import os
import socket
import subprocess

import pytest
from peer import Peer, until
from real import finish

from skerry import coap


def causes(hub, name):
    return [each["cause"] for each in hub("explain", name)]


def lines(hub, *arguments):
    done = subprocess.run(hub.command(*arguments), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def twin(peer):
    """A second board with the same image."""
    other = copy.copy(peer)
    other.chain = type(peer.chain).unpack(peer.chain.pack())
    other.nonce += 1000
    other.sent, other.heard = [], []
    other.move()
    return other


def test_from_never_seen_to_the_network(hub):
    assert "no device" in hub("explain", "nobody", ok=False)
    board = hub.board("d-1")
    assert causes(hub, "d-1") == ["never seen"]
    finish(hub.power(board))
    (found,) = hub("explain", "d-1")
    assert found["cause"] == "in a session"
    assert "127.0.0.1" in found["text"]
    hub.stop()
    assert causes(hub, "d-1") == ["no hub"]
    hub.start()
    (found,) = hub("explain", "d-1")
    assert (found["cause"], "skerry poke d-1" in found["remedy"]) == ("network", True)


def test_bad_tag_and_unknown_pseudonym_and_unknown_session(hub):
    peer = Peer(hub, "lamp")
    attempt = peer.attempt()
    peer.send(attempt[:-1] + bytes((attempt[-1] ^ 1,)))
    assert peer.silent(0.3)
    assert causes(hub, "lamp") == ["bad tag", "never seen"]
    peer.join()
    old = peer.request()
    hub.stop()
    hub.start()
    peer.send(old)
    assert coap.decode(peer.receive()).code == coap.UNAUTHORIZED
    assert causes(hub, "lamp") == ["unknown session"]
    peer.send(peer.datagram(bytes([0x50]) + b"nobody" + bytes(16)))
    assert peer.silent(0.3)
    assert causes(hub, "lamp") == ["unknown pseudonym"]


def test_revoked_and_undeleted(hub, tmp_path):
    peer = Peer(hub, "lamp")
    peer.join()
    hub("tag", "lamp", "kitchen", "north")
    hub("revoke", "lamp")
    (found,) = hub("explain", "lamp")
    assert found["cause"] == "revoked"
    assert "skerry undelete lamp" in found["remedy"]
    assert ", by " in found["text"]
    said = hub("undelete", "lamp")
    assert "only what was revoked" in hub("undelete", "lamp", ok=False)
    row = hub.row("lamp")
    assert (row["state"], row["tags"], row["readings"]) == ("active", "kitchen north", 1)
    assert row["fingerprint"] == said["fingerprint"]
    peer.send(peer.attempt())  # the old key is gone for good
    assert peer.silent(0.3)
    again = Peer.__new__(Peer)
    super(Peer, again).__init__(hub.data / "bundles" / "lamp")
    again.hub, again.sent, again.heard = hub.address, [], []
    again.move()
    again.join()
    assert hub.row("lamp")["readings"] == 2


def test_quarantine_cuts_the_session_and_release_lets_it_back(hub):
    peer = Peer(hub, "lamp")
    peer.join()
    hub("quarantine", "lamp", "--reason", "odd values")
    until(lambda: answered(peer) != coap.CHANGED)
    assert causes(hub, "lamp") == ["quarantined"]
    assert "odd values" in hub("explain", "lamp")[0]["text"]
    for recover in (False, True):
        peer.send(peer.attempt(recover))
        assert peer.silent(0.3)
    assert hub("release", "lamp")["changed"] is True
    until(lambda: not peer.send(peer.attempt()) and not peer.silent(3))  # the same chain goes on
    peer.accept([peer.heard[-1]])
    assert peer.post().code == coap.CHANGED
    assert hub.row("lamp")["era"] == 0


def answered(peer):
    """The code of the answer to a request; of an unprotected one too."""
    outer = coap.decode(peer.round_trip(peer.request()))
    if outer.option(coap.OSCORE) is None:
        return outer.code
    return peer.session.oscore.unprotect_response(outer, peer.binding).code


@pytest.mark.parametrize("policy", ["report", "quarantine"])
def test_a_copied_device(hub, policy, monkeypatch):
    hub.stop()
    monkeypatch.setenv("SKERRY_CLONES", policy)
    hub.start()
    peer = Peer(hub, "lamp")
    other = twin(peer)
    peer.join()
    assert causes(hub, "lamp") == ["in a session"]

    other.send(other.attempt())  # its epoch is spent; nothing tells yet who it is
    assert other.silent(0.3)
    other.accept([other.round_trip(other.attempt(recover=True))])
    assert other.post().code == coap.CHANGED
    assert "clone suspected" not in causes(hub, "lamp")  # it may have lost its last write

    assert answered(peer) == coap.UNAUTHORIZED
    peer.send(peer.attempt())
    assert peer.silent(0.3)
    found = {each["cause"]: each for each in hub("explain", "lamp")}
    assert "somebody at 127.0.0.1" in found["clone suspected"]["text"]
    entries = [each for each in lines(hub, "audit") if each["action"] == "clone suspected"]
    assert [each["who"] for each in entries] == ["hub"]
    for _ in range(3):  # said once
        peer.send(peer.attempt())
        assert peer.silent(0.2)
    entries = [each for each in lines(hub, "audit") if each["action"] == "clone suspected"]
    assert len(entries) == 1
    if policy == "report":
        assert hub.row("lamp")["state"] == "active"
        assert other.post().code == coap.CHANGED
    else:
        assert hub.row("lamp")["state"] == "quarantined"
        assert answered(other) == coap.UNAUTHORIZED
    assert "a copy of it is suspected" in hub.log.read_text()


def test_a_device_that_only_lost_answers_is_no_copy(hub):
    """It recovers, and never shows the epoch again that it skipped."""
    peer = Peer(hub, "lamp")
    peer.join()
    for _ in range(4):
        peer.accept([peer.round_trip(peer.attempt(recover=True))])
        assert peer.post().code == coap.CHANGED
        assert causes(hub, "lamp") == ["in a session"]


def test_noise_does_not_push_out_memory_without_bound(hub):
    peer = Peer(hub, "lamp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.connect(hub.address)
        for _ in range(3000):
            wire.send(peer.datagram(bytes([0x50]) + os.urandom(22)))
    peer.join()
    assert causes(hub, "lamp") == ["in a session"]


APP = """
import aiocoap

def add(site, devices):
    from aiocoap import resource
    class Ask(resource.Resource):
        async def render_post(self, request):
            name = request.payload.decode()
            message = aiocoap.Message(code=aiocoap.GET, uri_path=["temp"])
            try:
                await devices.request(name, message, within=2)
                return aiocoap.Message(payload=b"answered")
            except Exception as error:
                return aiocoap.Message(payload=type(error).__name__.encode())
    site.add_resource(["ask"], Ask())
"""


def test_an_app_asks_whom_the_policy_lets_it(hub, tmp_path, monkeypatch):
    (tmp_path / "asking.py").write_text(APP)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *os.sys.path]))
    monkeypatch.setenv("SKERRY_APP", "asking:add")
    hub.stop()
    hub.start()
    lamp, door = Peer(hub, "lamp"), Peer(hub, "door")
    lamp.join()
    door.join()

    def ask(name):
        lamp.send(lamp.request(name, path="ask"))
        while True:  # a request of the hub may come before the answer
            outer = coap.decode(lamp.receive())
            if outer.code == coap.CHANGED:
                return lamp.session.oscore.unprotect_response(outer, lamp.binding).payload

    (tmp_path / "rules").write_text("app -> actor  # and nobody else\nsensor -> actor\n")
    hub("policy", "--set", str(tmp_path / "rules"))
    assert hub("policy")["rules"] == ["app -> actor", "sensor -> actor"]
    assert ask(b"door") == b"NotAllowed"
    hub("tag", "door", "actor")
    served = door.serve(lambda request: (coap.CONTENT, b"20"))
    assert ask(b"door") == b"answered"
    served.join()
    assert "no rule lets" in hub("policy", "--may", "lamp", "door", ok=False)
    hub("tag", "lamp", "sensor")
    hub("policy", "--may", "lamp", "door")
    (tmp_path / "rules").write_text("app actor\n")
    assert "policy line 1" in hub("policy", "--set", str(tmp_path / "rules"), ok=False)
