"""The gateway's framing, against the device's own vectors and against any way a line cuts bytes."""

from hypothesis import given
from hypothesis import strategies as st

from skerry_hub.slipmux import COAP, DIAGNOSTIC, Deframer, fcs, frame

PING = b"\x40\x01\x00\x00"
# These two frames are those of another implementation's tests (the Rust crate slipmux).
FRAME = b"\xc0\xa9\x40\x01\x00\x00\xbc\x38\xc0"
HARD = b"\xc0\xdb\xdb\xc0\xdb\xc0\xdb\xc0" + b"\xdb" * 46  # its FCS is C0 C0

messages = st.binary(max_size=1280) | st.lists(st.sampled_from(b"\xc0\xdb\xdc\xdd\xa9\n")).map(
    bytes
)


def test_frames_as_the_draft_has_them():
    assert frame(PING) == FRAME
    assert frame(HARD).endswith(b"\xdb\xdc\xdb\xdc\xc0")
    assert fcs(b"123456789") ^ 0xFFFF == 0x906E  # the check value of CRC-16/X-25
    assert list(Deframer().feed(FRAME + b"\x0aHi\xc0")) == [(COAP, PING), (DIAGNOSTIC, b"Hi")]


@given(st.lists(messages, max_size=4), st.data())
def test_however_the_line_cuts_them_frames_come_whole(sent, data):
    stream = b"".join(map(frame, sent))
    deframer, got = Deframer(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        got += deframer.feed(stream[:cut])
        stream = stream[cut:]
    assert [each.content for each in got] == sent
    assert all(each.type == COAP for each in got)


@given(messages, st.data())
def test_a_changed_bit_costs_the_frame_and_no_other(message, data):
    whole = frame(message)
    at = data.draw(st.integers(8, 8 * len(whole) - 9))
    changed = bytearray(whole)
    changed[at // 8] ^= 1 << at % 8
    got = list(Deframer().feed(bytes(changed) + FRAME))
    assert got[-1] == (COAP, PING)
    assert message == PING or (COAP, message) not in got


@given(st.binary(max_size=6000))
def test_noise_is_bounded_and_costs_no_frame(noise):
    deframer = Deframer()
    list(deframer.feed(noise))
    assert len(deframer._held) <= 2568
    assert list(deframer.feed(FRAME))[-1] == (COAP, PING)
