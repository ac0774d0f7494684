"""A session's two ends, from the frozen session secret of tests/vectors/handshake_v1.json."""

from dual.tools import pattern, raises, unhex

from skerry import coap
from skerry.coap_server import uri_path
from skerry.errors import BadTag, Replayed
from skerry.responder import HubSession
from skerry.session import Session

SECRET = unhex(
    "4393965bd41ba5f9d62d045fbfb4c38fae17eb8d0ab035a4171f03dbb9de761c"
)  # suite 0, no time, epoch (0, 0)
SECRET_1 = unhex(
    "108416f7f2a66992ce1dd37c558fdc335523b9756cff47e305afd29482c26555"
)  # suite 1, no time, epoch (0, 0)


def get():
    return coap.Message(coap.GET, [(coap.URI_PATH, b"a")], mid=0x1234, token=b"\x77")


def test_first_request_exactly():
    device = Session(SECRET, 0)
    assert device.oscore.sender_id == unhex("3f240a")
    assert device.fingerprint == "a186eff9"
    outer, _ = device.oscore.protect_request(get())
    assert coap.encode(outer) == unhex("51021234779509003f240affc079679d23de4b18b28dce")
    outer, _ = Session(SECRET_1, 1).oscore.protect_request(get())
    assert coap.encode(outer) == unhex(
        "51021234779509006f6e36ffb73adf300171a85ab9a88dcd1fd756ca49de36"
    )


def test_both_ends_agree():
    for suite in (0, 1):
        device, hub = Session(SECRET, suite), HubSession(SECRET, suite)
        assert device.fingerprint == hub.fingerprint
        assert device.oscore.sender_id == hub.oscore.recipient_id == hub.kid
        assert hub.oscore.sender_id == device.oscore.recipient_id == b""
        outer, asked = device.oscore.protect_request(get())
        inner, binding = hub.oscore.unprotect_request(outer)
        assert (inner.code, uri_path(inner), inner.payload) == (coap.GET, "a", b"")
        reply = coap.Message(coap.CONTENT, [], b"21.5")
        back = hub.oscore.protect_response(reply, binding)
        back = device.oscore.unprotect_response(back, asked)
        assert (back.code, back.payload) == (coap.CONTENT, b"21.5")
        raises(Replayed, hub.oscore.unprotect_request, outer)


def test_another_secret_or_suite_opens_nothing():
    outer, _ = Session(SECRET, 0).oscore.protect_request(get())
    raises(BadTag, HubSession(pattern(32), 0).oscore.unprotect_request, outer)
    raises(BadTag, HubSession(SECRET, 1).oscore.unprotect_request, outer)


def test_a_reflected_request_opens_nothing():
    device = Session(SECRET, 0)
    outer, asked = device.oscore.protect_request(get())
    raises(BadTag, device.oscore.unprotect_response, outer, asked)


def test_repr_shows_no_key():
    session = Session(SECRET, 0)
    shown = repr(session) + repr(session.oscore)
    for secret in (SECRET, unhex("fef195d34d83d4ff512ca8e3d936d7ef"), unhex("ec1b03f48fd1b30f")):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
    for text in (session.oscore.sender_id.hex(), session.fingerprint):
        assert text not in shown
