"""OSCORE: limits, option classes, and what must not open; test_rfc8613.py has the vectors."""

from dual.tools import flips, raises, unhex

from skerry import coap
from skerry.coap_server import uri_path
from skerry.errors import BadTag, Exhausted, Malformed, Replayed, SkerryError
from skerry.oscore import Binding, decode_option, encode_option
from skerry.oscore_server import ServerContext

SECRET = unhex("0102030405060708090a0b0c0d0e0f10")
SALT = unhex("9e7ca92223786340")
ID_CONTEXT = unhex("37cbf3210017a2d3")

# The inputs of RFC 8613 C.1, C.2 and C.3 for the client: Master Salt, both IDs, ID Context.
C1 = (SALT, b"", b"\x01", None)
C2 = (b"", b"\x00", b"\x01", None)
C3 = (SALT, b"", b"\x01", ID_CONTEXT)

REQUEST_4 = "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e"
RESPONSE = "64455d1f00003974ff48656c6c6f20576f726c6421"
RESPONSE_7 = "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106"
RESPONSE_8 = "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e"


def client(given, algorithm=10):
    salt, sender, recipient, id_context = given
    return ServerContext(SECRET, salt, sender, recipient, id_context, algorithm)


def server(given, algorithm=10):
    salt, sender, recipient, id_context = given
    return ServerContext(SECRET, salt, recipient, sender, id_context, algorithm)


def test_longest_aad():
    # Algorithm 30 takes two bytes, and seven bytes of kid with five of Partial IV are the most.
    aad = client(C2, 30)._aad(Binding(b"1234567", b"abcde", b""))
    assert aad == b"\x83\x68Encrypt0\x40\x54\x85\x01\x81\x18\x1e\x471234567\x45abcde\x40"


# Section 6.1: the option.


def test_option_exactly():
    for option, partial_iv, id_context, kid in (
        ("0914", "14", None, ""),  # C.4
        ("091400", "14", None, "00"),  # C.5
        ("19140837cbf3210017a2d3", "14", "37cbf3210017a2d3", ""),  # C.6
        ("0100", "00", None, None),  # C.8
        ("090525", "05", None, "25"),  # section 6.3, example 1
        ("1905044461", None, None, None),  # a kid context that is cut off
        ("0dffffffffff01020304050607", "ffffffffff", None, "01020304050607"),
        ("190500ab", "05", "", "ab"),
        ("11050161", "05", "61", None),
    ):
        value = unhex(option)
        if partial_iv is None:
            raises(Malformed, decode_option, value)
            continue
        given = [None if each is None else unhex(each) for each in (partial_iv, id_context, kid)]
        assert decode_option(value) == tuple(given)
        assert encode_option(*given) == value


def test_option_without_partial_iv():
    assert decode_option(b"") == (None, None, None)
    assert decode_option(b"\x08") == (None, None, b"")
    assert decode_option(b"\x08kid") == (None, None, b"kid")
    assert decode_option(b"\x18\x01cK") == (None, b"c", b"K")


def test_option_malformed():
    for value in (
        "00",  # all flags zero: the value must be empty
        "0001",
        "06010203040506",  # Partial IVs of 6 and 7 bytes are reserved
        "0701020304050607",
        "01",  # cut off
        "0514141414",
        "09",
        "2114",  # reserved flags
        "4114",
        "8114",
        "e914",
        "011400",  # bytes behind
        "1114",  # no length of the kid context
        "111401",
        "11140461626",
        "1114016162",
    ):
        raises(Malformed, decode_option, unhex(value + "0" * (len(value) & 1)))


