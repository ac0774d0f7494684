"""Observe under OSCORE (RFC 7641; RFC 8613 sections 4.1.3.5, 4.2 and 7.4.1), for both ends.

    registration   inner and outer Observe 0, outer code 0.05 FETCH; cancelled by 1
    notification   inner Observe empty, outer Observe of any value, outer code 2.05 Content, and a
                   Partial IV of its own, which is what orders it

The outer option is for proxies and is not protected: the inner one tells what a message is
(section 4.1.3.5). The first response to a registration may come without a Partial IV; it is older
than all that follow.
"""

from skerry import coap, oscore_server
from skerry.errors import Replayed
from skerry.oscore import Binding, SecurityContext, decode_option
from skerry.primitives import const

OBSERVE = const(6)
FETCH = const(5)


def protect_registration(
    context: SecurityContext, inner: coap.Message
) -> tuple[coap.Message, Binding]:
    """Return the outer message of a request with Observe, and what its responses are bound to."""
    outer, binding = context.protect_request(inner)
    outer.code = FETCH
    outer.options.append((OBSERVE, inner.option(OBSERVE) or b""))
    return outer, binding


def requested(outer: coap.Message, inner: coap.Message) -> int | None:
    """Return what a verified request asks for: 0 to register, 1 to cancel, or None.

    Nobody is registered whose outer option is gone: a proxy took it that forwards no notifications
    (a server may decline, RFC 7641 section 4.1), and the client learns it from the response.
    """
    value = inner.option(OBSERVE)
    if value is None:
        return None
    asked = int.from_bytes(value, "big")
    return asked if asked or outer.option(OBSERVE) is not None else None


def protect_notification(
    context: SecurityContext, inner: coap.Message, binding: Binding, own_partial_iv: bool
) -> coap.Message:
    """Return the outer message of a response with Observe.

    Only the first response to a registration may do without a Partial IV of its own.
    """
    value = inner.option(OBSERVE) or b""
    options = [each for each in inner.options if each[0] != OBSERVE]
    options.append((OBSERVE, b""))
    inner = coap.Message(inner.code, options, inner.payload, inner.type, inner.mid, inner.token)
    outer = oscore_server.protect_response(context, inner, binding, own_partial_iv)
    outer.code = coap.CONTENT
    outer.options.append((OBSERVE, value))
    return outer


def unprotect_notification(
    context: SecurityContext, outer: coap.Message, binding: Binding, last: int
) -> tuple[coap.Message, int]:
    """Return the inner response and its notification number, -1 if it has no Partial IV.

    `last` is the highest number so far, -2 before the first response. Raises Malformed, BadTag,
    or Replayed for one that is not newer. The observation goes on if the inner response has
    Observe, whatever the outer one has.
    """
    partial_iv = decode_option(outer.option(coap.OSCORE) or b"")[0]
    number = -1 if partial_iv is None else int.from_bytes(partial_iv, "big")
    if number <= last:
        raise Replayed("notification out of order")
    return context.unprotect_response(outer, binding), number
