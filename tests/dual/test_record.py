"""The slot of the chain store: exact bytes, and everything else is None."""

from hashlib import sha256

from dual.tools import flips, pattern, unhex

from skerry import record

CHAIN = pattern(72, 9)
SLOT = record.pack(0x01020304, CHAIN)


def test_exact_bytes():
    assert record.LENGTH == 87
    assert len(SLOT) == 87
    assert SLOT[:7] == b"SK\x01\x01\x02\x03\x04"
    assert SLOT[7:79] == CHAIN
    assert SLOT[79:] == unhex("c95f73110239ecb8")


def test_round_trip():
    for sequence in (0, 1, 255, 256, 0xFFFFFFFF):
        assert record.unpack(record.pack(sequence, CHAIN)) == (sequence, CHAIN)


def test_torn_at_every_length():
    for end in range(len(SLOT)):
        assert record.unpack(SLOT[:end]) is None, end
        # Flash that was erased to FF or 00 and written up to here, or over an older slot.
        older = record.pack(0x01020303, pattern(72, 8))
        for rest in (b"\xff" * 87, bytes(87), older):
            torn = SLOT[:end] + rest[end:]
            expected = (0x01020304, CHAIN) if torn == SLOT else None
            if torn == older:
                expected = (0x01020303, pattern(72, 8))
            assert record.unpack(torn) == expected, end


def test_every_flipped_bit():
    for changed in flips(SLOT):
        assert record.unpack(changed) is None


def test_empty_and_foreign():
    for slot in (b"", b"\xff" * 87, bytes(87), SLOT + b"\0", b"\0" + SLOT, SLOT[1:]):
        assert record.unpack(slot) is None


def test_right_checksums_of_wrong_slots():
    """Another layout version or magic, and a byte between body and checksum."""
    for magic in (b"SK\x02", b"SK\x00", b"TK\x01"):
        body = magic + SLOT[3:79]
        assert record.unpack(body + sha256(body).digest()[:8]) is None
    assert record.unpack(SLOT[:79] + b"\0" + SLOT[79:]) is None
