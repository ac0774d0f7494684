"""The hub's side: identify, verify, answer, and how both meet again."""

from dual import pair
from dual.tools import flips, pattern, raises, unhex

from skerry import provisioning, schedule
from skerry.chain import MAX_ERA, MAX_STEP, Chain
from skerry.errors import BadTag, Exhausted, Malformed
from skerry.responder import RECOVERY_ERAS, Known, identify

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


def finish(waiting, message_2):
    accepted = waiting.receive(message_2)
    return accepted.persisted(accepted.record)


def test_vectors():
    for suite, _time, first, second, secret in VECTORS:
        hello = identify(unhex(first))
        assert hello.pid == schedule.pseudonym(pair.chain(suite).chain_key)
        verified = pair.known(suite).verify(hello, 0)
        assert verified.answer(pair.N_H, pair.TIME) == (unhex(second), unhex(secret))
        assert verified.chain.pack() == pair.chain(suite, 0, 1).pack()
        assert verified.pending.pid == hello.pid
        assert verified.pending.ek == schedule.epoch_key(pair.chain(suite).chain_key)


def test_full_exchanges_in_a_row():
    for suite in (0, 1):
        device = hub = pair.chain(suite)
        secrets, pids = [], []
        for i in range(6):
            message_1, waiting = pair.send(suite, device, pattern(8, i), i % 2 == 0)
            verified, message_2, secret = pair.answer(message_1, suite, hub, pattern(8, 50 + i))
            accepted = waiting.receive(message_2)
            assert accepted.persisted(accepted.record) == secret
            assert accepted.time == (None if i % 2 else pair.TIME)
            device, hub = Chain.unpack(accepted.record), verified.chain
            assert device.pack() == hub.pack()
            secrets.append(secret)
            pids.append(identify(message_1).pid)
        assert (device.era, device.step) == (0, 6)
        assert len(set(secrets)) == len(set(pids)) == 6


def test_every_flipped_bit_of_message_1():
    for suite, _time, first, second, secret in VECTORS:
        hub = pair.known(suite)
        for changed in flips(unhex(first)):
            try:
                hello = identify(changed)
            except Malformed:
                continue
            raises((BadTag, Malformed), hub.verify, hello, 0)
        verified = hub.verify(identify(unhex(first)), 0)
        assert verified.answer(pair.N_H, pair.TIME) == (unhex(second), unhex(secret))


def test_every_flipped_bit_against_a_pending_epoch():
    for suite, _time, first, _second, _secret in VECTORS:
        verified = pair.known(suite).verify(identify(unhex(first)), 0)
        hub = pair.known(suite, verified.chain, verified.pending)
        for changed in flips(unhex(first)):
            try:
                hello = identify(changed)
            except Malformed:
                continue
            raises((BadTag, Malformed), hub.verify, hello, 0)
        hub.verify(identify(unhex(first)), 0)


def test_datagrams_of_every_length():
    for suite, _time, first, second, _secret in VECTORS:
        hub, message_1 = pair.known(suite), unhex(first)
        for length in range(65):
            for datagram in (
                bytes(length),
                b"\xff" * length,
                pattern(length),
                (message_1 + bytes(64))[:length],
                (unhex(second) + bytes(64))[:length],
                message_1[:7] + pattern(length)[7:],
            ):
                if datagram == message_1:
                    continue
                try:
                    hello = identify(datagram)
                except Malformed:
                    continue
                raises((BadTag, Malformed), hub.verify, hello, 0)
        hub.verify(identify(message_1), 0)


def test_a_message_2_is_not_a_message_1():
    for _suite, _time, _first, second, _secret in VECTORS:
        raises(Malformed, identify, unhex(second))


def test_another_suite_than_provisioned():
    # The same bytes under suite 1's header do not even have its length; a true message of the
    # other suite is refused before any HMAC.
    message_1, _ = pair.send(1, pair.chain(0))
    raises(Malformed, pair.known(0).verify, identify(message_1), 0)
    message_1, _ = pair.send(0, pair.chain(1))
    raises(Malformed, pair.known(1).verify, identify(message_1), 0)


