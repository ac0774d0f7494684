"""wire.decode_message_2 raises nothing but Malformed; body and tag are the message."""

from skerry import wire, wire_hub
from skerry.errors import Malformed


def check(data):
    try:
        body, n_h, time, tag = wire.decode_message_2(data)
    except Malformed:
        return
    assert body + tag == data
    assert len(n_h) == 8
    assert len(tag) == wire.SUITES[wire.suite_of(data[0])][0]
    assert (time is not None) == wire_hub.wants_time(data[0])
    assert wire_hub.header_2(wire.suite_of(data[0]), wire_hub.wants_time(data[0])) == data[0]
    assert wire_hub.body_2(data[0], n_h, time or 0) == body
