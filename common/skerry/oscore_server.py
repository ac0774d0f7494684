"""OSCORE's server side: requests opened, responses protected (RFC 8613 sections 8.2 and 8.3).

Both ends of a session have a security context, and either may serve the other: what a server
needs beside the context is the replay window over its peer's Partial IVs.
"""

from skerry import coap
from skerry.errors import BadTag, Malformed
from skerry.oscore import Binding, SecurityContext, decode_option, encode_option
from skerry.replay import ReplayWindow


def verify_request(
    context: SecurityContext, window: ReplayWindow, outer: coap.Message
) -> tuple[coap.Message, Binding]:
    """Return the inner message and its binding (section 8.2), and change nothing.

    Raises Malformed, Replayed or BadTag. The window has to accept it before it is acted upon.
    """
    partial_iv, id_context, kid = decode_option(outer.option(coap.OSCORE) or b"")
    if partial_iv is None or kid is None:
        raise Malformed("OSCORE request without Partial IV or kid")
    if kid != context.recipient_id or id_context not in (None, context.id_context):
        raise BadTag("another security context's kid")
    number = int.from_bytes(partial_iv, "big")
    window.check(number)
    nonce = context.nonce(kid, partial_iv)
    binding = Binding(kid, partial_iv, nonce)
    return context.open(outer, binding, nonce), binding


def unprotect_request(
    context: SecurityContext, window: ReplayWindow, outer: coap.Message
) -> tuple[coap.Message, Binding]:
    """Verify a request and take it as received; raise what `verify_request` raises."""
    inner, binding = verify_request(context, window, outer)
    window.accept(int.from_bytes(binding.partial_iv, "big"))
    return inner, binding


def protect_response(
    context: SecurityContext, inner: coap.Message, binding: Binding, own_partial_iv: bool = False
) -> coap.Message:
    """Return the outer message (section 8.3).

    One response may use the request's nonce; any other needs a Partial IV of its own.
    """
    if not own_partial_iv:
        return context.seal(inner, coap.CHANGED, b"", binding, binding.nonce)
    partial_iv = context.take_partial_iv()
    option = encode_option(partial_iv, None, None)
    nonce = context.nonce(context.sender_id, partial_iv)
    return context.seal(inner, coap.CHANGED, option, binding, nonce)


class ServerContext(SecurityContext):
    """A security context that answers requests; `window` holds their Partial IVs."""

    def __init__(
        self,
        master_secret: bytes,
        master_salt: bytes,
        sender_id: bytes,
        recipient_id: bytes,
        id_context: bytes | None = None,
        algorithm: int = 10,
    ) -> None:
        """Take what SecurityContext takes."""
        super().__init__(
            master_secret, master_salt, sender_id, recipient_id, id_context, algorithm
        )
        self.window = ReplayWindow()

    def protect_response(
        self, inner: coap.Message, binding: Binding, own_partial_iv: bool = False
    ) -> coap.Message:
        """Return the outer message: see the function."""
        return protect_response(self, inner, binding, own_partial_iv)

    def unprotect_request(self, outer: coap.Message) -> tuple[coap.Message, Binding]:
        """Return the inner message and its binding, or raise: see the function."""
        return unprotect_request(self, self.window, outer)
