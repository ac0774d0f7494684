"""Sessions at a hub process, with a device in CPython: what the hub starts, and how sessions end."""

import os
import sqlite3
import stat
import threading
import time

import pytest
from peer import Peer, said, until

from skerry import coap, poke
from skerry.coap_server import uri_path


@pytest.fixture
def peer(hub):
    """A device in a session."""
    peer = Peer(hub, "d-1")
    peer.join()
    return peer


def rows(hub, sql):
    with sqlite3.connect(hub.data / "skerry.db") as db:
        return db.execute(sql).fetchall()


def test_a_value_reaches_its_observer(hub, peer):
    peer.notification(peer.round_trip(peer.registration("config/led")))
    for value in ("red", "green", "blue"):
        start = time.monotonic()
        hub("set", "d-1", "led", value)
        told = peer.receive()
        print(f"told {time.monotonic() - start:.2f} s after the command began")
        assert peer.notification(told)[0].payload == value.encode()
        peer.acknowledge(told)
    assert said(hub, "set", "d-1").stdout == "led  blue\n"
    hub("set", "d-1", "led", "--remove")
    assert peer.notification(peer.receive())[0].payload == b""
    assert said(hub, "set", "d-1").stdout == ""


def test_an_observation_survives_a_lost_notification_and_a_new_address(hub, peer):
    peer.notification(peer.round_trip(peer.registration("config/led")))
    hub("set", "d-1", "led", "red")
    lost = peer.receive()
    start = time.monotonic()
    assert peer.receive() == lost  # RFC 7252 section 4.2: after 2 to 3 s, the same bytes
    assert 1.5 < time.monotonic() - start < 4
    peer.notification(lost)
    peer.acknowledge(lost)
    peer.move()
    assert peer.post().code == coap.CHANGED
    hub("set", "d-1", "led", "green")
    told = peer.receive()
    assert peer.notification(told)[0].payload == b"green"
    peer.acknowledge(told)


def test_a_request_from_the_command_line(hub, peer):
    def reply(request):
        if uri_path(request) == "missing":
            return 0x84, b""
        return (coap.CONTENT, b"21.5") if request.code == coap.GET else (coap.CHANGED, b"")

    serving = peer.serve(reply, 4)
    assert said(hub, "request", "d-1", "get", "temp").stdout == "2.05 Content  21.5\n"
    assert hub("request", "d-1", "put", "led", "on")["code"] == "2.04 Changed"
    missing = said(hub, "request", "d-1", "get", "missing", status=1)
    assert missing.stdout == "4.04 Not Found\n"
    answer = hub("request", "d-1", "post", "led", "00ff", "--format", "bytes")
    assert answer == {"code": "2.04 Changed", "format": None, "text": "", "hex": ""}
    serving.join()


def test_errors_are_one_line(hub, peer):
    silent = hub("request", "d-1", "get", "temp", "--timeout", "0.5", ok=False)
    assert silent == "skerry: d-1 does not answer: try again when it is awake and in reach\n"
    assert "skerry list" in hub("request", "d-9", "get", "temp", ok=False)
    assert "is no path" in hub("set", "d-1", "../x", "1", ok=False)
    assert "no json" in hub("set", "d-1", "x", "{", "--format", "json", ok=False)
    assert "hexadecimal" in hub("set", "d-1", "x", "zz", "--format", "cbor", ok=False)
    hub("enroll", "d-2")
    assert "connect once" in hub("poke", "d-2", ok=False)
    hub.kill()
    assert "skerry run" in hub("poke", "d-1", ok=False)
    hub.start()
    assert stat.S_IMODE(os.stat(hub.data / "control").st_mode) == 0o600


def test_a_second_hub_on_the_same_data_is_refused(hub):
    assert "another hub runs" in hub("run", "--listen", "127.0.0.1:0", ok=False)
    peer = Peer(hub, "d-1")
    peer.join()


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_poked_after_a_restart(hub, peer, end):
    """The hub finds the device where it was, although it lost the session."""
    if end == "stopped":
        hub.process.terminate()
        hub.process.wait()
    else:
        took = until(lambda: rows(hub, "SELECT * FROM address"), 15)
        print(f"the address was written down after {took:.1f} s")
        hub.kill()
    hub.start()
    assert said(hub, "poke", "d-1").stdout.startswith("d-1 was asked for a new session at 127.")
    told = coap.decode(peer.receive())
    assert (told.type, told.code, uri_path(told), len(told.payload)) == (coap.NON, 2, "k", 9)
    assert poke.accepted(peer.suite, peer.chain, told.payload)
    peer.join()


