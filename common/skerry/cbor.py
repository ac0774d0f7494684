"""CBOR (RFC 8949): `dumps` writes the deterministic encoding of section 4.2.1, `loads` reads any.

    int (64 bits), float, bytes, str, list or tuple, dict, bool, None; nothing else, and no tags

The shortest of float16, float32 and float64 that keeps the value is written. Where the port's
floats have 32 bits, a float64 is read with that precision.
"""

import struct

from skerry.primitives import const

_DEPTH = const(16)  # lists and dicts within each other; each level takes stack
_BREAK = const(0xFF)
_SIMPLE = {0xF4: False, 0xF5: True, 0xF6: None, 0xF7: None}  # undefined is None, too


def _head(major: int, value: int) -> bytes:
    """Return the shortest head of a data item (section 3)."""
    major <<= 5
    if value < 24:
        return bytes((major | value,))
    for extra in range(4):
        if value >> (8 << extra) == 0:
            return bytes((major | 24 + extra,)) + value.to_bytes(1 << extra, "big")
    raise ValueError("integer of more than 64 bits")


def _half(single: int) -> bytes | None:
    """Return the float16 of a float32's bits, None if it would be another value."""
    exponent, fraction = single >> 23 & 255, single & 0x7FFFFF
    if exponent == 255:
        half = 0x7C00
    elif exponent > 142:
        return None
    elif exponent > 112:
        half = exponent - 112 << 10 | fraction >> 13
        if fraction & 0x1FFF:
            return None
    else:  # subnormal in 16 bits, or zero
        if exponent:
            fraction |= 0x800000
        shift = min(126 - exponent, 25)
        half = fraction >> shift
        if half << shift != fraction:
            return None
    return b"\xf9" + (single >> 16 & 0x8000 | half).to_bytes(2, "big")


def _float(value: float) -> bytes:
    if value != value:  # noqa: PLR0124 - one of many NaNs (section 4.2.2)
        return b"\xf9\x7e\x00"
    try:
        single = struct.pack(">f", value)
    except OverflowError:
        single = b"\x7f\x80\0\0"
    if struct.unpack(">f", single)[0] != value:
        return b"\xfb" + struct.pack(">d", value)
    return _half(int.from_bytes(single, "big")) or b"\xfa" + single


def dumps(value: object, depth: int = 0) -> bytes:
    """Return the encoding; raise ValueError for what has none."""
    if depth > _DEPTH:
        raise ValueError("nested too deep")
    if value is None or value is False or value is True:
        return b"\xf6" if value is None else b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, (list, tuple)):
        return _head(4, len(value)) + b"".join([dumps(each, depth + 1) for each in value])
    if isinstance(value, dict):
        pairs = [(dumps(key, depth + 1), dumps(value[key], depth + 1)) for key in value]
        return _head(5, len(pairs)) + b"".join([key + item for key, item in sorted(pairs)])
    return _dumps_string(value)


def _dumps_string(value: object) -> bytes:
    if isinstance(value, str):
        value = value.encode()
        return _head(3, len(value)) + value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _head(2, len(value)) + bytes(value)
    raise ValueError("no CBOR for " + type(value).__name__)


def loads(data: bytes) -> object:
    """Return the value of one data item and nothing behind it; raise ValueError."""
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise ValueError("bytes behind the CBOR item")
    return value


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Return `size` bytes and where they end."""
    if size > len(data) - at:
        raise ValueError("CBOR ends early")
    return data[at : at + size], at + size


def _argument(data: bytes, at: int) -> tuple[int, int | None, int]:
    """Return (major type, argument, where it ends); the argument is None for indefinite length."""
    first, at = _take(data, at, 1)
    major, info = first[0] >> 5, first[0] & 31
    if info < 24:
        return major, info, at
    if info == 31 and 2 <= major <= 5:
        return major, None, at
    if info > 27:
        raise ValueError("not CBOR")
    argument, at = _take(data, at, 1 << info - 24)
    return major, int.from_bytes(argument, "big"), at


def _item(data: bytes, at: int, depth: int) -> tuple[object, int]:
    """Return the value that begins here and where it ends."""
    if depth > _DEPTH:
        raise ValueError("nested too deep")
    if at < len(data) and data[at] >> 5 == 7:
        return _simple(data, at)
    major, argument, at = _argument(data, at)
    if argument is not None and major < 2:
        return (argument if major == 0 else -1 - argument), at
    if major < 4:
        value, at = _string(data, at, major, argument)
        try:
            return (value if major == 2 else str(value, "utf-8")), at
        except UnicodeError:
            raise ValueError("text is not UTF-8")
    if major == 4:
        return _list(data, at, argument, depth)
    if major == 5:
        return _dict(data, at, argument, depth)
    raise ValueError("CBOR tag %s: tags are not read" % argument)


def _simple(data: bytes, at: int) -> tuple[object, int]:
    first = data[at]
    if first in _SIMPLE:
        return _SIMPLE[first], at + 1
    if not 0xF9 <= first <= 0xFB:
        raise ValueError("CBOR simple value or break")
    raw, end = _take(data, at + 1, 2 << first - 0xF9)
    if first == 0xF9:
        return _from_half(int.from_bytes(raw, "big")), end
    return struct.unpack(">f" if first == 0xFA else ">d", raw)[0], end


def _from_half(half: int) -> float:
    """Return the value of a float16 (appendix D)."""
    exponent, fraction = half >> 10 & 31, half & 0x3FF
    if exponent == 31:
        value = float("nan") if fraction else float("inf")
    elif exponent:
        value = (1024 + fraction) * 2.0 ** (exponent - 25)
    else:
        value = fraction * 2.0**-24
    return -value if half >> 15 else value


def _more(data: bytes, at: int, count: int | None, done: int) -> bool:
    """Tell whether another element comes; count is None for indefinite length."""
    if count is not None:
        return done < count
    return at >= len(data) or data[at] != _BREAK


def _string(data: bytes, at: int, major: int, size: int | None) -> tuple[bytes, int]:
    if size is not None:
        return _take(data, at, size)
    value = b""
    while _more(data, at, None, 0):
        inner, size, at = _argument(data, at)
        if inner != major or size is None:
            raise ValueError("not CBOR")
        chunk, at = _take(data, at, size)
        value += chunk
    return value, at + 1


def _list(data: bytes, at: int, count: int | None, depth: int) -> tuple[list[object], int]:
    values: list[object] = []
    while _more(data, at, count, len(values)):
        value, at = _item(data, at, depth + 1)
        values.append(value)
    return values, at + (count is None)


def _dict(data: bytes, at: int, count: int | None, depth: int) -> tuple[dict[object, object], int]:
    values: dict[object, object] = {}
    while _more(data, at, count, len(values)):
        key, at = _item(data, at, depth + 1)
        value, at = _item(data, at, depth + 1)
        if isinstance(key, (list, dict)) or key in values:
            raise ValueError("CBOR key twice, or of a kind that no dict takes")
        values[key] = value
    return values, at + (count is None)
