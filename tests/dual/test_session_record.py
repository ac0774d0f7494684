"""A packed session: exact bytes, everything else is None, and it goes on where it stopped."""

from hashlib import sha256

from dual.tools import flips, pattern, raises, unhex

from skerry import coap, schedule, session_record
from skerry.chain import MAX_STEP, Chain
from skerry.coap_server import uri_path
from skerry.errors import Exhausted, Replayed
from skerry.oscore_server import unprotect_request
from skerry.replay import NOTHING
from skerry.responder import HubSession
from skerry.session import Session
from skerry.session_record import SessionRecord

CTX = schedule.context(1, b"d-1", b"h-1")
SECRET = pattern(32, 5)
WINDOW = pattern(9, 6)
FAILURES = 0x1A2B3C


def made(sequence=0x0102030405):
    return SessionRecord(1, 0x0A0B0C0D, 0x01020304, SECRET, sequence, WINDOW, FAILURES, 86400)


PACKED = made().pack(CTX)


def fields(record):
    return (
        record.suite,
        record.era,
        record.step,
        record.secret,
        record.sequence,
        record.window,
        record.failures,
        record.age,
    )


def test_exact_bytes():
    assert session_record.LENGTH == len(PACKED) == 72
    assert PACKED[:11] == unhex("5301 01 0a0b0c0d 01020304")
    assert PACKED[11:43] == SECRET
    assert PACKED[43:48] == unhex("0102030405")
    assert PACKED[48:57] == WINDOW
    assert PACKED[57:64] == unhex("1a2b3c 00015180")
    assert PACKED[64:] == sha256(CTX + PACKED[:64]).digest()[:8]


def test_round_trip():
    assert fields(SessionRecord.unpack(CTX, PACKED)) == fields(made())
    for sequence in (0, 1, 255, 1 << 32, (1 << 40) - 1):
        assert SessionRecord.unpack(CTX, made(sequence).pack(CTX)).sequence == sequence
    plain = SessionRecord(0, 0, 0, SECRET)
    assert fields(SessionRecord.unpack(CTX, plain.pack(CTX))) == (
        (0, 0, 0, SECRET, 0, bytes(9), 0, 0)
    )


def test_no_sequence_number_is_left():
    assert "connect again" in str(raises(Exhausted, made(1 << 40).pack, CTX))


def test_counts_beyond_their_fields_are_the_highest():
    record = made()
    record.failures, record.age = 1 << 24, 1 << 32
    again = SessionRecord.unpack(CTX, record.pack(CTX))
    assert (again.failures, again.age) == (0xFFFFFF, 0xFFFFFFFF)


def test_torn_at_every_length():
    other = SessionRecord(1, 0, 1, pattern(32, 9), 7).pack(CTX)
    for end in range(72):
        assert SessionRecord.unpack(CTX, PACKED[:end]) is None
        for rest in (bytes(72), b"\xff" * 72, other):
            torn = PACKED[:end] + rest[end:]
            found = SessionRecord.unpack(CTX, torn)
            assert (found is None) == (torn not in (PACKED, other)), end


def test_every_flipped_bit():
    for changed in flips(PACKED):
        assert SessionRecord.unpack(CTX, changed) is None


def test_foreign():
    for packed in (b"", bytes(72), b"\xff" * 72, PACKED + b"\0", b"\0" + PACKED, PACKED[1:]):
        assert SessionRecord.unpack(CTX, packed) is None
    for ctx in (schedule.context(1, b"d-2", b"h-1"), schedule.context(0, b"d-1", b"h-1"), b""):
        assert SessionRecord.unpack(ctx, PACKED) is None


def test_right_checksums_of_wrong_records():
    """Another layout version or magic, and a byte too many."""
    for body in (b"S\x02" + PACKED[2:64], b"T\x01" + PACKED[2:64], PACKED[:64] + b"\0"):
        assert SessionRecord.unpack(CTX, body + sha256(CTX + body).digest()[:8]) is None


def test_it_leads_to_one_epoch():
    for era, step, expected in (
        (3, 8, True),
        (3, 7, False),
        (3, 9, False),
        (4, 8, False),
        (2, 8, False),
        (4, 0, False),
    ):
        assert SessionRecord(0, 3, 7, SECRET).leads_to(Chain(era, step, b"", b"")) == expected
    assert not SessionRecord(0, 3, MAX_STEP, SECRET).leads_to(Chain(4, 0, b"", b""))


def get():
    return coap.Message(coap.GET, [(coap.URI_PATH, b"a")])


def exchange(asks, answers_with, number):
    """A protected request and its response."""
    outer, asked = asks.protect_request(get())
    assert outer.option(coap.OSCORE)[1] == number
    _, binding = answers_with.unprotect_request(outer)
    reply = answers_with.protect_response(coap.Message(coap.CONTENT, [], b"21.5"), binding)
    assert asks.unprotect_response(reply, asked).payload == b"21.5"


def test_it_goes_on():
    """The hub notices nothing; what it asked before is not answered again."""
    for suite in (0, 1):
        first, hub = Session(SECRET, suite), HubSession(SECRET, suite).oscore
        exchange(first.oscore, hub, 0)
        exchange(first.oscore, hub, 1)
        record = SessionRecord(suite, 0, 0, SECRET, first.oscore.sequence)
        _, window = record.restore()
        asked = [hub.protect_request(get())[0] for _ in range(4)]
        for outer in (asked[0], asked[2]):
            unprotect_request(first.oscore, window, outer)
        record.window = window.pack()

        session, window = SessionRecord.unpack(CTX, record.pack(CTX)).restore()
        assert session.fingerprint == first.fingerprint
        assert session.oscore.sender_id == first.oscore.sender_id
        exchange(session.oscore, hub, 2)
        for outer in (asked[0], asked[2]):
            raises(Replayed, unprotect_request, session.oscore, window, outer)
        for outer in (asked[1], asked[3]):
            assert uri_path(unprotect_request(session.oscore, window, outer)[0]) == "a"


def test_a_window_that_takes_nothing():
    record = SessionRecord(0, 0, 0, SECRET, 1024, NOTHING)
    session, window = SessionRecord.unpack(CTX, record.pack(CTX)).restore()
    hub = HubSession(SECRET, 0).oscore
    for sequence in (0, 1, 77, (1 << 40) - 40, (1 << 40) - 1):
        hub.sequence = sequence
        outer, _ = hub.protect_request(get())
        raises(Replayed, unprotect_request, session.oscore, window, outer)
