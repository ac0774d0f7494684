"""wire.decode_message_2 raises nothing but Malformed; body and tag are the message."""

from skerry import wire
from skerry.errors import Malformed


def check(data):
    try:
        body, n_h, time, tag = wire.decode_message_2(data)
    except Malformed:
        return
    assert body + tag == data
    assert len(n_h) == 8
    assert len(tag) == wire.SUITES[wire.suite_of(data[0])][0]
    assert (time is not None) == wire.wants_time(data[0])
    assert wire.header_2(wire.suite_of(data[0]), wire.wants_time(data[0])) == data[0]
    assert wire.body_2(data[0], n_h, time or 0) == body
