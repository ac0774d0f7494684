"""Broken generators at the hub: NK and N_H across restarts and restored databases, and enrolment."""

import asyncio
import os
import shutil
import time

import pytest
from desk import DeskHub, enrolled, made

from skerry import coap
from skerry_hub import enrolment, running
from skerry_hub.errors import HubError
from skerry_hub.handshakes import Handshakes
from skerry_hub.sessions import Sessions

NOW = 1_800_000_000 * 10**9


def constant(length):
    return bytes(length)


@pytest.fixture
def stuck(monkeypatch):
    """The generator is constant and the clock stands still."""
    monkeypatch.setattr(os, "urandom", constant)
    monkeypatch.setattr(time, "time_ns", lambda: NOW)


@pytest.fixture
def config(tmp_path):
    return made(tmp_path)


def started(config):
    """Start a hub and return its key of nonces."""
    with enrolment.opened(config) as hub:
        return Handshakes(hub.id, hub.store, hub.vault, Sessions())._nonce_key


def test_restarts(config, stuck):
    """The counter of starts alone keeps NK from repeating."""
    assert len({started(config) for _ in range(50)}) == 50


def test_two_processes_at_once(config, stuck):
    with enrolment.opened(config) as one, enrolment.opened(config) as two:
        keys = {
            Handshakes(each.id, each.store, each.vault, Sessions())._nonce_key
            for each in (one, two, one, two)
        }
    assert len(keys) == 4


def restored(config, image):
    """Make the database what it was when the image was taken, or take the image."""
    if image.exists():
        for each in config.data.glob("skerry.db*"):
            each.unlink()
        shutil.copy(image, config.database)
    else:
        shutil.copy(config.database, image)


def test_a_restored_database(config, tmp_path, monkeypatch):
    """The counter went back as well: then the clock alone keeps NK from repeating."""
    monkeypatch.setattr(os, "urandom", constant)
    keys = set()
    for nanosecond in range(20):
        monkeypatch.setattr(time, "time_ns", lambda at=NOW + nanosecond: at)
        restored(config, tmp_path / "image")
        keys.add(started(config))
    assert len(keys) == 20


def test_a_restored_database_with_a_working_generator(config, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: NOW)
    keys = set()
    for _ in range(20):
        restored(config, tmp_path / "image")
        keys.add(started(config))
    assert len(keys) == 20


def test_three_failures_at_once_repeat_the_key(config, tmp_path, stuck):
    """The limit: database restored, generator constant, clock where it was to the nanosecond."""
    restored(config, tmp_path / "image")
    first = started(config)
    restored(config, tmp_path / "image")
    assert started(config) == first


def test_nonces_of_many_handshakes(config, request):
    """Over restarts: one N_H for each epoch and run, never seen before or after."""

    async def run():
        seen = {}
        with enrolment.opened(config) as hub:
            device = enrolled(hub, "d-1")
        request.getfixturevalue("stuck")
        for start in range(6):
            with enrolment.opened(config) as hub:
                desk = DeskHub(hub)
                for step in range(10):
                    attempt = device.attempt()
                    answers = await desk.ask(attempt)
                    again = await desk.ask(device.datagram(coap.decode(attempt).payload))
                    n_h = coap.decode(answers[0]).payload[1:9]
                    assert coap.decode(again[0]).payload[1:9] == n_h
                    assert n_h not in seen, (start, step, seen[n_h])
                    seen[n_h] = (start, step)
                    if step == 9:
                        continue  # pending across the restart: the next run answers otherwise
                    device.accept(answers)
                    device.response(await desk.ask(device.request()))
        return seen

    assert len(asyncio.run(run())) == 60


def no_urandom(length):
    raise NotImplementedError("no random number generator")


def test_no_generator_no_hub(config, monkeypatch):
    """It does not start, and opens no socket."""
    opened = []
    monkeypatch.setattr(running, "Sockets", lambda *arguments: opened.append(arguments))
    with enrolment.opened(config) as hub:
        monkeypatch.setattr(os, "urandom", no_urandom)
        with pytest.raises(NotImplementedError):
            running.Running(hub, [("127.0.0.1", 0)])
    assert opened == []


def test_no_generator_no_device(config, monkeypatch):
    """No row and no bundle is left of an enrolment without a generator."""
    with enrolment.opened(config) as hub:
        monkeypatch.setattr(os, "urandom", no_urandom)
        with pytest.raises(NotImplementedError):
            enrolment.enroll(hub, "d-1", address=("127.0.0.1", 5683))
        assert hub.store.devices() == []
        assert [each for each in hub.bundles.iterdir() if each.name != ".gitignore"] == []
        monkeypatch.undo()
        enrolled(hub, "d-1")


def test_enrolment_with_a_constant_generator(config, stuck):
    """Such a key would be known to whoever knows the generator: none is made."""
    with enrolment.opened(config) as hub:
        with pytest.raises(HubError, match="generator repeats itself"):
            enrolled(hub, "d-1")
        assert hub.store.devices() == []
