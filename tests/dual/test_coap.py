"""CoAP's message format: RFC 7252's examples, and every way to break it."""

from dual.tools import pattern, raises, unhex

from skerry import coap
from skerry.coap_server import uri_path
from skerry.errors import Malformed


def fields(message):
    return (
        message.code,
        message.options,
        message.payload,
        message.type,
        message.mid,
        message.token,
    )


def body(*options):
    return coap.encode_body(list(options), b"")


# RFC 7252 appendix A.


def test_rfc_7252_figure_16():
    """GET /temperature, and 2.05 with 22.3 C piggybacked."""
    request = coap.Message(coap.GET, coap.path_options("temperature"), b"", coap.CON, 0x7D34)
    datagram = unhex("40017d34") + unhex("bb") + b"temperature"
    assert coap.encode(request) == datagram
    assert fields(coap.decode(datagram)) == fields(request)
    response = coap.Message(coap.CONTENT, [], b"22.3 C", coap.ACK, 0x7D34)
    datagram = unhex("60457d34") + b"\xff22.3 C"
    assert coap.encode(response) == datagram
    assert fields(coap.decode(datagram)) == fields(response)


def test_rfc_7252_figure_17():
    """The same with a token of one byte."""
    options = coap.path_options("temperature")
    request = coap.Message(coap.GET, options, b"", coap.CON, 0x7D35, b"\x20")
    datagram = unhex("41017d3520bb") + b"temperature"
    assert coap.encode(request) == datagram
    assert fields(coap.decode(datagram)) == fields(request)
    response = coap.Message(coap.CONTENT, [], b"22.3 C", coap.ACK, 0x7D35, b"\x20")
    datagram = unhex("61457d3520") + b"\xff22.3 C"
    assert coap.encode(response) == datagram
    assert fields(coap.decode(datagram)) == fields(response)


def test_rfc_7252_figures_19_and_22():
    """An empty acknowledgement, and a non-confirmable exchange."""
    empty = coap.decode(unhex("60007d36"))
    assert fields(empty) == (coap.EMPTY, [], b"", coap.ACK, 0x7D36, b"")
    assert coap.encode(empty) == unhex("60007d36")
    options = coap.path_options("temperature")
    request = coap.Message(coap.GET, options, b"", coap.NON, 0x7D40, b"\x75")
    assert coap.encode(request) == unhex("51017d4075bb") + b"temperature"
    response = coap.Message(coap.CONTENT, [], b"22.3 C", coap.NON, 0xAD7B, b"\x75")
    assert coap.encode(response) == unhex("5145ad7b75") + b"\xff22.3 C"


def test_numbers():
    assert (coap.CON, coap.NON, coap.ACK, coap.RST) == (0, 1, 2, 3)
    assert (coap.GET, coap.POST, coap.PUT) == (1, 2, 3)
    assert (coap.CHANGED, coap.CONTENT, coap.UNAUTHORIZED) == (2 << 5 | 4, 2 << 5 | 5, 4 << 5 | 1)
    assert (coap.URI_HOST, coap.URI_PORT, coap.OSCORE, coap.URI_PATH) == (3, 7, 9, 11)
    assert coap.CONTENT_FORMAT == 12


# Section 3.1: deltas and lengths.


def test_deltas_at_the_boundaries():
    for number, expected in (
        (0, "00"),
        (12, "c0"),
        (13, "d000"),
        (14, "d001"),
        (268, "d0ff"),
        (269, "e00000"),
        (270, "e00001"),
        (65535, "e0fef2"),
    ):
        assert body((number, b"")) == unhex(expected), number
        assert coap.decode_body(unhex(expected)) == ([(number, b"")], b"")


def test_lengths_at_the_boundaries():
    for length, expected in (
        (0, "10"),
        (12, "1c"),
        (13, "1d00"),
        (14, "1d01"),
        (268, "1dff"),
        (269, "1e0000"),
        (270, "1e0001"),
        (1024, "1e02f3"),
    ):
        value = pattern(length)
        assert body((1, value)) == unhex(expected) + value, length
        assert coap.decode_body(unhex(expected) + value) == ([(1, value)], b"")


def test_deltas_count_from_the_option_before():
    options = [(3, b"h"), (11, b"a"), (24, b"b"), (293, b""), (65535, b"z")]
    encoded = unhex("31") + b"h" + unhex("81") + b"a" + unhex("d100") + b"b" + unhex("e00000")
    encoded += unhex("e1fdcd") + b"z"
    assert coap.encode_body(options, b"") == encoded
    assert coap.decode_body(encoded) == (options, b"")


def test_an_option_number_above_65535_is_refused():
    raises(Malformed, coap.decode_body, unhex("e0fef3"))  # 65,536 at once
    raises(Malformed, coap.decode_body, unhex("e0ffff"))
    raises(Malformed, coap.decode_body, unhex("e0fef2") + unhex("10"))  # 65,535 + 1
    assert coap.decode_body(unhex("e0fef200"))[0] == [(65535, b""), (65535, b"")]


def test_repeated_options_keep_their_order():
    # MicroPython's sort is not stable; 40 values in the reverse of their byte order.
    values = [(coap.URI_PATH, b"%c" % (200 - i)) for i in range(40)]
    mixed = values[:20]
    mixed.insert(0, (60, b""))
    mixed += [(3, b"h"), (12, b"")]
    mixed += values[20:]
    mixed += [(3, b"a")]
    expected = [(3, b"h"), (3, b"a")]
    expected += values
    expected += [(12, b""), (60, b"")]
    assert coap.decode_body(coap.encode_body(mixed, b"")) == (expected, b"")


