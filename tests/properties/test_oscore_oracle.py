"""OSCORE: round trips, garbage, and aiocoap's implementation as the other end."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties.strategies import damaged, fields, messages, options, payloads

from skerry import coap
from skerry.errors import SkerryError
from skerry.oscore import Binding, decode_option, encode_option
from skerry.oscore_server import ServerContext

pytest.importorskip("cbor2", reason="aiocoap's OSCORE needs cbor2 and filelock")
pytest.importorskip("filelock", reason="aiocoap's OSCORE needs cbor2 and filelock")
import aiocoap
from aiocoap import oscore
from aiocoap.message import Direction

SECRET, SALT = bytes(range(16)), bytes(range(100, 108))
ALGORITHMS = {10: oscore.AES_CCM_16_64_128(), 30: oscore.AES_CCM_16_128_128()}

ids = st.binary(max_size=7)
pairs_of_ids = st.tuples(ids, ids).filter(lambda pair: pair[0] != pair[1])
algorithms = st.sampled_from([10, 30])
id_contexts = st.one_of(st.none(), st.binary(max_size=40))
sequences = st.one_of(st.integers(0, 300), st.integers(0, 2**40 - 2))
requests = st.sampled_from([1, 2, 3, 4])
responses = st.sampled_from([0x41, 0x44, 0x45, 0x80, 0x84, 0xA0])


class InMemory(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc]
    """aiocoap's security context without a file."""

    echo_recovery = None

    def __init__(
        self, sender_id: bytes, recipient_id: bytes, id_context: bytes | None, algorithm: int
    ) -> None:
        self.alg_aead = ALGORITHMS[algorithm]
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id = sender_id
        self.recipient_id = recipient_id
        self.id_context = id_context
        self.derive_keys(SALT, SECRET)
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()

    def post_seqnoincrease(self) -> None:
        pass


def ours(sender_id: bytes, recipient_id: bytes, id_context: bytes | None, algorithm: int) -> Any:
    return ServerContext(SECRET, SALT, sender_id, recipient_id, id_context, algorithm)


def to_aiocoap(message: coap.Message) -> aiocoap.Message:
    return aiocoap.Message.decode(coap.encode(message))


def from_aiocoap(message: aiocoap.Message, like: coap.Message) -> coap.Message:
    """Encode and decode, with the hop's fields, which aiocoap's OSCORE does not carry over."""
    message.mtype = aiocoap.numbers.types.Type(like.type)
    message.mid, message.token = like.mid, like.token
    message.direction = Direction.OUTGOING
    return coap.decode(message.encode())


def outgoing(message: coap.Message) -> aiocoap.Message:
    made = to_aiocoap(message)
    made.direction = Direction.OUTGOING
    return made


@st.composite
def plain(draw: st.DrawFn, with_codes: st.SearchStrategy[int]) -> coap.Message:
    """Messages whose options both ends treat as opaque: numbers without meaning, and paths."""
    message = draw(messages(with_codes))
    message.options = [(5000 + number % 60000, value) for number, value in message.options]
    for part in draw(st.lists(st.text(min_size=1, max_size=8), max_size=3)):
        message.options.append((coap.URI_PATH, part.encode()))
    return message


@given(pairs_of_ids, id_contexts, algorithms)
def test_keys(two: tuple[bytes, bytes], id_context: bytes | None, algorithm: int) -> None:
    mine, theirs = (end(*two, id_context, algorithm) for end in (ours, InMemory))
    assert mine._common_iv == theirs.common_iv
    for number in (b"\0", b"\x01\x02\x03\x04\x05"):
        for each in two:
            nonce = theirs._construct_nonce(number, each, theirs.alg_aead)
            assert mine.nonce(each, number) == nonce
    plaintext = theirs.alg_aead.encrypt(b"text", b"aad", theirs.sender_key, bytes(13))
    assert mine._sender.seal(bytes(13), b"text", b"aad") == plaintext
    plaintext = theirs.alg_aead.encrypt(b"text", b"aad", theirs.recipient_key, bytes(13))
    assert mine._recipient.open(bytes(13), plaintext, b"aad") == b"text"


@pytest.mark.parametrize("length", [0, 1, 22, 23, 24, 25, 255])
def test_keys_of_id_contexts_at_the_boundaries(length: int) -> None:
    mine, theirs = (end(b"", b"\x01", bytes(range(length)), 10) for end in (ours, InMemory))
    assert mine._common_iv == theirs.common_iv
    sealed = theirs.alg_aead.encrypt(b"text", b"aad", theirs.sender_key, bytes(13))
    assert mine._sender.seal(bytes(13), b"text", b"aad") == sealed


@given(
    pairs_of_ids,
    id_contexts,
    algorithms,
    sequences,
    plain(requests),
    plain(responses),
)
def test_our_client_and_their_server(
    two: tuple[bytes, bytes],
    id_context: bytes | None,
    algorithm: int,
    sequence: int,
    request: coap.Message,
    response: coap.Message,
) -> None:
    client = ours(*two, id_context, algorithm)
    server = InMemory(two[1], two[0], id_context, algorithm)
    client.sequence = sequence
    outer, binding = client.protect_request(request)
    inner, request_id = server.unprotect(to_aiocoap(outer))
    assert fields(from_aiocoap(inner, request)) == fields(request)
    with pytest.raises(oscore.ReplayError):
        server.unprotect(to_aiocoap(outer))
    for _ in range(2):  # the first takes the request's nonce, the second a Partial IV
        protected, _ = server.protect(outgoing(response), request_id)
        back = client.unprotect_response(from_aiocoap(protected, response), binding)
        assert fields(back) == fields(response)