def test_a_message_of_another_device_or_to_another_hub():
    message_1, _ = pair.send()
    for ctx in (schedule.context(0, b"lamp-8", b"hub"), schedule.context(0, b"lamp-7", b"hub2")):
        raises(BadTag, Known(ctx, 0, pair.chain(), None).verify, identify(message_1), 0)
    other = provisioning.first_epoch(bytes(32), pair.CONTEXTS[0])
    raises(BadTag, pair.known(at=other).verify, identify(message_1), 0)


def test_pending_is_answered_again():
    """The same message 1, or another attempt in the same epoch; the chain does not move."""
    message_1, waiting = pair.send()
    verified, _, secret = pair.answer(message_1)
    hub = pair.known(at=verified.chain, pending=verified.pending)
    again = hub.verify(identify(message_1), 0)
    assert again.chain is None
    assert (again.pending.pid, again.pending.ek) == (verified.pending.pid, verified.pending.ek)
    message_2, same = again.answer(pair.N_H, pair.TIME + 256)
    assert same == secret
    accepted = waiting.receive(message_2)
    assert (accepted.time, accepted.persisted(accepted.record)) == (pair.TIME + 256, secret)
    # With another N_D (the device lost its state), or another N_H (the hub did).
    message_1b, waiting_b = pair.send(n_d=pattern(8, 3))
    second = hub.verify(identify(message_1b), 0)
    message_2b, other = second.answer(pair.N_H, pair.TIME)
    assert (second.chain, other == secret) == (None, False)
    assert finish(waiting_b, message_2b) == other
    message_2c, third = hub.verify(identify(message_1), 0).answer(pattern(8, 9), pair.TIME)
    assert third not in (secret, other)
    assert finish(waiting, message_2c) == third


def test_the_time_bit_of_an_attempt_is_part_of_its_secret():
    secrets = [pair.answer(pair.send(time=time)[0])[2] for time in (False, True)]
    assert secrets[0] != secrets[1]


def test_while_one_epoch_is_pending_the_next_one_is_answered_too():
    message_1, _ = pair.send()
    verified, _, _ = pair.answer(message_1)
    after = pair.chain(step=1)
    message_1, waiting = pair.send(at=after)
    second, message_2, secret = pair.answer(message_1, at=verified.chain, pending=verified.pending)
    assert finish(waiting, message_2) == secret
    assert second.chain.pack() == pair.chain(step=2).pack()


def test_device_behind_or_ahead_by_steps_is_unknown_until_it_recovers():
    for device_step, hub_step in ((0, 1), (0, 5), (1, 0), (5, 0)):
        device, hub = pair.chain(step=device_step), pair.chain(step=hub_step)
        message_1, _ = pair.send(at=device)
        raises(BadTag, pair.known(at=hub).verify, identify(message_1), 0)
        message_1, waiting = pair.send(at=device.next_era())
        raises(BadTag, pair.known(at=hub).verify, identify(message_1), 0)
        verified, message_2, secret = pair.answer(message_1, at=hub, era=1)
        accepted = waiting.receive(message_2)
        assert accepted.persisted(accepted.record) == secret
        assert accepted.record == verified.chain.pack() == pair.chain(era=1, step=1).pack()


def test_device_ahead_by_eras():
    hub = pair.chain(era=2, step=3)
    for ahead in range(RECOVERY_ERAS + 3):
        at = pair.chain(era=2 + ahead, step=3 if ahead == 0 else 0)
        message_1, waiting = pair.send(at=at)
        if ahead > RECOVERY_ERAS:
            raises(BadTag, pair.known(at=hub).verify, identify(message_1), 2 + ahead)
            continue
        verified, message_2, secret = pair.answer(message_1, at=hub, era=2 + ahead)
        assert finish(waiting, message_2) == secret
        assert (verified.chain.era, verified.chain.step) == (at.era, at.step + 1)
    assert RECOVERY_ERAS == 16


def test_device_behind_by_an_era_is_refused():
    message_1, _ = pair.send(at=pair.chain(era=1))
    for era in (0, 1, 2):
        raises(BadTag, pair.known(at=pair.chain(era=2)).verify, identify(message_1), era)


