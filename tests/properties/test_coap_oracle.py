"""CoAP: round trips, garbage, and aiocoap's own codec as the second opinion."""

import aiocoap
import pytest
from aiocoap.error import UnparsableMessage
from dual.tools import pattern
from hypothesis import given
from hypothesis import strategies as st
from properties.strategies import damaged, fields, in_order, messages

from skerry import coap
from skerry.errors import Malformed

EXAMPLE = coap.encode(
    coap.Message(coap.POST, [(3, b"host"), (11, b"a" * 13), (60, b"b" * 269)], b"x", 0, 7, b"tk")
)


@given(messages())
def test_round_trip(message: coap.Message) -> None:
    assert fields(coap.decode(coap.encode(message))) == fields(message)


@given(st.one_of(st.binary(max_size=60), damaged(EXAMPLE)))
def test_garbage_is_malformed_or_a_message(datagram: bytes) -> None:
    try:
        message = coap.decode(datagram)
    except Malformed:
        return
    again = coap.encode(message)
    assert len(again) <= len(datagram)  # only ever because of extended fields that were longer
    assert fields(coap.decode(again)) == fields(message)


@given(st.binary(max_size=60))
def test_garbage_behind_a_header(rest: bytes) -> None:
    try:
        message = coap.decode(b"\x52\x01\x12\x34tk" + rest)
    except Malformed:
        return
    assert (message.code, message.mid, message.token) == (1, 0x1234, b"tk")
    assert fields(coap.decode(coap.encode(message))) == fields(message)


@pytest.mark.parametrize("length", [65534, 65535])
def test_options_of_the_greatest_length(length: int) -> None:
    encoded = coap.encode_body([(1, pattern(length))], b"")
    assert encoded[:3] == b"\x1e" + (length - 269).to_bytes(2, "big")
    assert coap.decode_body(encoded) == ([(1, pattern(length))], b"")


def as_aiocoap_sees_it(message: aiocoap.Message) -> list[tuple[int, bytes]]:
    return [(int(each.number), each.encode()) for each in message.opt.option_list()]


@given(messages(st.sampled_from([1, 2, 3, 4, 0x41, 0x44, 0x45, 0x81, 0x84, 0xA0])))
def test_aiocoap_reads_what_we_write(message: coap.Message) -> None:
    # Numbers that no RFC gave away: aiocoap keeps their values as they are.
    message.options = [(5000 + number % 60000, value) for number, value in message.options]
    read = aiocoap.Message.decode(coap.encode(message))
    assert (int(read.code), read.mid, read.token) == (message.code, message.mid, message.token)
    assert (int(read.mtype), read.payload) == (message.type, message.payload)
    assert as_aiocoap_sees_it(read) == in_order(message.options)


@given(messages(st.sampled_from([1, 2, 3, 4, 0x44, 0x45, 0x81])), st.text(max_size=20))
def test_we_read_what_aiocoap_writes(message: coap.Message, name: str) -> None:
    made = aiocoap.Message(
        code=aiocoap.numbers.codes.Code(message.code),
        payload=message.payload,
        _mtype=aiocoap.numbers.types.Type(message.type),
        _mid=message.mid,
        _token=message.token,
    )
    made.opt.uri_path = ["a", name, "b"]
    made.opt.uri_query = ["q=" + name]
    made.opt.content_format = len(name)
    read = coap.decode(made.encode())
    assert fields(read)[2:] == (message.payload, message.type, message.mid, message.token)
    assert read.code == message.code
    text = name.encode()
    length = coap.uint(len(name))
    assert read.options == [
        (11, b"a"),
        (11, text),
        (11, b"b"),
        (12, length),
        (15, b"q=" + text),
    ]


@given(st.one_of(st.binary(max_size=40), damaged(EXAMPLE)))
def test_what_aiocoap_refuses_as_unparsable_we_refuse(datagram: bytes) -> None:
    try:
        aiocoap.Message.decode(datagram)
    except UnparsableMessage:
        with pytest.raises(Malformed):
            coap.decode(datagram)
    except Exception:  # the values of options, which we do not interpret
        pass
