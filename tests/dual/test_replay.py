"""The replay window, number by number."""

from dual.tools import raises, unhex

from skerry.errors import Replayed
from skerry.replay import NOTHING, ReplayWindow


def window_after(*numbers):
    window = ReplayWindow()
    for number in numbers:
        window.check(number)
        window.accept(number)
    return window


def fresh(window, numbers):
    """Return which of the numbers the window would take."""
    taken = []
    for number in numbers:
        try:
            window.check(number)
            taken.append(number)
        except Replayed:
            pass
    return taken


def test_a_new_window_takes_everything():
    for number in (0, 1, 31, 32, 33, 2**40 - 1):
        ReplayWindow().check(number)


def test_check_alone_changes_nothing():
    window = ReplayWindow()
    window.check(100)
    window.check(0)
    window.check(100)


def test_order_3_5_4_4_6_1():
    window = window_after(3, 5, 4)
    raises(Replayed, window.check, 4)
    window.check(6)
    window.accept(6)
    window.check(1)
    window.accept(1)
    assert fresh(window, range(9)) == [0, 2, 7, 8]


def test_edge_31_32_33_behind():
    window = window_after(100)
    window.check(100 - 31)
    raises(Replayed, window.check, 100 - 32)
    raises(Replayed, window.check, 100 - 33)
    window.accept(69)
    raises(Replayed, window.check, 69)
    assert fresh(window, range(60, 102)) == [n for n in range(70, 102) if n != 100]


def test_accepted_though_later_ones_were_first():
    # Verified together, then accepted in the wrong order: it is behind the window, no bit of it.
    for highest in (32, 33, 100, 2**40 - 1):
        window = window_after(highest)
        window.accept(0)
        raises(Replayed, window.check, 0)
        assert window.pack() == window_after(highest).pack()


def test_the_oldest_number_of_the_window_is_remembered():
    # 69 was taken and is now 31 behind; 68 falls out, taken or not.
    window = window_after(69, 100)
    raises(Replayed, window.check, 69)
    raises(Replayed, window.check, 68)
    window.check(70)


def test_jumps_of_every_size():
    for jump in range(1, 70):
        window = window_after(10, 12, 12 + jump)
        highest = 12 + jump
        expected = list(range(max(0, highest - 31), highest + 2))
        expected = [n for n in expected if n not in (10, 12, highest)]
        assert fresh(window, range(highest + 2)) == expected, jump


def test_big_jumps():
    window = window_after(0, 5, 2**40 - 1)
    raises(Replayed, window.check, 0)
    raises(Replayed, window.check, 5)
    raises(Replayed, window.check, 2**40 - 1)
    raises(Replayed, window.check, 2**40 - 33)
    window.check(2**40 - 32)
    window.check(2**40 - 2)


def test_every_number_once_in_both_directions():
    window = ReplayWindow()
    for number in list(range(31, -1, -1)) + list(range(32, 200)):
        window.check(number)
        window.accept(number)
        raises(Replayed, window.check, number)
    assert fresh(window, range(200)) == []


def test_packed_exactly():
    assert ReplayWindow().pack() == bytes(9)
    assert window_after(0).pack() == unhex("0000000000 00000001")
    assert window_after(3, 5, 4).pack() == unhex("0000000005 00000007")
    assert window_after(2**40 - 1).pack() == unhex("ffffffffff 00000001")
    assert window_after(0, 31).pack() == unhex("000000001f 80000001")


def test_a_window_outlives_packing():
    for numbers in ((), (0,), (1,), (3, 5, 4), (69, 100), (0, 31), (2**40 - 1, 2**40 - 32)):
        window, again = window_after(*numbers), ReplayWindow.unpack(window_after(*numbers).pack())
        assert again.pack() == window.pack()
        for near in numbers + (0,):
            around = range(max(0, near - 40), near + 40)
            assert fresh(again, around) == fresh(window, around)


def test_a_window_that_takes_nothing():
    window = ReplayWindow.unpack(NOTHING)
    assert window.pack() == NOTHING
    assert fresh(window, range(70)) == []
    assert fresh(window, [1 << bit for bit in range(40)]) == []
    assert fresh(window, range(2**40 - 70, 2**40)) == []
