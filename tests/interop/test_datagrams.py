"""What is on the wire between a real device and a real hub, and what happens when it is not."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from real import finish

from skerry import coap, wire, wire_hub


def test_sizes_and_round_trips(hub):
    relay = hub.relay()
    device = hub.power(hub.board("d-1", relay))
    assert finish(device) == []
    (up, one), (down, two) = relay.seen[:2]
    assert (up, down) == ("up", "down")
    message_1, message_2 = coap.decode(one), coap.decode(two)
    assert (len(message_1.payload), len(message_2.payload)) == (23, 22)
    assert len(one) + len(two) <= 59
    wire_hub.decode_message_1(message_1.payload)
    assert wire.decode_message_2(message_2.payload)[2] > 1_700_000_000 * 256
    # Then one datagram each way for each request: nothing but the handshake comes before.
    assert [direction for direction, _ in relay.seen] == ["up", "down"] * 3
    assert all(coap.decode(each).option(coap.OSCORE) is not None for _, each in relay.seen[2:])
    row = hub.row("d-1")
    assert row["readings"] == 2
    assert row["session_fingerprint"] == device.last["fingerprint"]
    assert device.last["sent"] == sum(len(each) for way, each in relay.seen if way == "up")


def lose(index):
    return lambda way, i: [] if i == index else [0.0]


def repeat(index):
    return lambda way, i: [0.0, 0.0, 0.3] if i == index else [0.0]


def delay(index):
    return lambda way, i: [1.2] if i == index else [0.0]


def swap(index):  # lets the next one of the same direction overtake
    return lambda way, i: [0.7] if i == index else [0.0]


@pytest.mark.parametrize("fault", [lose, repeat, delay, swap])
def test_each_datagram_in_turn(hub, fault):
    """0 is the handshake, 1 the request that confirms it, 2 a later one, in both directions."""

    def scenario(way, index):
        rule = fault(index)
        relay = hub.relay(lambda direction, i, _: rule(way, i) if direction == way else [0.0])
        name = f"{fault.__name__}-{way}-{index}"
        errors = finish(hub.power(hub.board(name, relay)))
        return name, errors, hub.row(name)["readings"]

    rows = [(way, index) for way in ("up", "down") for index in range(3)]
    with ThreadPoolExecutor(len(rows)) as pool:
        for name, errors, readings in pool.map(lambda row: scenario(*row), rows):
            assert errors == [], name
            assert readings == 2, name


def test_noise_from_a_second_hub_is_ignored(hub):
    """Answers that look right, from whoever hears message 1, and any number of them."""

    def rule(direction, index, datagram):
        if direction == "up" and index == 0:
            forged = coap.decode(datagram)
            for i in range(200):
                answer = wire_hub.body_2(wire_hub.header_2(0, True), bytes(8), i) + bytes(8)
                relay.send(
                    "down",
                    coap.encode(coap.Message(coap.CHANGED, [], answer, mid=i, token=forged.token)),
                )
        return [0.0]

    relay = hub.relay(rule)
    assert finish(hub.power(hub.board("d-1", relay))) == []


@pytest.mark.parametrize("address", ["[::1]:0", "0.0.0.0:0", "[::]:0"])
def test_other_listen_addresses(hub, address):
    hub.kill()
    host, port = address.rsplit(":", 1)
    hub.address = (host, port)
    hub.start()
    reach = "127.0.0.1" if address != "[::1]:0" else "::1"
    hub.address = (reach, hub.address[1])
    assert finish(hub.power(hub.board("d-1"))) == []
    if address == "[::]:0":
        hub.address = ("::1", hub.address[1])
        assert finish(hub.power(hub.board("d-2"))) == []