def test_the_wrong_era_of_a_true_message():
    message_1, _ = pair.send(at=pair.chain(era=3))
    for era in (-1, 0, 1, 2, 4, 16, 17, 1 << 40):
        raises(BadTag, pair.known().verify, identify(message_1), era)
    pair.known().verify(identify(message_1), 3)


def test_verify_changes_nothing():
    hub = pair.known()
    good, bad = identify(pair.send()[0]), identify(b"\x11" + bytes(22))
    for era in (0, 1, 16):
        raises(BadTag, hub.verify, bad, era)
    first = hub.verify(good, 0)
    raises(BadTag, hub.verify, bad, 0)
    second = hub.verify(good, 0)
    assert first.chain.pack() == second.chain.pack()
    assert first.answer(pair.N_H, 0) == second.answer(pair.N_H, 0)


def test_limits():
    end = Chain(4, MAX_STEP, pattern(32, 1), pattern(32, 2))
    verified, _, _ = pair.answer(pair.send(at=end)[0], at=end)
    assert verified.chain.pack() == end.next_era().pack()
    last = Chain(MAX_ERA, 0, pattern(32, 1), pattern(32, 2))
    verified, _, _ = pair.answer(pair.send(at=last)[0], at=last)
    assert (verified.chain.era, verified.chain.step) == (MAX_ERA, 1)
    hello = identify(pair.send(at=last)[0])
    raises((BadTag, Exhausted), pair.known(at=last).verify, hello, MAX_ERA + 1)
    end = Chain(MAX_ERA, MAX_STEP, pattern(32, 1), pattern(32, 2))
    raises(Exhausted, pair.known(at=end).verify, identify(pair.send(at=end)[0]), MAX_ERA)


def count_hmacs(function, *arguments):
    """Return the function's result and how many HMACs it cost."""
    counted = []
    original = schedule.hmac_sha256
    schedule.hmac_sha256 = lambda key, message: counted.append(1) or original(key, message)
    try:
        result = function(*arguments)
    finally:
        schedule.hmac_sha256 = original
    return result, len(counted)


def test_hmacs_of_one_handshake():
    """Six: EK, tag 1, next chain key; tag 2, session secret; the next pseudonym."""
    hello, hub = identify(pair.send()[0]), pair.known()
    verified, verify = count_hmacs(hub.verify, hello, 0)
    _, answer = count_hmacs(verified.answer, pair.N_H, pair.TIME)
    _, index = count_hmacs(schedule.pseudonym, verified.chain.chain_key)
    assert (verify, answer, index) == (3, 2, 1)


def test_hmacs_of_other_cases():
    hello = identify(pair.send()[0])
    verified = pair.known().verify(hello, 0)
    hub = pair.known(at=verified.chain, pending=verified.pending)
    assert count_hmacs(hub.verify, hello, 0)[1] == 1
    # A forgery costs two, and nothing at all if its suite or era is out of question.
    forged = identify(b"\x11" + bytes(22))
    assert count_hmacs(raises, BadTag, pair.known().verify, forged, 0)[1] == 2
    assert count_hmacs(raises, BadTag, pair.known().verify, forged, 17)[1] == 0
    assert count_hmacs(raises, Malformed, pair.known(1).verify, forged, 0)[1] == 0
    # Two more for each era ahead.
    hub = pair.known()
    for ahead in (1, 2, 16):
        hello = identify(pair.send(at=pair.chain(era=ahead))[0])
        assert count_hmacs(hub.verify, hello, ahead)[1] == 3 + 2 * ahead


def test_repr_shows_no_key():
    hello, hub = identify(pair.send()[0]), pair.known()
    verified = hub.verify(hello, 0)
    message_2, secret = verified.answer(pair.N_H, pair.TIME)
    shown = repr((hello, hub, verified, verified.pending, verified.chain))
    for key in (verified.pending.ek, pair.chain().chain_key, verified.chain.chain_key, secret):
        assert key.hex() not in shown
        assert repr(key) not in shown
    assert secret not in message_2
