"""wire_hub.decode_message_1 raises nothing but Malformed; body and tag are the message."""

from skerry import wire, wire_hub
from skerry.errors import Malformed


def check(data):
    try:
        body, pid, tag = wire_hub.decode_message_1(data)
    except Malformed:
        return
    assert body + tag == data
    assert (len(body), pid) == (15, data[1:7])
    assert len(tag) == wire.SUITES[wire.suite_of(data[0])][0]
    assert wire.header_1(wire.suite_of(data[0]), wire_hub.wants_time(data[0])) == data[0]
    assert wire.body_1(data[0], pid, body[7:]) == body