def test_partial_iv_lengths():
    context = client(C1)
    for sequence, partial_iv in (
        (0, "00"),
        (1, "01"),
        (255, "ff"),
        (256, "0100"),
        ((1 << 32) - 1, "ffffffff"),
        (1 << 32, "0100000000"),
        ((1 << 40) - 1, "ffffffffff"),
    ):
        context.sequence = sequence
        outer, binding = context.protect_request(coap.Message(coap.GET, []))
        assert binding.partial_iv == unhex(partial_iv)
        option = bytes((8 + len(partial_iv) // 2,)) + unhex(partial_iv)
        assert outer.options == [(coap.OSCORE, option)]
        server(C1).unprotect_request(outer)


def test_partial_ivs_end():
    context, answers = client(C1), server(C1)
    context.sequence = (1 << 40) - 1
    outer, _ = context.protect_request(coap.Message(coap.GET, []))
    raises(Exhausted, context.protect_request, coap.Message(coap.GET, []))
    raises(Exhausted, context.protect_request, coap.Message(coap.GET, []))
    _, binding = answers.unprotect_request(outer)
    answers.sequence = 1 << 40
    reply = coap.Message(coap.CONTENT, [])
    raises(Exhausted, answers.protect_response, reply, binding, True)
    answers.protect_response(reply, binding)


def test_no_number_is_used_before_it_is_reserved():
    """At the limit the context asks for more; if there is none, no number is used up."""
    context, asked = client(C1), []

    def reserve(sequence):
        asked.append(sequence)
        if len(asked) == 3:
            raise OSError("no more")
        return sequence + 4

    context.limit, context.reserve = 0, reserve
    for number in range(8):
        assert context.take_partial_iv() == bytes((number,))
    assert asked == [0, 4]
    raises(OSError, context.protect_request, coap.Message(coap.GET, []))
    assert (asked, context.sequence, context.limit) == ([0, 4, 8], 8, 8)
    assert context.take_partial_iv() == b"\x08"
    assert (asked, context.limit) == ([0, 4, 8, 8], 12)


# Section 4: what is inside and what outside.


def sorted_options(*lists):
    """Join lists of options by number; MicroPython's sort is not stable."""
    joined = []
    for number in range(70):
        for options in lists:
            joined += [each for each in options if each[0] == number]
    return joined


def test_option_classes():
    outside = [(3, b"host"), (7, b"\x16\x33"), (35, b"uri"), (39, b"coap")]
    inside = [(1, b"e"), (4, b"tag"), (11, b"a"), (11, b"b"), (12, b""), (15, b"q"), (60, b"")]
    message = coap.Message(coap.PUT, inside[2:] + outside + inside[:2], b"x", coap.CON, 5, b"t")
    outer, _ = client(C1).protect_request(message)
    assert outer.code == coap.POST
    assert (outer.type, outer.mid, outer.token) == (coap.CON, 5, b"t")
    encoded = coap.decode(coap.encode(outer))
    assert encoded.options == sorted_options(outside, [(9, b"\x09\x00")])
    assert len(outer.payload) == 1 + len(coap.encode_body(inside, b"x")) + 8
    inner, binding = server(C1).unprotect_request(encoded)
    assert coap.decode(coap.encode(inner)).options == sorted_options(inside, outside)
    assert (inner.code, inner.payload) == (coap.PUT, b"x")
    reply = server(C1).protect_response(coap.Message(0x84, [(12, b"")]), binding)
    assert (reply.code, reply.options) == (coap.CHANGED, [(9, b"")])


def test_inner_options_that_belong_outside_are_dropped():
    """Section 8.2: a sender that encrypts a Uri-Host of its own is not believed."""
    sender = client(C1)
    partial_iv = b"\x00"
    binding = Binding(b"", partial_iv, sender.nonce(b"", partial_iv))
    plaintext = b"\x01" + coap.encode_body([(3, b"evil"), (9, b""), (11, b"a")], b"")
    sealed = sender._sender.seal(binding.nonce, plaintext, sender._aad(binding))
    outer = coap.Message(coap.POST, [(9, b"\x09\x00"), (3, b"host"), (11, b"outer")], sealed)
    inner, _ = server(C1).unprotect_request(outer)
    assert inner.options == [(3, b"host"), (11, b"a")]


def test_authentic_but_not_coap():
    """What a peer with the right key sealed can still be no message."""
    for plaintext, error in (
        (b"", BadTag),
        (b"\x01\xff", Malformed),
        (b"\x01\xf0", Malformed),
        (b"\x01\x1d", Malformed),
    ):
        sender, answers = client(C1), server(C1)
        binding = Binding(b"", b"\x00", sender.nonce(b"", b"\x00"))
        sealed = sender._sender.seal(binding.nonce, plaintext, sender._aad(binding))
        raises(error, answers.unprotect_request, coap.Message(2, [(9, b"\x09\x00")], sealed))


# Section 7 and 8: what must not open.


def numbered(number):
    """Return the client's request with this Partial IV."""
    sender = client(C1)
    sender.sequence = number
    return sender.protect_request(coap.Message(coap.GET, []))[0]


def test_replays():
    answers = server(C1)
    for number in (3, 5, 4):
        answers.unprotect_request(numbered(number))
    for number in (3, 4, 5):
        raises(Replayed, answers.unprotect_request, numbered(number))
    for number in (6, 1, 39):
        answers.unprotect_request(numbered(number))
    raises(Replayed, answers.unprotect_request, numbered(7))  # 32 behind
    answers.unprotect_request(numbered(8))  # 31 behind


def test_a_forged_request_does_not_move_the_window():
    answers = server(C1)
    outer = coap.decode(unhex(REQUEST_4))
    forged = coap.decode(unhex(REQUEST_4))
    for changed in flips(outer.payload):
        forged.payload = changed
        raises(BadTag, answers.unprotect_request, forged)
    for end in range(len(outer.payload)):
        forged.payload = outer.payload[:end]
        raises(BadTag, answers.unprotect_request, forged)
    far_ahead = coap.Message(2, [(9, b"\x0d\xff\xff\xff\xff\xff")], outer.payload)
    raises(BadTag, answers.unprotect_request, far_ahead)
    assert uri_path(answers.unprotect_request(outer)[0]) == "tv1"


def test_every_flipped_bit_of_a_request_option():
    """Partial IV, kid and flags: each change is refused, and the true request still opens."""
    sender = client(C2)
    outer, _ = sender.protect_request(coap.Message(coap.GET, [(11, b"a")]))
    answers = server(C2)
    accepted = []
    for changed in flips(outer.option(9)):
        forged = coap.Message(outer.code, [(9, changed)], outer.payload)
        try:
            answers.unprotect_request(forged)
            accepted.append(changed)
            answers = server(C2)
        except SkerryError:
            pass
    assert accepted == []
    answers.unprotect_request(outer)


def test_requests_without_partial_iv_or_kid():
    outer = coap.decode(unhex(REQUEST_4))
    for options in ([], [(9, b"")], [(9, b"\x08")], [(9, b"\x01\x14")], [(9, b"\x08kid")]):
        forged = coap.Message(outer.code, options, outer.payload)
        raises(Malformed, server(C1).unprotect_request, forged)


def test_every_flipped_bit_of_a_response():
    """Both kinds; whatever still opens says what the server said."""
    asks = client(C1)
    asks.sequence = 20
    _, binding = asks.protect_request(coap.Message(coap.GET, [(3, b"localhost"), (11, b"tv1")]))
    for protected in (RESPONSE_7, RESPONSE_8):
        outer = coap.decode(unhex(protected))
        for changed in flips(outer.payload):
            forged = coap.Message(outer.code, outer.options, changed)
            raises(BadTag, asks.unprotect_response, forged, binding)
        for changed in flips(outer.option(9)):
            forged = coap.Message(outer.code, [(9, changed)], outer.payload)
            try:
                inner = asks.unprotect_response(forged, binding)
                assert (inner.code, inner.payload) == (coap.CONTENT, b"Hello World!")
            except SkerryError:
                pass


def test_a_response_to_another_request():
    asks, answers = client(C1), server(C1)
    first, asked_first = asks.protect_request(coap.Message(coap.GET, [(11, b"a")]))
    second, asked_second = asks.protect_request(coap.Message(coap.GET, [(11, b"b")]))
    reply = coap.Message(coap.CONTENT, [], b"a")
    _, bound_first = answers.unprotect_request(first)
    answers.unprotect_request(second)
    for own_partial_iv in (False, True):
        outer = answers.protect_response(reply, bound_first, own_partial_iv)
        raises(BadTag, asks.unprotect_response, outer, asked_second)
        assert asks.unprotect_response(outer, asked_first).payload == b"a"


def test_a_response_that_is_not_protected():
    asks = client(C1)
    _, binding = asks.protect_request(coap.Message(coap.GET, []))
    raises(Malformed, asks.unprotect_response, coap.Message(coap.UNAUTHORIZED, []), binding)
    empty = coap.Message(coap.CHANGED, [(9, b"")])
    raises(BadTag, asks.unprotect_response, empty, binding)


def test_a_request_is_not_a_response():
    sender, answers = client(C1), server(C1)
    outer, binding = sender.protect_request(coap.Message(coap.GET, []))
    raises(BadTag, sender.unprotect_response, outer, binding)
    raises(BadTag, sender.unprotect_request, outer)
    _, bound = answers.unprotect_request(outer)
    response = answers.protect_response(coap.Message(coap.CONTENT, []), bound)
    raises(Malformed, answers.unprotect_request, response)


def test_algorithm_30_takes_tags_of_16_bytes():
    sender, answers = client(C1, 30), server(C1, 30)
    outer, asked = sender.protect_request(coap.Message(coap.GET, []))
    assert len(outer.payload) == 1 + 16
    raises(BadTag, server(C1).unprotect_request, outer)
    _, bound = answers.unprotect_request(outer)
    reply = answers.protect_response(coap.Message(coap.CONTENT, [], b"x"), bound)
    assert len(reply.payload) == 3 + 16
    assert sender.unprotect_response(reply, asked).payload == b"x"


def test_every_id_length():
    for length in range(8):
        given = (SALT, bytes(range(length)), b"\xff", None)
        sender, answers = client(given), server(given)
        outer, asked = sender.protect_request(coap.Message(coap.GET, []))
        assert outer.option(9) == b"\x09\x00" + bytes(range(length))
        _, bound = answers.unprotect_request(outer)
        reply = answers.protect_response(coap.Message(coap.CONTENT, []), bound, True)
        assert sender.unprotect_response(reply, asked).code == coap.CONTENT


def test_another_kid_or_kid_context():
    """The tag does not cover them as they were sent, so a context answers for its own alone."""
    outer, _ = client(C2).protect_request(coap.Message(coap.GET, []))
    for option in ("090001", "0900", "09000000", "19000000", "1900013700"):
        answers = server(C2)
        forged = coap.Message(outer.code, [(9, unhex(option))], outer.payload)
        raises(BadTag, answers.unprotect_request, forged)
        answers.unprotect_request(outer)
    # A kid context may be left out (RFC 8613 section 5.1), but may not be another one.
    outer, _ = client(C3).protect_request(coap.Message(coap.GET, []))
    assert outer.options == [(9, unhex("190008") + ID_CONTEXT)]
    other = coap.Message(outer.code, [(9, unhex("190008") + ID_CONTEXT[:-1] + b"\0")])
    other.payload = outer.payload
    raises(BadTag, server(C3).unprotect_request, other)
    server(C3).unprotect_request(coap.Message(outer.code, [(9, b"\x09\x00")], outer.payload))
    server(C3).unprotect_request(outer)
