"""Webhooks over TLS, with a CA of our own."""

import pytest
from certificates import Authority
from outgoing.parts import configure, health, until


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def deliver(hub, receivers):
    def deliver(certificate, **more):
        """Have an event for a receiver with this certificate; return the receiver."""
        receiver = receivers(*certificate)
        configure(hub, receiver.table(**more))
        hub.start()
        hub.enroll("kitchen")
        return receiver

    return deliver


def test_a_receiver_whose_ca_is_trusted(deliver, authority):
    receiver = deliver(authority.certificate("127.0.0.1"), ca_file=str(authority.file))
    until(lambda: receiver.numbers("event") == [1])


@pytest.mark.parametrize("wrong", ["authority", "host"])
def test_what_does_not_verify_gets_nothing(hub, deliver, authority, wrong):
    host = "other.example" if wrong == "host" else "127.0.0.1"
    trusted = {"ca_file": str(authority.file)} if wrong == "host" else {}
    receiver = deliver(authority.certificate(host), **trusted)
    until(lambda: health(hub)["warnings"])
    assert "certificate verify failed" in health(hub)["warnings"][0].lower()
    assert receiver.requests == []
