"""The device's side: exact messages, and nothing but the true answer leads on."""

from dual import pair
from dual.tools import flips, pattern, raises, unhex

from skerry import schedule
from skerry.chain import MAX_ERA, MAX_STEP, Chain
from skerry.errors import BadTag, Exhausted, Malformed, NotPersisted
from skerry.initiator import Start

# tests/vectors/handshake_v1.json, epoch (0, 0): suite, time, then message 1, message 2 and MS.
VECTORS = (
    (
        0,
        False,
        "108664085d0028d0d1d2d3d4d5d6d72bc87952faa57f5b",
        "20e0e1e2e3e4e5e6e7d517aee4c7916a9d",
        "4393965bd41ba5f9d62d045fbfb4c38fae17eb8d0ab035a4171f03dbb9de761c",
    ),
    (
        1,
        False,
        "12a85c1633308ed0d1d2d3d4d5d6d70124e0edaac8984882df1ece0e05419c",
        "22e0e1e2e3e4e5e6e7056e546d16b7c8ffc5765ec48102ba4d",
        "108416f7f2a66992ce1dd37c558fdc335523b9756cff47e305afd29482c26555",
    ),
    (
        0,
        True,
        "118664085d0028d0d1d2d3d4d5d6d75d8d42ba43b77eb9",
        "21e0e1e2e3e4e5e6e76a5b4c3d2ecde061396d83e17f",
        "a208843c86ea221241649e8eb5f80430d0527774551a89922831c54f95b778e7",
    ),
    (
        1,
        True,
        "13a85c1633308ed0d1d2d3d4d5d6d7bb14b69f9795e3ed367df36903f872ef",
        "23e0e1e2e3e4e5e6e76a5b4c3d2ee8023cf14d95cc71ca9b2c77f18da7e2",
        "ec46282032d45b74a699af98faf33cf4c969b7e6b1491ff8413a28ee5a264aad",
    ),
)
SIZES = {(0, False): (23, 17), (0, True): (23, 22), (1, False): (31, 25), (1, True): (31, 30)}


