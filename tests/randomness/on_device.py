"""Broken generators at a device: what still never repeats, and when something does.

It runs on MicroPython (test_device.py starts it), with the client as it is and a hub in memory.
A constant, a short cycle and a generator that starts alike at every boot are the ways in which
boards fail; `ticks` frozen is the worst clock.
"""

import os

from flash import raises
from place import Place, is_hello

from skerry import oscore
from skerry_device import client, entropy, exchange
from skerry_device.errors import HubSilent


class Constant:
    """urandom gives one byte for ever."""

    def __init__(self, byte=0):
        self.byte = byte

    def urandom(self, length):
        return bytes([self.byte]) * length


class Cycle:
    """urandom repeats itself after `period` bytes."""

    def __init__(self, period):
        self.period, self.at = period, 0

    def urandom(self, length):
        out = bytes([(self.at + i) % self.period for i in range(length)])
        self.at += length
        return out


class Absent:
    """A port without urandom."""


class Failing:
    """A hardware generator that stops after some calls."""

    def __init__(self, calls):
        self.calls = calls

    def urandom(self, length):
        self.calls -= 1
        if self.calls < 0:
            raise OSError(5)
        return os.urandom(length)


class Recorder(oscore.AesCcm):
    """Remembers what was sealed under each key and nonce; `reused` counts different texts."""

    used = {}
    reused = []

    def __init__(self, key, tag_length):
        super().__init__(key, tag_length)
        self.name = key

    def seal(self, nonce, plaintext, aad):
        before = Recorder.used.get((self.name, nonce), (plaintext, aad))
        if before != (plaintext, aad):
            Recorder.reused.append(nonce)
        Recorder.used[self.name, nonce] = (plaintext, aad)
        return super().seal(nonce, plaintext, aad)


oscore.AesCcm = Recorder
SYMPTOMS = (lambda: Constant(0), lambda: Constant(255), lambda: Cycle(4), lambda: Cycle(3))


def broken(generator, ticks=lambda: 12345):
    """Start a place whose device has this generator and this clock, as at power-on."""
    Recorder.used, Recorder.reused = {}, []
    place = Place()
    boot(generator, ticks)
    return place


def boot(generator, ticks=lambda: 12345):
    """Power on: RAM is empty."""
    client._last = b""
    client.os = exchange.os = entropy.os = generator
    client.ticks_us = ticks


def messages_1(place):
    """Return every message 1 that was sent, once."""
    found = []
    for _, datagram in place.net.sends:
        if is_hello(datagram):
            payload = datagram[-23:]
            if payload not in found:
                found.append(payload)
    return found


def n_d(message_1):
    return message_1[7:15]


def test_no_nonce_repeats_within_a_boot():
    """60 handshakes, the clock stands still: what came before keeps N_D from repeating."""
    for symptom in SYMPTOMS:
        place = broken(symptom())
        fingerprints = set()
        for i in range(60):
            hub = place.connect()
            assert hub.post("readings", b"%d" % i).ok
            assert hub.post("readings", b"more").ok
            fingerprints.add(hub.fingerprint)
        sent = messages_1(place)
        assert len(sent) == len({n_d(each) for each in sent}) == 60
        assert len(fingerprints) == 60
        assert len(Recorder.used) == 360
        assert Recorder.reused == []


def test_lost_messages_within_a_boot():
    """Attempts that fail take a nonce of their own each: the first epoch again, then an era."""
    for symptom in SYMPTOMS:
        place = broken(symptom())
        place.lose = lambda number, datagram: True
        for _ in range(10):
            raises(HubSilent, place.connect, timeout_ms=1000)
        sent = messages_1(place)
        assert len(sent) == len({n_d(each) for each in sent}) == 20
        assert len({each[1:7] for each in sent}) == 2  # pseudonyms: the epoch does not move


def test_boots_that_are_all_alike():
    """N_D is the same at each boot, and no harm done: the epoch is another one each time."""
    place = broken(Constant())
    for i in range(20):
        boot(Constant())
        hub = place.connect()
        assert hub.post("readings", b"%d" % i).ok
    sent = messages_1(place)
    assert len({n_d(each) for each in sent}) == 1
    assert len({each[1:7] for each in sent}) == 20
    assert Recorder.reused == []


def test_boots_that_differ_by_a_microsecond():
    place = broken(Constant())
    for i in range(20):
        boot(Constant(), lambda i=i: 5_000_000 + i)
        place.connect()
    assert len({n_d(each) for each in messages_1(place)}) == 20


SAME = (lambda: 7, lambda: 7)


def test_rolled_back_after_the_session_was_confirmed():
    """The hub erased the epoch: the device recovers into another one."""
    place = broken(Constant())
    before = list(place.flash.slots)
    assert place.connect().post("readings", b"first").ok
    place.flash.slots[:] = before
    boot(Constant())
    hub = place.connect()
    assert hub.post("readings", b"other").ok
    assert (hub.era, hub.step) == (1, 0)
    sent = messages_1(place)
    assert len(sent) == 2  # the same message 1 again, unanswered, and then another one
    assert Recorder.reused == []


def unconfirmed(generators, ticks):
    """The device had a session, its first request was lost, power failed, and flash went back."""
    place = broken(generators[0], ticks[0])
    before = list(place.flash.slots)
    hub = place.connect()
    place.lose = lambda number, datagram: True
    raises(HubSilent, hub.post, "readings", b"first")  # and no other handshake gets through
    place.lose = lambda number, datagram: False
    place.flash.slots[:] = before
    boot(generators[1], ticks[1])
    hub = place.connect()
    assert hub.post("readings", b"other").ok
    return Recorder.reused


def test_rolled_back_before_the_session_was_confirmed():
    """Either the generator or the clock is enough to keep the two sessions apart."""
    assert unconfirmed((os, os), SAME) == []
    assert unconfirmed((Constant(), os), SAME) == []
    assert unconfirmed((Constant(), Constant()), (lambda: 7, lambda: 8)) == []
    assert unconfirmed((Constant(1), Constant(2)), SAME) == []


def test_three_failures_at_once_repeat_no_nonce():
    """Flash went back, the generator is constant, and boots take the same time to the microsecond.
    The hub answers the same message 1 alike, so the first requests of both sessions have one key
    and one nonce; but the device knows its generator for what it is, and they say the same."""
    assert unconfirmed((Constant(), Constant()), SAME) == []
    assert unconfirmed((Cycle(4), Cycle(4)), SAME) == []


def test_no_urandom():
    """An error that names it, nothing sent, nothing written."""
    place = broken(Absent())
    error = raises(AttributeError, place.connect)
    assert "urandom" in str(error)
    assert place.net.sends == []
    assert place.flash.writes == []


def test_a_generator_that_stops():
    """At whatever call it stops: OSError, and nothing is sent without it."""
    for calls in range(4):
        place = broken(Failing(calls))
        raises(OSError, place.connect)
        assert place.net.sends == []
        assert place.flash.writes == []
    place = broken(Failing(4))
    hub = place.connect()
    sent = len(place.net.sends)
    raises(OSError, hub.post, "readings", b"1")
    assert len(place.net.sends) == sent


def test_a_working_generator():
    """The other tests do not pass because of something else: here even one boot differs."""
    place = broken(os)
    for _ in range(20):
        boot(os)
        place.connect()
    assert len({n_d(each) for each in messages_1(place)}) == 20
