"""kill -9 in the middle of a storm, again and again: nothing that was answered is forgotten."""

import random
import select
import socket
import time
from collections import Counter

from desk import DeskDevice, enrolled
from real import Hub

from skerry import coap, schedule
from skerry_hub import enrolment
from skerry_hub.config import Config

DEVICES, KILLS = 24, 6


class Storm:
    """Devices that use a hub as fast as it answers, all at once, and what it said to them."""

    def __init__(self, devices: list[DeskDevice]) -> None:
        self.devices = devices
        self.posts = 0
        self.answered: dict[bytes, int] = {}  # payload -> device
        self.secrets: list[bytes] = []
        self.source = random.Random(1)

    def rage(self, port: int, seconds: float) -> None:
        """Go on for so long; what is on its way then is lost."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.connect(("127.0.0.1", port))
            self.wire, self.waiting = wire, {}
            for number in range(len(self.devices)):
                self.attempt(number)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if select.select([wire], [], [], 0.05)[0]:
                    self.take(wire.recv(2048))

    def attempt(self, number: int) -> None:
        self.send(number, self.devices[number].attempt(), None)

    def post(self, number: int) -> None:
        self.posts += 1
        payload = b"%d" % self.posts
        self.send(number, self.devices[number].request(payload), payload)

    def send(self, number: int, datagram: bytes, payload: bytes | None) -> None:
        message = coap.decode(datagram)
        message.token = len(self.waiting).to_bytes(4, "big")
        self.waiting[message.token] = number, payload
        self.wire.send(coap.encode(message))

    def take(self, datagram: bytes) -> None:
        number, payload = self.waiting[coap.decode(datagram).token]
        device = self.devices[number]
        if payload is None:
            device.accept([datagram])
            self.secrets.append(device.session.secret)
            self.post(number)
            return
        assert device.response([datagram]).code == coap.CHANGED
        self.answered[payload] = number
        (self.post if self.source.random() < 0.7 else self.attempt)(number)


def test_nothing_answered_is_forgotten(tmp_path):
    hub, source = Hub(tmp_path), random.Random(1)
    config = Config.of(data=str(hub.data), environ={})
    with enrolment.opened(config) as opened:
        storm = Storm([enrolled(opened, f"d-{i}") for i in range(DEVICES)])
    for _ in range(KILLS):
        hub.start()
        storm.rage(hub.address[1], 0.2 + source.random() * 0.4)
        hub.kill()
        check(config, storm)
    assert len(storm.answered) > 50
    hub.start()
    for device in storm.devices:  # no attempt fails, none has to recover
        assert device.chain.era == 0
    before = len(storm.secrets)
    storm.rage(hub.address[1], 2.0)
    hub.kill()
    assert len(storm.secrets) >= before + DEVICES
    check(config, storm)


def check(config: Config, storm: Storm) -> None:
    """The database stands where the answers say, and holds every reading that was answered."""
    assert len(set(storm.secrets)) == len(storm.secrets)
    with enrolment.opened(config) as opened:
        for number, device in enumerate(storm.devices):
            row = opened.store.device(f"d-{number}")
            if (row.era, row.step) != (device.chain.era, device.chain.step):
                ahead = device.chain.next_step()  # stored, but its answer did not get through
                assert (row.era, row.step) == (ahead.era, ahead.step)
                pid = schedule.pseudonym(device.chain.chain_key)
                (candidate,) = opened.store.candidates([pid])[pid]
                assert candidate.pending_pid == pid
        readings = opened.store.readings_after(0, limit=100_000)
    stored = Counter(each.payload for each in readings)
    assert max(stored.values(), default=1) == 1
    names = {each.payload: each.name for each in readings}
    for payload, number in storm.answered.items():
        assert names[payload] == f"d-{number}"
