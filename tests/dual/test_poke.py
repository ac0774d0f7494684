"""The poke: good in one epoch, under one suite, and only from who holds the chain."""

from skerry import poke, provisioning

CHAIN = provisioning.first_epoch(bytes(32), bytes(16))


def test_both_ends_agree():
    message = poke.encode(0, CHAIN)
    assert len(message) == 9
    assert message[0] == 0x30
    assert poke.accepted(0, CHAIN, message)


def test_another_epoch_or_suite_means_another_poke():
    message = poke.encode(0, CHAIN)
    for chain in (
        CHAIN.next_step(),
        CHAIN.next_era(),
        provisioning.first_epoch(b"\x01" * 32, bytes(16)),
    ):
        assert not poke.accepted(0, chain, message)
    assert not poke.accepted(1, CHAIN, message)


def test_every_bit_counts():
    message = poke.encode(1, CHAIN)
    for at in range(8 * len(message)):
        flipped = bytearray(message)
        flipped[at // 8] ^= 1 << at % 8
        assert not poke.accepted(1, CHAIN, bytes(flipped))
    for length in range(len(message)):
        assert not poke.accepted(1, CHAIN, message[:length])
