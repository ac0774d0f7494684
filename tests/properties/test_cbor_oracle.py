"""Our CBOR against cbor2: it reads what we write, we read what it writes."""

import math
import struct

import cbor2
from hypothesis import example, given
from hypothesis import strategies as st

from skerry.cbor import dumps, loads

integers = st.one_of(st.integers(-(1 << 64), (1 << 64) - 1), st.integers(-300, 70000))
floats = st.one_of(
    st.floats(allow_nan=False),
    st.floats(allow_nan=False, width=32),
    st.floats(allow_nan=False, width=16),
)
scalars = st.one_of(
    integers, floats, st.binary(max_size=300), st.text(max_size=80), st.booleans(), st.none()
)
keys = st.one_of(integers, st.text(max_size=30), st.binary(max_size=30))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=30), st.dictionaries(keys, inner, max_size=6)
    ),
    max_leaves=40,
)


@given(values)
@example([])
def test_both_directions(value):
    ours = dumps(value)
    assert cbor2.loads(ours) == value
    assert loads(cbor2.dumps(value)) == value
    assert loads(cbor2.dumps(value, canonical=True)) == value
    assert loads(ours) == value


@given(st.one_of(scalars, st.lists(scalars, max_size=30)))
def test_the_bytes_are_the_canonical_ones(value):
    """Except for the order of keys, where section 4.2.1 differs from what cbor2 has."""
    assert dumps(value) == cbor2.dumps(value, canonical=True)


@given(st.dictionaries(keys, scalars, max_size=8))
def test_keys_in_order(value):
    expected = sorted((cbor2.dumps(key, canonical=True), item) for key, item in value.items())
    body = b"".join(key + cbor2.dumps(item, canonical=True) for key, item in expected)
    assert dumps(value)[1:] == body


def test_all_floats_of_16_bits():
    for bits in range(1 << 16):
        raw = bits.to_bytes(2, "big")
        value = loads(b"\xf9" + raw)
        expected = struct.unpack(">e", raw)[0]
        if math.isnan(expected):
            assert math.isnan(value)
        else:
            assert struct.pack(">d", value) == struct.pack(">d", expected)
            assert dumps(value) == b"\xf9" + raw


@given(st.binary(max_size=60))
def test_any_bytes(data):
    """A value or a ValueError; where cbor2 reads the same, it is the same value."""
    try:
        value = loads(data)
    except ValueError:
        return
    theirs = cbor2.loads(data)
    assert value is None or type(theirs) is type(value)
    assert loads(dumps(value)) == value or "nan" in repr(value)
