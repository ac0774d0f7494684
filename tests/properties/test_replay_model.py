"""The replay window against a set of all numbers that were ever taken."""

from hypothesis import given
from hypothesis import strategies as st

from skerry.errors import Replayed
from skerry.replay import ReplayWindow

near = st.integers(0, 80)
far = st.one_of(st.integers(0, 2**40 - 1), st.sampled_from([0, 2**32 - 1, 2**32, 2**40 - 1]))


@given(st.lists(st.one_of(near, near, near, far), max_size=60))
def test_against_a_set(numbers: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for number in numbers:
        expected = number not in seen and (not seen or number > max(seen) - 32)
        try:
            window.check(number)
        except Replayed:
            assert not expected
            continue
        assert expected
        window.accept(number)
        seen.add(number)
