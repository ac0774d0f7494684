"""coap.decode raises nothing but Malformed; what it returns says the same after encoding."""

from contextlib import suppress

from skerry import coap
from skerry.coap_server import uri_path
from skerry.errors import Malformed


def fields(message):
    return (
        message.code,
        message.options,
        message.payload,
        message.type,
        message.mid,
        message.token,
    )


def check(data):
    try:
        message = coap.decode(data)
    except Malformed:
        return
    again = coap.encode(message)
    assert len(again) <= len(data)
    assert fields(coap.decode(again)) == fields(message)
    with suppress(Malformed):
        uri_path(message)
