"""Handshake messages from nowhere: Malformed or BadTag, nothing else, and nothing changes."""

from dual import pair
from hypothesis import given
from hypothesis import strategies as st
from properties.strategies import damaged

from skerry import record, wire, wire_hub
from skerry.chain import Chain
from skerry.errors import BadTag, Malformed
from skerry.responder import identify

TRUE_1, WAITING = pair.send()
TRUE_2 = pair.answer(TRUE_1)[1]
HUB = pair.known()
nearly_1 = st.one_of(st.binary(max_size=70), damaged(TRUE_1))
nearly_2 = st.one_of(st.binary(max_size=70), damaged(TRUE_2))


@given(nearly_1)
def test_decode_message_1(datagram: bytes) -> None:
    try:
        body, pid, tag = wire_hub.decode_message_1(datagram)
    except Malformed:
        return
    assert body + tag == datagram
    assert (len(body), pid) == (15, datagram[1:7])


@given(nearly_2)
def test_decode_message_2(datagram: bytes) -> None:
    try:
        body, n_h, time, tag = wire.decode_message_2(datagram)
    except Malformed:
        return
    assert body + tag == datagram
    assert wire_hub.body_2(body[0], n_h, time or 0) == body
    assert (time is None) == (not wire_hub.wants_time(body[0]))


@given(nearly_1, st.integers(-1, 20))
def test_the_hub_answers_none_but_the_true_one(datagram: bytes, era: int) -> None:
    try:
        HUB.verify(identify(datagram), era)
    except (Malformed, BadTag):
        assert (datagram, era) != (TRUE_1, 0)
    else:
        assert (datagram, era) == (TRUE_1, 0)


@given(nearly_2)
def test_the_device_accepts_none_but_the_true_one(datagram: bytes) -> None:
    try:
        WAITING.receive(datagram)
    except (Malformed, BadTag):
        assert datagram != TRUE_2
    else:
        assert datagram == TRUE_2


@given(st.one_of(st.binary(max_size=100), st.binary(min_size=72, max_size=72)))
def test_chain_unpack(packed: bytes) -> None:
    try:
        assert Chain.unpack(packed).pack() == packed
    except Malformed:
        assert len(packed) != 72


@given(st.integers(0, 2**32 - 1), st.binary(min_size=72, max_size=72), st.data())
def test_record(sequence: int, chain: bytes, data: st.DataObject) -> None:
    slot = record.pack(sequence, chain)
    assert record.unpack(slot) == (sequence, chain)
    read = data.draw(damaged(slot))
    assert record.unpack(read) == ((sequence, chain) if read == slot else None)
