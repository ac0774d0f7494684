"""record.unpack raises nothing; what is not None packs to the same bytes."""

from skerry import record


def check(data):
    found = record.unpack(data)
    if found is not None:
        assert record.pack(*found) == data
    # The checksum is no secret: behind the right one, anything of the right length is a record.
    sequence, chain = int.from_bytes(data[:4], "big"), (data[4:] + bytes(72))[:72]
    assert record.unpack(record.pack(sequence, chain)) == (sequence, chain)
