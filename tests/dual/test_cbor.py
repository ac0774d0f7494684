"""CBOR: the examples of RFC 8949 appendix A, and what is refused."""

from binascii import hexlify, unhexlify

from dual.tools import raises

from skerry.cbor import dumps, loads

# Appendix A, in its order: encodings that are deterministic and so come out again.
BOTH_WAYS = (
    ("00", 0),
    ("01", 1),
    ("0a", 10),
    ("17", 23),
    ("1818", 24),
    ("1819", 25),
    ("1864", 100),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("3bffffffffffffffff", -18446744073709551616),
    ("20", -1),
    ("29", -10),
    ("3863", -100),
    ("3903e7", -1000),
    ("f90000", 0.0),
    ("f98000", -0.0),
    ("f93c00", 1.0),
    ("fb3ff199999999999a", 1.1),
    ("f93e00", 1.5),
    ("f97bff", 65504.0),
    ("fa47c35000", 100000.0),
    ("fa7f7fffff", 3.4028234663852886e38),
    ("fb7e37e43c8800759c", 1.0e300),
    ("f90001", 5.960464477539063e-8),
    ("f90400", 0.00006103515625),
    ("f9c400", -4.0),
    ("fbc010666666666666", -4.1),
    ("f97c00", float("inf")),
    ("f9fc00", float("-inf")),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\1\2\3\4"),
    ("60", ""),
    ("6161", "a"),
    ("6449455446", "IETF"),
    ("62225c", '"\\'),
    ("62c3bc", "\u00fc"),
    ("63e6b0b4", "\u6c34"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    (
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        [each + 1 for each in range(25)],
    ),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("826161a161626163", ["a", {"b": "c"}]),
    (
        "a56161614161626142616361436164614461656145",
        {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"},
    ),
)
# Appendix A: what a decoder meets and our encoder does not make.
ONE_WAY = (
    ("fa7f800000", float("inf")),
    ("faff800000", float("-inf")),
    ("fb7ff0000000000000", float("inf")),
    ("fbfff0000000000000", float("-inf")),
    ("f7", None),
    ("5f42010243030405ff", b"\1\2\3\4\5"),
    ("7f657374726561646d696e67ff", "streaming"),
    ("9fff", []),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("9f01820203820405ff", [1, [2, 3], [4, 5]]),
    ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
    ("83019f0203ff820405", [1, [2, 3], [4, 5]]),
    (
        "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
        [each + 1 for each in range(25)],
    ),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ("826161bf61626163ff", ["a", {"b": "c"}]),
    ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
)
# Appendix A: tags and simple values, which have no type here.
REFUSED = (
    "c249010000000000000000",
    "c349010000000000000000",
    "f0",
    "f8ff",
    "c074323031332d30332d32315432303a30343a30305a",
    "c11a514b67b0",
    "c1fb41d452d9e8200000",
    "d74401020304",
    "d818456449455446",
    "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
)
NANS = ("f97e00", "fa7fc00000", "fb7ff8000000000000")


def same(one, other):
    """Equal, and of one type: 1, 1.0 and True are three values; so are 0.0 and -0.0."""
    return repr(one) == repr(other) if isinstance(one, float) else one == other


def test_appendix_a():
    for text, value in BOTH_WAYS:
        assert hexlify(dumps(value)) == text.encode(), text
        found = loads(unhexlify(text))
        assert same(found, value), text
        assert type(found) is type(value)
    for text, value in ONE_WAY:
        assert same(loads(unhexlify(text)), value), text
    for text in REFUSED:
        raises(ValueError, loads, unhexlify(text))
    for text in NANS:
        found = loads(unhexlify(text))
        assert found != found
    assert dumps(float("nan")) == b"\xf9\x7e\x00"


def test_tags_are_named():
    assert "tag 32" in str(raises(ValueError, loads, unhexlify(REFUSED[-1])))


def test_deterministic_order():
    """Section 4.2.1: by the bytes of the keys as they are encoded."""
    mixed = {"aa": 1, "z": 2, 100: 3, 10: 4, -1: 5, False: 6}
    assert dumps(mixed) == unhexlify("a60a041864032005617a0262616101f406")
    assert loads(dumps(mixed)) == mixed


def test_every_prefix_and_what_is_behind():
    for text, _ in BOTH_WAYS + ONE_WAY:
        data = unhexlify(text)
        for end in range(len(data)):
            raises(ValueError, loads, data[:end])
        raises(ValueError, loads, data + b"\0")


def test_not_well_formed():
    """Appendix F: subkinds 1 to 5."""
    for text in (
        "", "18", "1c", "1d", "1e", "1f", "3c", "3f", "5c", "7d", "9e", "bc", "df", "fc", "fd", "fe",
        "ff", "81ff", "a1ff", "a100ff", "a2000000", "5f00ff", "5f5f4100ffff", "7f4100ff", "5f6100ff",
        "5fd9000040ff", "9f", "9f81ff", "bf00ff", "bf000000ff", "f801", "f818", "f8", "f900", "fa0000",
        "62c328", "61ff", "a18000", "a1a000", "a201000102",
    ):  # fmt: skip
        raises(ValueError, loads, unhexlify(text))


def test_lengths_are_not_believed():
    """A few bytes that promise more than there is: refused before any memory is taken."""
    for text in ("5bffffffffffffffff", "7affffffff", "9bffffffffffffffff", "bb7fffffffffffffff00"):
        assert "early" in str(raises(ValueError, loads, unhexlify(text)))


def test_depth():
    """Sixteen levels; more would only take stack."""
    nested = 7
    for _ in range(16):
        nested = [nested]
    assert loads(dumps(nested)) == nested
    assert "deep" in str(raises(ValueError, dumps, [nested]))
    raises(ValueError, loads, b"\x81" * 17 + b"\x00")
    raises(ValueError, loads, b"\x9f" * 400)
    raises(ValueError, loads, b"\xa1\x00" * 400)


def test_no_encoding():
    for value in (1 << 64, -1 - (1 << 64), object(), {1, 2}, [object()], {"a": dumps}):
        raises(ValueError, dumps, value)


def test_buffers():
    for buffer in (bytearray(b"ab"), memoryview(b"ab")):
        assert dumps(buffer) == b"\x42ab"
    assert dumps((1, 2)) == b"\x82\x01\x02"
