"""Our code, in both roles, against protocol.json, which generate.py wrote without it."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from dual import test_trace

from skerry import coap, oscore, provisioning, schedule, wire_hub
from skerry.chain import Chain
from skerry.coap_server import uri_path
from skerry.errors import BadTag, Malformed, Replayed
from skerry.initiator import Start
from skerry.primitives import hkdf_expand
from skerry.responder import HubSession, Known, Pending, identify
from skerry.session import Session
from skerry_hub import handshakes
from skerry_hub.enrolment import coming
from skerry_hub.front import Front
from skerry_hub.handshakes import Handshakes
from skerry_hub.sessions import Sessions
from skerry_hub.store import NewDevice
from skerry_hub.store.database import create
from skerry_hub.store.sqlite import SqliteStore
from skerry_hub.vault import Vault, new_row_key

HERE = Path(__file__).parent
TEXT = {"name", "path", "to", "trace", "reason", "why", "protocol"}


def unhexed(value, name=""):
    """Return the file's content with bytes in place of hexadecimal digits."""
    if isinstance(value, dict):
        return {key: unhexed(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [unhexed(each) for each in value]
    return bytes.fromhex(value) if isinstance(value, str) and name not in TEXT else value


FILE = unhexed(json.loads((HERE / "protocol.json").read_text()))
TRACES = {trace["name"]: trace for trace in FILE["traces"]}
NEGATIVES = FILE["negatives"]

all_traces = pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)


def negatives(end):
    """The negative vectors to one end, each with its trace."""
    found = [each for each in NEGATIVES if each["to"] == end]
    ids = [f"{each['trace']}: {each['why']}" for each in found]
    return pytest.mark.parametrize("negative", found, ids=ids)


def chain(record):
    return Chain(record["era"], record["step"], record["ck"], record["next_rk"])


def start(trace):
    """The device at its record, or one attempt further."""
    at = chain(trace["device_before"])
    return Start(trace["ctx"], trace["suite"], at.next_era() if trace["recovery"] else at)


def known(trace):
    """What the hub holds before message 1."""
    return Known(trace["ctx"], trace["suite"], chain(trace["hub_before"]), None)


def pseudonyms(trace):
    """The era of each pseudonym that the hub looks for before message 1."""
    at = chain(trace["hub_before"])
    first = (schedule.pseudonym(at.chain_key), at.era)
    return dict([first, *coming(at)])


def ours(trace, at_hub):
    return (HubSession if at_hub else Session)(trace["ms"], trace["suite"])


# The file


def test_the_file_is_what_the_generator_writes():
    command = [sys.executable, HERE / "generate.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0


def test_the_generator_imports_nothing_of_ours():
    script = f"import runpy, sys; runpy.run_path({str(HERE / 'generate.py')!r})"
    script += "; print(*(name for name in sys.modules if name.startswith('skerry')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert not done.stdout.strip()


def test_the_generators_oscore_is_rfc_8613():
    """Appendix C.1.1 for the keys, C.4 for a request."""
    own = runpy.run_path(str(HERE / "generate.py"))
    derive, seal = own["oscore_derive"], own["seal"]
    secret, salt = bytes(range(1, 17)), bytes.fromhex("9e7ca92223786340")
    key = derive(secret, salt, b"", b"\x0a", b"Key", 16)
    common_iv = derive(secret, salt, b"", b"\x0a", b"IV", 13)
    assert key.hex() == "f0910ed7295e6ad4b54fc793154302ff"
    assert common_iv.hex() == "4622d4dd6d944168eefb54987c"
    nonce = own["oscore_nonce"](common_iv, b"", b"\x14")
    aad = own["oscore_aad"](b"\x0a", b"", b"\x14")
    sealed = seal(key, nonce, aad, bytes.fromhex("01b3747631"), 8)
    assert sealed.hex() == "612f1092f1776f1c1668b3825e"


def test_there_is_something_to_check():
    assert len(TRACES) == 27
    assert len(NEGATIVES) == 275
    assert {(each["suite"], each["timed"]) for each in TRACES.values()} == {
        (suite, timed) for suite in (0, 1) for timed in (False, True)
    }


def test_the_traces_for_micropython_are_copies():
    assert len(test_trace.TRACES) == 3
    for copy in test_trace.TRACES:
        trace = TRACES[copy["name"]]
        secrets, request, response = trace["oscore"], trace["request"], trace["response"]
        here = {
            **trace,
            **{
                each: chain(trace[each]).pack()
                for each in ("device_before", "hub_before", "after")
            },
            "era": trace["epoch"]["era"],
            "oscore": b"".join(
                secrets[each] for each in ("master_secret", "master_salt", "device_sender_id")
            ),
            **{each: request[each] for each in ("mid", "token", "payload")},
            "request": request["datagram"],
            "reply": response["payload"],
            "response": response["datagram"],
        }
        assert unhexed(copy) == {each: here[each] for each in copy}


# Keys


@all_traces
def test_context_and_chain(trace):
    ids = trace["device_id"], trace["hub_id"]
    assert schedule.context(trace["suite"], *ids) == trace["ctx"]
    if trace["k0"] is None:
        return
    first = provisioning.first_epoch(trace["k0"], trace["ctx"])
    assert provisioning.root_key(trace["k0"], trace["ctx"]) == trace["rk_0"]
    assert first.pack()[-32:] == trace["rk_1"]
    for name in ("device_before", "hub_before", "epoch", "after"):
        at = first
        while at.era < trace[name]["era"]:
            at = at.next_era()
        while at.step < trace[name]["step"]:
            at = at.next_step()
        assert at.pack() == chain(trace[name]).pack()


@all_traces
def test_exports(trace):
    secrets = trace["oscore"]
    assert schedule.oscore_secrets(trace["ms"]) == (
        secrets["master_secret"],
        secrets["master_salt"],
        secrets["device_sender_id"],
    )
    assert schedule.fingerprint(trace["ms"]) == trace["fingerprint"].hex()
    app = trace["export"]
    info = bytes((app["kind"], len(app["label"]))) + app["label"] + app["context"]
    assert hkdf_expand(trace["ms"], info, app["length"]) == app["value"]


@all_traces
def test_oscore_keys_at_both_ends(trace, monkeypatch):
    keys = []

    class Recorder(oscore.AesCcm):
        def __init__(self, key, tag_length):
            keys.append((key, tag_length))
            super().__init__(key, tag_length)

    monkeypatch.setattr(oscore, "AesCcm", Recorder)
    values, tag_length = trace["oscore"], len(trace["tag_1"])
    device = (values["device_sender_key"], tag_length)
    hub = (values["hub_sender_key"], tag_length)
    for at_hub, expected in ((False, [device, hub]), (True, [hub, device])):
        keys.clear()
        session = ours(trace, at_hub)
        assert keys == expected
        assert session.oscore.sender_id + session.oscore.recipient_id == values["device_sender_id"]
        assert session.oscore._common_iv == values["common_iv"]
        assert {session.oscore.sender_id, session.oscore.recipient_id} == {
            values["device_sender_id"],
            values["hub_sender_id"],
        }


# The handshake, in both roles


@all_traces
def test_device(trace):
    message_1, waiting = start(trace).send(trace["n_d"], trace["timed"])
    assert message_1 == trace["message_1"]
    assert message_1 == trace["header_1"] + trace["pid"] + trace["n_d"] + trace["tag_1"]
    accepted = waiting.receive(trace["message_2"])
    assert accepted.record == chain(trace["after"]).pack()
    assert accepted.time == trace["time"]
    assert accepted.persisted(accepted.record) == trace["ms"]

    second = trace["second_attempt"]
    message_1, waiting = start(trace).send(second["n_d"], trace["timed"])
    assert message_1 == second["message_1"]
    accepted = waiting.receive(second["message_2"])
    assert accepted.time == second["time"]
    assert accepted.persisted(accepted.record) == second["ms"]


@all_traces
def test_hub(trace):
    hello = identify(trace["message_1"])
    assert hello.pid == trace["pid"]
    era = pseudonyms(trace)[hello.pid]
    assert era == trace["epoch"]["era"]
    verified = known(trace).verify(hello, era)
    assert (verified.pending.pid, verified.pending.ek) == (trace["pid"], trace["ek"])
    assert verified.chain.pack() == chain(trace["after"]).pack()
    answer = verified.answer(trace["n_h"], trace["time"] or 0)
    assert answer == (trace["message_2"], trace["ms"])
    assert answer[0] == trace["header_2"] + trace["n_h"] + trace["t"] + trace["tag_2"]

    # The epoch is pending now: the same message again, and another attempt in it.
    stored = Known(
        trace["ctx"], trace["suite"], verified.chain, Pending(trace["pid"], trace["ek"])
    )
    again = stored.verify(hello, era)
    assert again.chain is None
    assert again.answer(trace["n_h"], trace["time"] or 0) == answer
    second = trace["second_attempt"]
    again = stored.verify(identify(second["message_1"]), era)
    assert again.chain is None
    answer = again.answer(trace["n_h"], second["time"] or 0)
    assert answer == (second["message_2"], second["ms"])


# Datagrams


def number(mid):
    return int.from_bytes(mid, "big")


@all_traces
def test_handshake_datagrams(trace):
    for name, code, options, payload in (
        ("coap_1", coap.POST, coap.path_options("k"), trace["message_1"]),
        ("coap_2", coap.CHANGED, [], trace["message_2"]),
    ):
        given = trace[name]
        mid, token = number(given["mid"]), given["token"]
        message = coap.Message(code, options, payload, coap.NON, mid, token)
        assert coap.encode(message) == given["datagram"]
        read = coap.decode(given["datagram"])
        assert (read.type, read.code, read.mid, read.token) == (coap.NON, code, mid, token)
        assert (read.options, read.payload) == (options, payload)


def request_of(trace):
    given = trace["request"]
    options = coap.path_options(given["path"])
    mid, token = number(given["mid"]), given["token"]
    return coap.Message(coap.POST, options, given["payload"], coap.CON, mid, token)


@all_traces
def test_protected_exchange(trace):
    given, answer = trace["request"], trace["response"]
    device, hub = ours(trace, at_hub=False).oscore, ours(trace, at_hub=True).oscore

    outer, asked = device.protect_request(request_of(trace))
    assert coap.encode(outer) == given["datagram"]
    assert (asked.partial_iv, asked.nonce) == (given["partial_iv"], given["nonce"])
    assert device._aad(asked) == given["aad"]

    received = coap.decode(given["datagram"])
    inner, binding = hub.unprotect_request(received)
    assert (inner.code, uri_path(inner), inner.payload) == (
        coap.POST,
        given["path"],
        given["payload"],
    )
    assert bytes((inner.code,)) + coap.encode_body(inner.options, inner.payload) == given["inner"]
    with pytest.raises(Replayed):
        hub.unprotect_request(received)

    reply = coap.Message(
        coap.CHANGED, [], answer["payload"], coap.ACK, received.mid, received.token
    )
    assert coap.encode(hub.protect_response(reply, binding)) == answer["datagram"]

    back = device.unprotect_response(coap.decode(answer["datagram"]), asked)
    assert (back.type, back.code, back.payload) == (coap.ACK, coap.CHANGED, answer["payload"])
    assert bytes((back.code,)) + coap.encode_body(back.options, back.payload) == answer["inner"]


@all_traces
def test_changed_protected_datagrams_open_nothing(trace):
    device, hub = ours(trace, at_hub=False).oscore, ours(trace, at_hub=True).oscore
    _, asked = device.protect_request(request_of(trace))
    request, response = trace["request"]["datagram"], trace["response"]["datagram"]
    for last in range(-len(trace["tag_1"]), 0):
        damaged = bytearray(request)
        damaged[last] ^= 1
        with pytest.raises(BadTag):
            hub.unprotect_request(coap.decode(bytes(damaged)))
        damaged = bytearray(response)
        damaged[last] ^= 1
        with pytest.raises(BadTag):
            device.unprotect_response(coap.decode(bytes(damaged)), asked)
    hub.unprotect_request(coap.decode(request))
    device.unprotect_response(coap.decode(response), asked)


# What has to be ignored

ERRORS = {"format": Malformed, "tag": BadTag}


def ignored_by_the_hub(negative, hub, looked_for):
    message, reason = negative["message"], negative["reason"]
    if reason == "pseudonym":
        assert identify(message).pid not in looked_for
        return
    with pytest.raises(ERRORS[reason]):
        # A message that has a good shape is of a known pseudonym here, so it gets this far.
        hub.verify(identify(message), looked_for[wire_hub.decode_message_1(message)[1]])


@negatives("hub")
def test_hub_ignores(negative):
    trace = TRACES[negative["trace"]]
    hub = known(trace)
    ignored_by_the_hub(negative, hub, pseudonyms(trace))
    verified = hub.verify(identify(trace["message_1"]), trace["epoch"]["era"])
    assert verified.chain.pack() == chain(trace["after"]).pack()
    assert verified.answer(trace["n_h"], trace["time"] or 0) == (trace["message_2"], trace["ms"])


@negatives("device")
def test_device_ignores(negative):
    trace = TRACES[negative["trace"]]
    _, waiting = start(trace).send(trace["n_d"], trace["timed"])
    with pytest.raises(ERRORS[negative["reason"]]):
        waiting.receive(negative["message"])
    accepted = waiting.receive(trace["message_2"])
    assert accepted.record == chain(trace["after"]).pack()
    assert accepted.persisted(accepted.record) == trace["ms"]


@pytest.mark.parametrize("name", sorted({each["trace"] for each in NEGATIVES}))
def test_all_of_them_in_a_row(name):
    """However many there are, the true message still leads on."""
    trace = TRACES[name]
    hub, looked_for = known(trace), pseudonyms(trace)
    _, waiting = start(trace).send(trace["n_d"], trace["timed"])
    for negative in [each for each in NEGATIVES if each["trace"] == name]:
        if negative["to"] == "hub":
            ignored_by_the_hub(negative, hub, looked_for)
        else:
            with pytest.raises(ERRORS[negative["reason"]]):
                waiting.receive(negative["message"])
    verified = hub.verify(identify(trace["message_1"]), trace["epoch"]["era"])
    message_2, secret = verified.answer(trace["n_h"], trace["time"] or 0)
    accepted = waiting.receive(message_2)
    assert accepted.persisted(accepted.record) == secret == trace["ms"]


# The whole hub: front, handshakes and database


class Wire:
    """A path that keeps what is sent, and a bridge that keeps what arrives."""

    peer = address = ("desk", 1)

    def __init__(self):
        self.sent = []
        self.requests = []

    def send(self, datagram):
        self.sent.append(datagram)

    def receive(self, datagram, remote):
        self.requests.append((datagram, remote))


class WholeHub:
    """A hub that holds one device as the trace says, under the trace's nonce key."""

    def __init__(self, trace, folder, monkeypatch):
        hub_id, name = trace["hub_id"].decode(), trace["device_id"].decode()
        create(folder / "hub.db", {})
        self.store = SqliteStore(folder / "hub.db")
        self.vault = Vault(bytes(32), hub_id, new_row_key(bytes(32), hub_id))
        at = chain(trace["hub_before"])
        sealed = self.vault.seal(b"chain", name.encode(), at.pack())
        pid = schedule.pseudonym(at.chain_key)
        device = NewDevice(name, "", trace["suite"], at.era, at.step, pid, sealed, "", 0.0)
        self.name = name
        self.device = self.store.enroll(device, coming(at))
        self.sessions = Sessions()
        monkeypatch.setattr(handshakes, "fresh_nonce_key", lambda _: trace["nk"])
        monkeypatch.setattr(handshakes, "hub_time", lambda: self.time)
        self.time = trace["time"] or 0
        self.handshakes = Handshakes(hub_id, self.store, self.vault, self.sessions)
        self.wire = Wire()
        self.front = Front(self.handshakes, self.sessions, self.store, self.wire)
        self.front._next_mid = number(trace["coap_2"]["mid"]) - 1

    def ask(self, datagram):
        self.wire.sent.clear()
        self.front.receive([(datagram, self.wire)])
        return list(self.wire.sent)

    def answer(self, message_1):
        """Return message 2, or None if there is no answer."""
        asked = coap.Message(coap.POST, coap.path_options("k"), message_1)
        answers = self.ask(coap.encode(asked))
        return coap.decode(*answers).payload if answers else None

    def rows(self):
        db = self.store._db
        devices = db.execute("SELECT * FROM device").fetchall()
        return devices, db.execute("SELECT * FROM coming ORDER BY pid").fetchall()


@pytest.fixture
def whole_hub(tmp_path, monkeypatch):
    made = []

    def make(trace):
        made.append(WholeHub(trace, tmp_path, monkeypatch))
        return made[0]

    yield make
    for each in made:
        each.store.close()


def is_text(trace):
    """Our hub's ids are text, though those of the protocol are bytes."""
    try:
        return bool(trace["device_id"].decode() and trace["hub_id"].decode())
    except UnicodeDecodeError:
        return False


TEXTUAL = {name: trace for name, trace in TRACES.items() if is_text(trace)}


def test_most_traces_are_for_the_whole_hub():
    assert len(TEXTUAL) == 24


@pytest.mark.parametrize("trace", TEXTUAL.values(), ids=TEXTUAL)
def test_whole_hub(trace, whole_hub):
    hub = whole_hub(trace)
    assert hub.ask(trace["coap_1"]["datagram"]) == [trace["coap_2"]["datagram"]]
    row = hub.store.device(hub.name)
    assert (row.era, row.step) == (trace["after"]["era"], trace["after"]["step"])
    (candidate,) = hub.store.candidates([trace["pid"]])[trace["pid"]]
    stored = hub.vault.open(b"chain", hub.name.encode(), candidate.chain)
    assert stored == chain(trace["after"]).pack()
    pending = hub.vault.open(b"pending", hub.name.encode(), candidate.pending_key)
    assert (candidate.pending_pid, pending) == (trace["pid"], trace["ek"])

    second = trace["second_attempt"]
    hub.time = second["time"] or 0
    assert hub.answer(second["message_1"]) == second["message_2"]

    given, answer = trace["request"], trace["response"]
    answers = hub.ask(given["datagram"])
    assert len(answers) == 1
    assert hub.wire.requests == []  # the front answers for this resource
    reading = hub.store.last_reading(hub.device)
    assert (reading.path, reading.payload) == (given["path"], given["payload"])
    (live,) = hub.sessions.current()
    (exchange,) = live.recent.values()
    read = coap.decode(given["datagram"])
    reply = coap.Message(coap.CHANGED, [], answer["payload"], coap.ACK, read.mid, read.token)
    protected = live.session.oscore.protect_response(reply, exchange.binding)
    assert coap.encode(protected) == answer["datagram"]
    # A duplicate gets the very bytes again; the handshake is confirmed, so its epoch is gone.
    assert hub.ask(given["datagram"]) == answers
    assert hub.store.last_reading(hub.device) == reading
    assert hub.store.device(hub.name).session_fingerprint == trace["fingerprint"].hex()
    assert hub.ask(trace["coap_1"]["datagram"]) == []
    assert hub.answer(second["message_1"]) is None


@pytest.mark.parametrize("name", sorted({each["trace"] for each in NEGATIVES}))
def test_whole_hub_ignores(name, whole_hub):
    trace = TRACES[name]
    hub = whole_hub(trace)
    before = hub.rows()
    for negative in [each for each in NEGATIVES if (each["to"], each["trace"]) == ("hub", name)]:
        given = trace["coap_1"]
        message = coap.Message(
            coap.POST, coap.path_options("k"), negative["message"], token=given["token"]
        )
        assert hub.ask(coap.encode(message)) == [], negative["why"]
        assert hub.rows() == before, negative["why"]
    assert hub.ask(trace["coap_1"]["datagram"]) == [trace["coap_2"]["datagram"]]
