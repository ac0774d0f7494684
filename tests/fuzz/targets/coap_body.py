"""coap.decode_body raises nothing but Malformed; what it returns says the same after encoding."""

from skerry import coap
from skerry.errors import Malformed


def check(data):
    try:
        options, payload = coap.decode_body(data)
    except Malformed:
        return
    assert options == sorted(options, key=lambda option: option[0])
    assert sum(len(value) for _, value in options) + len(payload) <= len(data)
    assert coap.decode_body(coap.encode_body(options, payload)) == (options, payload)