@given(
    pairs_of_ids,
    id_contexts,
    algorithms,
    sequences,
    plain(requests),
    plain(responses),
)
def test_their_client_and_our_server(
    two: tuple[bytes, bytes],
    id_context: bytes | None,
    algorithm: int,
    sequence: int,
    request: coap.Message,
    response: coap.Message,
) -> None:
    client = InMemory(*two, id_context, algorithm)
    server = ours(two[1], two[0], id_context, algorithm)
    client.sender_sequence_number = sequence
    outer, request_id = client.protect(outgoing(request))
    protected = from_aiocoap(outer, request)
    # What they sent is what we would have sent.
    same = ours(*two, id_context, algorithm)
    same.sequence = sequence
    assert coap.encode(same.protect_request(request)[0]) == coap.encode(protected)
    inner, binding = server.unprotect_request(protected)
    assert fields(inner) == fields(request)
    for own_partial_iv in (False, True):
        reply = server.protect_response(response, binding, own_partial_iv)
        back, _ = client.unprotect(to_aiocoap(reply), request_id)
        assert fields(from_aiocoap(back, response)) == fields(response)


@given(pairs_of_ids, messages(requests), messages(responses), st.booleans())
def test_round_trip(
    two: tuple[bytes, bytes], request: coap.Message, response: coap.Message, own: bool
) -> None:
    """Any option comes through, but an OSCORE option that is there already."""
    client, server = ours(*two, None, 10), ours(two[1], two[0], None, 10)
    request.options = [each for each in request.options if each[0] != coap.OSCORE]
    response.options = [each for each in response.options if each[0] != coap.OSCORE]
    outer, asked = client.protect_request(request)
    inner, binding = server.unprotect_request(coap.decode(coap.encode(outer)))
    assert fields(inner) == fields(request)
    outer = server.protect_response(response, binding, own)
    back = client.unprotect_response(coap.decode(coap.encode(outer)), asked)
    assert fields(back) == fields(response)


def state(context: Any) -> tuple[int, int, int]:
    return context.sequence, context.window._highest, context.window._seen


@given(
    messages(st.integers(0, 255)),
    st.one_of(st.binary(max_size=20), st.just(b"\x09\x00\x01"), st.just(b"")),
    st.binary(max_size=60),
)
def test_garbage_changes_nothing(outer: coap.Message, option: bytes, payload: bytes) -> None:
    context = ours(b"", b"\x01", None, 10)
    context.window.accept(40)
    _, binding = context.protect_request(coap.Message(coap.GET, []))
    before = state(context)
    outer.options.append((coap.OSCORE, option))
    outer.payload = payload
    with pytest.raises(SkerryError):
        context.unprotect_request(outer)
    with pytest.raises(SkerryError):
        context.unprotect_response(outer, binding)
    assert state(context) == before


TRUE_OUTER = ours(b"\x01", b"", None, 10).protect_request(
    coap.Message(coap.GET, [(11, b"path")], b"payload", token=b"t")
)[0]


@given(damaged(coap.encode(TRUE_OUTER)))
def test_a_damaged_request_says_what_was_said_or_nothing(datagram: bytes) -> None:
    context = ours(b"", b"\x01", None, 10)
    before = state(context)
    try:
        inner, _ = context.unprotect_request(coap.decode(datagram))
    except SkerryError:
        assert state(context) == before
        return
    inside = [each for each in inner.options if each[0] == 11]
    assert (inner.code, inside, inner.payload) == (coap.GET, [(11, b"path")], b"payload")


@given(st.binary(max_size=30))
def test_option_is_malformed_or_canonical(value: bytes) -> None:
    try:
        partial_iv, id_context, kid = decode_option(value)
    except SkerryError:
        return
    if value:
        assert encode_option(partial_iv or b"", id_context, kid) == value
    else:
        assert (partial_iv, id_context, kid) == (None, None, None)


@given(st.binary(min_size=1, max_size=5), st.one_of(st.none(), st.binary(max_size=40)), ids)
def test_option_round_trip(partial_iv: bytes, id_context: bytes | None, kid: bytes) -> None:
    value = encode_option(partial_iv, id_context, kid)
    assert decode_option(value) == (partial_iv, id_context, kid)
    try:
        _, _, theirs, _ = oscore.CanUnprotect._uncompress(value, b"")
    except oscore.DecodeError:
        pytest.fail("aiocoap refuses the option")
    assert theirs.get(oscore.COSE_PIV) == partial_iv
    assert theirs.get(oscore.COSE_KID) == kid
    assert theirs.get(oscore.COSE_KID_CONTEXT) == id_context


@given(ids, st.binary(min_size=1, max_size=5), algorithms)
def test_aad(kid: bytes, partial_iv: bytes, algorithm: int) -> None:
    theirs = InMemory(b"a", b"b", None, algorithm)
    request_id = oscore.RequestIdentifiers(kid, partial_iv, None, aiocoap.POST)
    external = theirs._extract_external_aad(aiocoap.Message(code=aiocoap.POST), request_id, True)
    expected = oscore.SymmetricEncryptionAlgorithm._build_encrypt0_structure({}, external)
    assert ours(b"a", b"b", None, algorithm)._aad(Binding(kid, partial_iv, b"")) == expected


@given(options, payloads)
def test_the_plaintext_hides_the_code_and_the_options(
    given_options: list[tuple[int, bytes]], payload: bytes
) -> None:
    outer, _ = ours(b"", b"\x01", None, 10).protect_request(
        coap.Message(4, given_options, payload)
    )
    assert outer.code == coap.POST
    outside = {number for number, _ in outer.options}
    assert outside <= {3, 7, 9, 35, 39}