def test_encoding_leaves_the_options_as_they_are():
    options = [(12, b"x"), (3, b"y")]
    coap.encode_body(options, b"")
    assert options == [(12, b"x"), (3, b"y")]


def test_reserved_nibbles():
    for first in list(range(0xF0, 0xFF)) + [(i << 4) + 15 for i in range(15)]:
        for rest in (b"", b"\0", bytes(400)):
            raises(Malformed, coap.decode_body, bytes((first,)) + rest)


def test_payload_marker():
    assert coap.decode_body(b"") == ([], b"")
    assert coap.decode_body(b"\xffx") == ([], b"x")
    assert coap.decode_body(b"\xff\xff") == ([], b"\xff")
    assert coap.encode_body([], b"\xff") == b"\xff\xff"
    raises(Malformed, coap.decode_body, b"\xff")
    raises(Malformed, coap.decode_body, b"\x10\xff")
    raises(Malformed, coap.decode, unhex("40017d34ff"))


def test_every_truncation():
    options = [(3, b"host"), (11, b"a" * 13), (60, b"b" * 269), (400, b"")]
    message = coap.Message(coap.POST, options, b"payload", coap.CON, 0x1234, b"token")
    datagram = coap.encode(message)
    # The ends of header and token, of each option, and of every byte of the payload.
    option_ends = [len(coap.encode_body(options[:i], b"")) for i in range(5)]
    body_length = option_ends[-1]
    valid = [9 + end for end in option_ends]
    valid += [9 + body_length + 1 + i for i in range(1, 8)]
    assert valid[-1] == len(datagram)
    for end in range(len(datagram) + 1):
        if end not in valid:
            raises(Malformed, coap.decode, datagram[:end])
            continue
        decoded = coap.decode(datagram[:end])
        kept = len([each for each in option_ends if 9 + each <= end]) - 1
        assert decoded.options == options[:kept]
        assert decoded.payload == b"payload"[: max(0, end - 10 - body_length)]
        assert (decoded.mid, decoded.token) == (0x1234, b"token")


# Section 3: the header.


def test_other_versions():
    for first in range(256):
        datagram = bytes((first,)) + unhex("017d34") + bytes(8)
        if first >> 6 != 1 or first & 15 > 8:
            raises(Malformed, coap.decode, datagram)


def test_token_lengths():
    for length in range(16):
        datagram = bytes((0x50 | length,)) + unhex("017d34") + pattern(length)
        if length > 8:
            raises(Malformed, coap.decode, datagram)
            raises(Malformed, coap.decode, datagram + bytes(16))
        else:
            message = coap.decode(datagram)
            assert message.token == pattern(length)
            assert coap.encode(message) == datagram
            for end in range(len(datagram)):
                raises(Malformed, coap.decode, datagram[:end])


def test_types():
    for type in range(4):
        message = coap.decode(bytes((0x40 | type << 4,)) + unhex("01ffff"))
        assert (message.type, message.mid) == (type, 0xFFFF)
        assert coap.encode(message)[0] == 0x40 | type << 4


def test_empty_message_with_bytes_behind():
    for first in (0x40, 0x50, 0x60, 0x70):
        assert coap.decode(bytes((first, 0, 1, 2))).code == coap.EMPTY
        raises(Malformed, coap.decode, bytes((first, 0, 1, 2, 0)))
        raises(Malformed, coap.decode, bytes((first, 0, 1, 2)) + b"\xffx")
        raises(Malformed, coap.decode, bytes((first | 1, 0, 1, 2, 9)))
        raises(Malformed, coap.decode, bytes((first | 1, 0, 1, 2)))


def test_round_trip():
    for n in range(60):
        options = [(i * i * (n + 1) % 2000, pattern(i * n % 300, i)) for i in range(n % 6)]
        message = coap.Message(n + 1, options, pattern(n % 20), n & 3, n * 1000, pattern(n % 9, n))
        decoded = coap.decode(coap.encode(message))
        in_order = []
        for number in sorted({number for number, _ in options}):
            in_order += [each for each in options if each[0] == number]
        message.options = in_order
        assert fields(decoded) == fields(message)


# What stands around the bytes.


def test_uint():
    for value, expected in (
        (0, ""),
        (1, "01"),
        (255, "ff"),
        (256, "0100"),
        (0xFFFFFF, "ffffff"),
        (1 << 32, "0100000000"),
        ((1 << 40) - 1, "ffffffffff"),
    ):
        assert coap.uint(value) == unhex(expected)


def test_paths():
    assert coap.path_options("a/b") == [(11, b"a"), (11, b"b")]
    assert coap.path_options("/a//b/") == [(11, b"a"), (11, b"b")]
    assert coap.path_options("") == coap.path_options("/") == []
    assert coap.path_options("ö") == [(11, b"\xc3\xb6")]
    for path in ("", "a", "a/b", ".well-known/core", "ö"):
        assert uri_path(coap.Message(coap.GET, coap.path_options(path))) == path
    mixed = coap.Message(coap.GET, [(3, b"h"), (11, b"a"), (15, b"q"), (11, b"b")])
    assert uri_path(mixed) == "a/b"


def test_a_path_that_is_not_utf_8():
    for value in (b"\xff", b"\xc3", b"a\x80"):
        raises(Malformed, uri_path, coap.Message(coap.GET, [(11, value)]))


def test_option():
    message = coap.Message(coap.GET, [(12, b""), (11, b"a"), (11, b"b")])
    assert message.option(11) == b"a"
    assert message.option(12) == b""
    assert message.option(13) is None


def test_repr_shows_no_payload():
    message = coap.Message(coap.CONTENT, [(11, b"path")], b"secret", mid=7, token=b"tok")
    assert "secret" not in repr(message)