def test_a_request_waits_for_the_session_it_asked_for(hub, peer):
    hub.process.terminate()
    hub.process.wait()
    hub.start()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(hub("request", "d-1", "get", "temp")))
    asking.start()
    assert poke.accepted(peer.suite, peer.chain, coap.decode(peer.receive()).payload)
    peer.accept([peer.round_trip(peer.attempt())])
    peer.send(peer.request())
    for _ in range(2):  # the response that confirms, and the hub's request
        datagram = peer.receive()
        if coap.decode(datagram).type == coap.CON:
            request, binding = peer.asked(datagram)
            peer.send(peer.answer(request, binding, b"21"))
    asking.join()
    assert answers[0]["text"] == "21"


def test_revocation_ends_a_live_session_within_5_s(hub, peer):
    """With its observation, and with a request that waits for the device."""
    peer.notification(peer.round_trip(peer.registration("config/led")))
    failed = []
    asking = threading.Thread(
        target=lambda: failed.append(hub("request", "d-1", "post", "led", "1", ok=False))
    )
    asking.start()
    peer.asked(peer.receive())
    hub("revoke", "d-1")
    start = time.monotonic()
    while True:
        answer = coap.decode(peer.round_trip(peer.request()))
        while answer.type == coap.CON:  # the hub's request again
            answer = coap.decode(peer.receive())
        if answer.option(coap.OSCORE) is None and answer.code == coap.UNAUTHORIZED:
            break
        time.sleep(0.05)
        assert time.monotonic() - start < 5
    print(f"ended {time.monotonic() - start:.2f} s after the command")
    asking.join()
    assert "session ended" in failed[0]
    readings = hub.row("d-1")["readings"]
    assert peer.silent(4)  # neither a notification nor a retransmission
    assert hub.row("d-1")["readings"] == readings


def test_everything_again_after_kill_9(hub, peer):
    """A hub that lost its replay windows has lost the keys as well: nothing recorded counts."""
    peer.notification(peer.round_trip(peer.registration("config/led")))
    for number in range(5):
        peer.post(b"%d" % number)
    recorded, readings = list(peer.sent), hub.row("d-1")["readings"]
    hub.kill()
    hub.start()
    attacker = Peer(hub, "d-2")
    for datagram in recorded:
        attacker.send(datagram)
    attacker.socket.settimeout(1)
    answers = []
    try:
        while True:
            answers.append(coap.decode(attacker.receive()))
    except TimeoutError:
        pass
    assert {each.code for each in answers} <= {coap.UNAUTHORIZED, coap.EMPTY}
    assert hub.row("d-1")["readings"] == readings
    peer.join()
    assert hub.row("d-1")["readings"] == readings + 1


def test_order_and_edges_of_the_replay_window(hub, peer):
    """3 5 4 4 6 1, then the edge: each number once, those behind the window never."""
    base = peer.session.oscore.sequence
    numbered = {}
    for number in range(1, 50):
        peer.session.oscore.sequence = base + number
        numbered[number] = (peer.request(b"%d" % number), peer.binding)

    def accepted(number, fresh_mid=False):
        datagram, binding = numbered[number]
        if fresh_mid:  # no retransmission: the cache of answers does not know it
            datagram = datagram[:2] + os.urandom(2) + datagram[4:]
        before = hub.row("d-1")["readings"]
        peer.send(datagram)
        if peer.silent(0.3):
            return False
        peer.binding = binding
        peer.response(peer.heard[-1:])
        return hub.row("d-1")["readings"] == before + 1

    assert [accepted(each, True) for each in (3, 5, 4, 4, 6, 1)] == [
        True, True, True, False, True, True
    ]  # fmt: skip
    assert accepted(40, True)
    assert accepted(9, True)  # 31 behind: still inside
    assert not accepted(8, True)  # 32 behind
    assert not accepted(2, True)
    assert accepted(41, True)
    assert not accepted(41, True)