def test_vectors():
    for suite, time, first, second, secret in VECTORS:
        message_1, waiting = pair.send(suite, time=time)
        assert message_1 == unhex(first)
        assert (len(first) // 2, len(second) // 2) == SIZES[suite, time]
        accepted = waiting.receive(unhex(second))
        assert accepted.time == (pair.TIME if time else None)
        assert accepted.record == pair.chain(suite, 0, 1).pack()
        assert accepted.persisted(accepted.record) == unhex(secret)


def test_time_is_asked_for_unless_told_otherwise():
    message_1, _ = Start(pair.CONTEXTS[0], 0, pair.chain()).send(pair.N_D)
    assert message_1 == unhex(VECTORS[2][2])


def test_a_hub_without_time_says_0():
    message_1, waiting = pair.send()
    verified, _, _ = pair.answer(message_1)
    assert waiting.receive(verified.answer(pair.N_H, 0)[0]).time == 0


def test_every_flipped_bit_of_message_2():
    for suite, time, _, second, secret in VECTORS:
        _, waiting = pair.send(suite, time=time)
        for changed in flips(unhex(second)):
            raises((BadTag, Malformed), waiting.receive, changed)
        accepted = waiting.receive(unhex(second))
        assert accepted.persisted(accepted.record) == unhex(secret)


def test_datagrams_of_every_length():
    for suite, time, first, second, _ in VECTORS:
        _, waiting = pair.send(suite, time=time)
        message_2 = unhex(second)
        for length in range(65):
            for datagram in (
                bytes(length),
                b"\xff" * length,
                pattern(length),
                (message_2 + bytes(64))[:length],
                (unhex(first) + bytes(64))[:length],
                message_2[:1] + pattern(length)[1:],
            ):
                if datagram != message_2:
                    raises((BadTag, Malformed), waiting.receive, datagram)
        waiting.receive(message_2)


def test_reflected_message_1():
    for suite in (0, 1):
        message_1, waiting = pair.send(suite)
        raises(Malformed, waiting.receive, message_1)
        # With message 2's header, and cut or filled to its length.
        second = bytes((message_1[0] ^ 0x30,)) + message_1[1:]
        raises((BadTag, Malformed), waiting.receive, second)
        for length in (17, 22, 25, 30):
            raises((BadTag, Malformed), waiting.receive, (second + bytes(16))[:length])
        moved = second[:-8][:9] + bytes(5) + message_1[15:]
        raises(BadTag, waiting.receive, moved)


def test_an_answer_to_another_attempt():
    """Another N_D, another epoch, another era, another suite, with or without time."""
    _, waiting = pair.send()
    others = [
        pair.answer(pair.send(n_d=pattern(8))[0])[1],
        pair.answer(pair.send(at=pair.chain(step=1))[0], at=pair.chain(step=1))[1],
        pair.answer(pair.send(at=pair.chain(era=1))[0], at=pair.chain(era=1))[1],
        unhex(VECTORS[0][3]),
        unhex(VECTORS[1][3]),
        unhex(VECTORS[3][3]),
    ]
    for message_2 in others:
        raises((BadTag, Malformed), waiting.receive, message_2)
    waiting.receive(unhex(VECTORS[2][3]))


def test_an_answer_of_another_hub_or_device():
    for ctx in (schedule.context(0, b"lamp-7", b"hub2"), schedule.context(0, b"lamp-8", b"hub")):
        _, waiting = Start(ctx, 0, pair.chain()).send(pair.N_D)
        raises(BadTag, waiting.receive, unhex(VECTORS[2][3]))


def test_the_first_of_two_attempts_can_still_be_answered():
    first, waiting_first = pair.send(n_d=pattern(8, 1))
    second, waiting_second = pair.send(n_d=pattern(8, 2))
    answer_1, answer_2 = pair.answer(first)[1], pair.answer(second)[1]
    raises(BadTag, waiting_first.receive, answer_2)
    raises(BadTag, waiting_second.receive, answer_1)
    accepted = waiting_first.receive(answer_1)
    assert accepted.persisted(accepted.record) == pair.answer(first)[2]


def test_not_persisted():
    message_1, waiting = pair.send()
    _, message_2, secret = pair.answer(message_1)
    accepted = waiting.receive(message_2)
    for read_back in (
        b"",
        None,
        accepted.record[:-1],
        accepted.record + b"\0",
        bytes(72),
        pair.chain().pack(),
        pair.chain(step=2).pack(),
    ):
        raises(NotPersisted, accepted.persisted, read_back)
    for changed in flips(accepted.record):
        raises(NotPersisted, accepted.persisted, changed)
    assert accepted.persisted(accepted.record) == secret


def test_the_record_is_the_next_epoch_and_holds_no_older_key():
    message_1, waiting = pair.send(at=pair.chain(era=2, step=5))
    at = pair.chain(era=2, step=5)
    record = waiting.receive(pair.answer(message_1, at=at)[1]).record
    after = Chain.unpack(record)
    assert (after.era, after.step) == (2, 6)
    assert record == pair.chain(era=2, step=6).pack()
    for old in (at.chain_key, schedule.epoch_key(at.chain_key), pair.K0):
        assert old not in record


def test_the_last_step_of_an_era():
    end = Chain(4, MAX_STEP, pattern(32, 1), pattern(32, 2))
    message_1, waiting = pair.send(at=end)
    accepted = waiting.receive(pair.answer(message_1, at=end)[1])
    after = Chain.unpack(accepted.record)
    assert (after.era, after.step) == (5, 0)
    assert accepted.record == end.next_era().pack()


def test_the_last_epoch_of_all():
    end = Chain(MAX_ERA, MAX_STEP, pattern(32, 1), pattern(32, 2))
    message_1, waiting = pair.send(at=end)
    body, ek, ctx = message_1[:-8], schedule.epoch_key(end.chain_key), pair.CONTEXTS[0]
    body_2 = b"\x21" + pair.N_H + bytes(5)
    message_2 = body_2 + schedule.tag_2(ek, ctx, body, body_2, 8)
    raises(Exhausted, waiting.receive, message_2)


def test_hmacs_of_one_handshake():
    """Six: EK, pseudonym and tag 1; tag 2, session secret and the next chain key."""
    message_2 = unhex(VECTORS[2][3])
    at, counted = pair.chain(), []
    original = schedule.hmac_sha256
    schedule.hmac_sha256 = lambda key, message: counted.append(1) or original(key, message)
    try:
        _, waiting = pair.send(at=at)
        sent = len(counted)
        waiting.receive(message_2)
    finally:
        schedule.hmac_sha256 = original
    assert (sent, len(counted)) == (3, 6)


def test_a_forged_answer_costs_one_hmac():
    _, waiting = pair.send()
    counted = []
    original = schedule.hmac_sha256
    schedule.hmac_sha256 = lambda key, message: counted.append(1) or original(key, message)
    try:
        raises(BadTag, waiting.receive, b"\x21" + bytes(21))
        raises(Malformed, waiting.receive, b"\x20" + bytes(16))
        raises(Malformed, waiting.receive, b"")
    finally:
        schedule.hmac_sha256 = original
    assert len(counted) == 1


def test_repr_shows_no_key():
    at = pair.chain()
    start = Start(pair.CONTEXTS[0], 0, at)
    message_1, waiting = start.send(pair.N_D)
    _, message_2, secret = pair.answer(message_1)
    accepted = waiting.receive(message_2)
    shown = repr((at, start, waiting, accepted)) + str(at) + str(accepted)
    for key in (at.chain_key, schedule.epoch_key(at.chain_key), secret, at.pack()[40:]):
        assert key.hex() not in shown
        assert repr(key) not in shown
