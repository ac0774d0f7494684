"""The two messages byte by byte: sizes, headers, and everything that is not one."""

from dual.tools import pattern, raises, unhex

from skerry import wire, wire_hub
from skerry.errors import Malformed

PID, N_D, N_H = b"PIDPID", b"ND345678", b"NH345678"


def message_1(suite, time):
    return wire.body_1(wire.header_1(suite, time), PID, N_D) + pattern(wire.SUITES[suite][0])


def message_2(suite, time):
    header = wire_hub.header_2(suite, time)
    return wire_hub.body_2(header, N_H, 0x0102030405) + pattern(wire.SUITES[suite][0])


def test_suites():
    assert wire.SUITES == ((8, 10), (16, 30))


def test_headers():
    expected = ((0, False, 0x10, 0x20), (0, True, 0x11, 0x21))
    expected += ((1, False, 0x12, 0x22), (1, True, 0x13, 0x23))
    for suite, time, first, second in expected:
        assert wire.header_1(suite, time) == first
        assert wire_hub.header_2(suite, time) == second
        for header in (first, second):
            assert wire.suite_of(header) == suite
            assert wire_hub.wants_time(header) is time


def test_message_1_exactly():
    assert message_1(0, True) == b"\x11PIDPIDND345678" + pattern(8)
    assert message_1(1, False) == b"\x12PIDPIDND345678" + pattern(16)


def test_message_2_exactly():
    assert message_2(0, False) == b"\x20NH345678" + pattern(8)
    assert message_2(0, True) == b"\x21NH345678" + unhex("0102030405") + pattern(8)
    assert message_2(1, True) == b"\x23NH345678" + unhex("0102030405") + pattern(16)


def test_sizes():
    assert [len(message_1(0, t)) for t in (False, True)] == [23, 23]
    assert [len(message_2(0, t)) for t in (True, False)] == [22, 17]
    assert [len(message_1(1, t)) for t in (False, True)] == [31, 31]
    assert [len(message_2(1, t)) for t in (True, False)] == [30, 25]


def test_decode():
    for suite in (0, 1):
        tag = pattern(wire.SUITES[suite][0])
        for time in (False, True):
            first, second = message_1(suite, time), message_2(suite, time)
            assert wire_hub.decode_message_1(first) == (first[:15], PID, tag)
            t = 0x0102030405 if time else None
            assert wire.decode_message_2(second) == (second[: -len(tag)], N_H, t, tag)


def test_time_of_zero_is_not_an_absent_time():
    for time in (0, 1, 0xFFFFFFFFFF):
        body = wire_hub.body_2(0x21, N_H, time)
        assert wire.decode_message_2(body + pattern(8))[2] == time
    raises(OverflowError, wire_hub.body_2, 0x21, N_H, 1 << 40)


def test_every_header_and_every_length():
    """Of 256 headers and 65 lengths, exactly these are handshake messages."""
    allowed_1 = {0x10: 23, 0x11: 23, 0x12: 31, 0x13: 31}
    allowed_2 = {0x20: 17, 0x21: 22, 0x22: 25, 0x23: 30}
    for length in range(65):
        rest = pattern(length)
        for header in range(256 if length else 1):
            datagram = (bytes((header,)) + rest)[:length]
            for decode, allowed in (
                (wire_hub.decode_message_1, allowed_1),
                (wire.decode_message_2, allowed_2),
            ):
                if allowed.get(header) == length:
                    assert decode(datagram)[0] == datagram[: len(decode(datagram)[0])]
                else:
                    raises(Malformed, decode, datagram)
