"""Sessions in memory that outlives deep sleep: read back once, whatever happens then."""

import sys

from chip import PowerCut, Rtc

from skerry_device import rtc
from skerry_device.rtc import Ram, RtcMemory

PACKED = bytes([each * 3 + 1 & 255 for each in range(72)])
OTHER = bytes([each * 5 + 2 & 255 for each in range(72)])


def test_kept_and_taken_once():
    for memory in (RtcMemory(Rtc()), Ram()):
        assert memory.take() == b""
        assert memory.keep(PACKED)
        assert memory.take() == PACKED
        assert memory.take() == b""
        memory.keep(PACKED)
        memory.keep(OTHER)
        assert memory.take() == OTHER
        assert memory.take() == b""
        memory.keep(PACKED)
        memory.forget()
        assert memory.take() == b""


def test_nothing_of_it_is_left():
    """Not even behind the end of what is there now."""
    for others in (b"", b"counter=7", bytes(300)):
        chip = Rtc()
        chip.memory(others)
        memory = RtcMemory(chip)
        memory.keep(PACKED)
        assert chip.memory() == others + b"\nskerry:" + PACKED
        memory.keep(OTHER)
        assert PACKED not in bytes(chip.cells)
        assert memory.take() == OTHER
        assert chip.memory() == others
        assert OTHER[:8] not in bytes(chip.cells)
        assert OTHER[-8:] not in bytes(chip.cells)


def test_what_others_keep_there_is_left_alone():
    chip = Rtc()
    for held in (b"", b"x", bytes(80), b"\nskerry:", b"\nskerry:" + bytes(71), bytes(2048)):
        chip.memory(held)
        assert RtcMemory(chip).take() == b""
        assert chip.memory() == held


def test_no_room():
    """The session is lost, which costs a handshake; the bytes of others stay."""
    chip = Rtc(room=492)
    chip.memory(bytes(412))
    assert RtcMemory(chip).keep(PACKED)
    assert RtcMemory(chip).take() == PACKED
    chip.memory(bytes(413))
    assert RtcMemory(chip).keep(PACKED) is False
    assert RtcMemory(chip).take() == b""
    assert chip.memory() == bytes(413)


def test_memory_that_keeps_it_gives_nothing():
    """If it cannot be overwritten it could be read back twice."""
    chip = Rtc()
    RtcMemory(chip).keep(PACKED)
    chip.works = False
    assert RtcMemory(chip).take() == b""
    chip.works = True
    assert RtcMemory(chip).take() == PACKED


def test_power_cut_at_each_write():
    """It comes out before the power goes, or after it, and never both times."""
    for writes in (0, 1, 2):
        chip = Rtc()
        RtcMemory(chip).keep(PACKED)
        chip.writes = writes
        taken = []
        try:
            taken.append(RtcMemory(chip).take())
        except PowerCut:
            pass
        chip.writes = None
        taken.append(RtcMemory(chip).take())
        assert taken.count(PACKED) == (0 if writes == 1 else 1)


def with_machine(machine, function, *arguments):
    """Call a function on a port whose module `machine` is this."""
    real = sys.modules.get("machine")
    sys.modules["machine"] = machine
    rtc._memory = None
    try:
        return function(*arguments)
    finally:
        rtc._memory = None
        del sys.modules["machine"]
        if real:
            sys.modules["machine"] = real


class Esp32:
    class RTC(Rtc):
        pass

    slept = []
    deepsleep = slept.append


class Pico:
    class RTC:
        pass


def test_the_memory_of_a_port():
    """Always the same object: that of the clock, or of the program where no clock has any."""

    def found():
        assert rtc.memory() is rtc.memory()
        assert rtc.memory().keep(PACKED)
        assert rtc.memory().take() == PACKED
        return rtc.memory()

    assert isinstance(with_machine(Esp32, found), RtcMemory)
    assert isinstance(with_machine(Pico, found), Ram)
    assert isinstance(with_machine(object(), found), Ram)


def test_deepsleep():
    """The session is kept before the board sleeps."""
    kept = []

    class Hub:
        def keep(self, ms):
            assert Esp32.slept == []
            kept.append(ms)

    with_machine(Esp32, rtc.deepsleep, Hub(), 600_000)
    assert kept == Esp32.slept == [600_000]
