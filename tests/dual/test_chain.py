"""The chain's moves, its limits and its packed form, against frozen values of the oracle."""

from dual.tools import pattern, raises, unhex

from skerry import provisioning, schedule
from skerry.chain import MAX_ERA, MAX_STEP, PACKED_LENGTH, Chain
from skerry.errors import Exhausted, Malformed

CTX = schedule.context(0, b"lamp-7", b"hub")
START = provisioning.first_epoch(bytes(range(32)), CTX)

# tests/vectors/handshake_v1.json, suite 0.
RECORD_0_1 = (
    "0000000000000001"  # era, step
    "29d231a4de99df00b1d73cadb0845e8337bea134c9fa6c5efcdc59f9d9fcf220"  # CK
    "01abc35d75241951f861e02e6472bfd0e3ffa1bc102d000b7d27f9f2bfc23705"  # RK of the next era
)
RECORD_0_2 = (
    "0000000000000002"  # era, step
    "8ed46e56768924c2e3f0d7a56f82dc3c353b37bbe78f089a6741cb497f3322b7"  # CK
    "01abc35d75241951f861e02e6472bfd0e3ffa1bc102d000b7d27f9f2bfc23705"  # RK of the next era
)
CHAIN_KEY_3_0 = "4dd58d081e2fe18bfed97dfb8a4f067416167ad343b4b4c3d85fc2eafa893824"
NEXT_ROOT_3 = "83e42129382509e286adb7b12ae0d45a7a77396c1c21a75076cb699f8e5a7b71"
RECORD_2_6 = (
    "0000000200000006"  # era, step
    "f4f6e3ce748aef26601722a5314a7b534e5637adabef193e8b8e776a0aa33734"  # CK
    "a1d099c7562ff9d67ef0cebc279fa9922a87bc5b3e1689020b24faadd75d01ac"  # RK of the next era
)


def walk(era, step):
    chain = START
    for _ in range(era):
        chain = chain.next_era()
    for _ in range(step):
        chain = chain.next_step()
    return chain


def test_start():
    assert (START.era, START.step) == (0, 0)
    assert START.chain_key == unhex(
        "8d3c7e0bd05951143bf4ed1cbf3199fa373bd4e3ac98ae90d4dab0f8927c85db"
    )


def test_steps_and_eras():
    assert walk(0, 1).pack() == unhex(RECORD_0_1)
    assert walk(0, 2).pack() == unhex(RECORD_0_2)
    assert walk(2, 6).pack() == unhex(RECORD_2_6)
    assert walk(3, 0).pack() == unhex("0000000300000000" + CHAIN_KEY_3_0 + NEXT_ROOT_3)


def test_an_era_does_not_depend_on_the_step_it_is_reached_from():
    expected = START.next_era().pack()
    chain = START
    for _ in range(5):
        assert chain.next_era().pack() == expected
        chain = chain.next_step()


def test_a_move_makes_a_new_chain():
    before = START.pack()
    START.next_step()
    START.next_era()
    assert START.pack() == before


def test_pack_and_unpack():
    assert PACKED_LENGTH == 72
    packed = walk(2, 5).pack()
    assert len(packed) == 72
    again = Chain.unpack(packed)
    assert (again.era, again.step) == (2, 5)
    assert again.pack() == packed
    assert again.next_step().pack() == unhex(RECORD_2_6)
    assert again.next_era().pack() == walk(3, 0).pack()
    top = b"\xff" * 8 + pattern(64)
    assert (Chain.unpack(top).era, Chain.unpack(top).step) == (MAX_ERA, MAX_STEP)
    assert Chain.unpack(top).pack() == top


def test_unpack_of_every_other_length():
    packed = START.pack()
    for end in range(72):
        raises(Malformed, Chain.unpack, packed[:end])
    raises(Malformed, Chain.unpack, packed + b"\0")


def test_last_step_leads_to_the_next_era():
    assert MAX_STEP == MAX_ERA == 0xFFFFFFFF
    at_end = Chain(2, MAX_STEP, pattern(32), unhex(RECORD_2_6)[40:])
    assert at_end.next_step().pack() == walk(3, 0).pack()
    before = Chain(2, MAX_STEP - 1, pattern(32), pattern(32))
    assert (before.next_step().era, before.next_step().step) == (2, MAX_STEP)


def test_after_the_last_era_there_is_nothing():
    last = Chain(MAX_ERA, MAX_STEP - 1, pattern(32), pattern(32, 1))
    raises(Exhausted, last.next_era)
    raises(Exhausted, last.next_step().next_step)
    before = Chain(MAX_ERA - 1, 7, pattern(32), pattern(32, 1))
    assert (before.next_era().era, before.next_era().step) == (MAX_ERA, 0)


def test_repr_shows_no_key():
    assert repr(walk(2, 5).chain_key) not in repr(walk(2, 5))
