"""The serial link on a cable that loses, adds and changes bytes."""

from skerry_device.links.serial import SerialLink, fcs

PING = b"\x40\x01\x00\x00"
# These two frames are those of another implementation's tests (the Rust crate slipmux).
FRAME = b"\xc0\xa9\x40\x01\x00\x00\xbc\x38\xc0"
HARD = b"\xc0\xdb\xdb\xc0\xdb\xc0\xdb\xc0" + b"\xdb" * 46  # its FCS is C0 C0


class Cable:
    """A UART whose other end is the test."""

    def __init__(self):
        self.sent = b""
        self.coming = []

    def write(self, data):
        self.sent += data

    def read(self):
        return self.coming.pop(0) if self.coming else None


def link_with(*coming):
    cable = Cable()
    cable.coming = list(coming)
    return SerialLink(cable)


def test_frames_as_the_draft_has_them():
    link = link_with()
    link.send(PING)
    assert link.uart.sent == FRAME
    assert link.sent == 4
    link.uart.sent = b""
    link.send(HARD)
    assert link.uart.sent[-5:] == b"\xdb\xdc\xdb\xdc\xc0"
    assert len(link.uart.sent) == 1 + 1 + 2 * 54 + 4 + 1
    assert fcs(b"\xa9") == 0x374C  # the start value of RIOT's implementation


def test_what_is_sent_is_received():
    for message in (PING, HARD, bytes(range(256)), b"\xdb\xdc\xdb\xdd\xc0", b"x" * 1280, b""):
        link = link_with()
        link.send(message)
        whole = link.uart.sent
        step = 1 + len(whole) // 500
        for pieces in ([whole], [whole[i : i + step] for i in range(0, len(whole), step)]):
            other = link_with(*pieces)
            assert other.receive(500) == message
            assert other.received == len(message)
            assert other.receive(0) is None


def test_two_frames_at_once():
    link = link_with(FRAME + FRAME[1:] + FRAME)
    assert [link.receive(0) for _ in range(4)] == [PING, PING, PING, None]


def test_noise_costs_no_frame():
    for noise in (b"\x00\xff", b"\xc0\xc0\xc0", b"\xdb", b"\xa9", bytes(range(192)), b"y" * 5000):
        link = link_with(noise, FRAME)
        assert link.receive(20) == PING


def test_a_changed_byte_costs_the_frame_and_no_other():
    for at in range(1, len(FRAME) - 1):
        changed = FRAME[:at] + bytes((FRAME[at] ^ 1,)) + FRAME[at + 1 :]
        link = link_with(changed + FRAME)
        assert link.receive(0) == PING
        assert link.receive(0) is None
        link = link_with(FRAME[:at] + FRAME[at + 1 :] + FRAME)  # a byte that is lost
        assert link.receive(0) == PING
        assert link.receive(0) is None


def test_other_frames_are_left_alone():
    for other in (
        b"\xc0\x0aHello\xc0",
        b"\xc0\x45" + bytes(20) + b"\xc0",
        b"\xc0\xa9\x40\xdb\xc0",
    ):
        link = link_with(other + FRAME)
        assert link.receive(0) == PING
        assert link.receive(0) is None
