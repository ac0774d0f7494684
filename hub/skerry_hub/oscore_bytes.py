"""OSCORE's server side on bytes: from a request's ciphertext to that of its response.

It is the ServerContext of the core, with shorter ways for what the hub does most (RFC 8613
sections 3.2.1, 5.2, 5.4, 8.2 and 8.3).
"""

from skerry import coap, oscore_server, responder
from skerry.oscore import Binding
from skerry.oscore_server import ServerContext
from skerry.primitives import hmac_sha256

_ENC_STRUCTURE = b"\x83\x68Encrypt0\x40"
_BSTR = [bytes((0x40 | length,)) for length in range(24)]  # CBOR's head of a short byte string
_KINDS = {"Key": b"\x63Key\x10\x01", "IV": b"\x62IV\x0d\x01"}  # with L, and HKDF's counter


class Bound(Binding):
    """A Binding with its AAD, the same for a request and its response."""

    def __init__(self, kid: bytes, partial_iv: bytes, nonce: bytes, aad: bytes) -> None:
        self.kid = kid  # what Binding does, in one call
        self.partial_iv = partial_iv
        self.nonce = nonce
        self.aad = aad


class Context(ServerContext):
    """A ServerContext for bytes; IDs have 0 to 7 bytes, and there is no ID context."""

    def __init__(
        self,
        master_secret: bytes,
        master_salt: bytes,
        sender_id: bytes,
        recipient_id: bytes,
        id_context: None = None,
        algorithm: int = 10,
    ) -> None:
        """Take what ServerContext takes."""
        super().__init__(master_secret, master_salt, sender_id, recipient_id, None, algorithm)
        first = len(recipient_id) << 96 | int.from_bytes(recipient_id, "big") << 40
        self._first_nonce = first ^ int.from_bytes(self._common_iv, "big")
        self._external = (
            b"\x85\x01\x81" + self._algorithm + _BSTR[len(recipient_id)] + recipient_id
        )

    def _derive(self, prk: bytes, id: bytes, kind: str, length: int) -> bytes:
        info = b"\x85" + _BSTR[len(id)] + id + b"\xf6" + self._algorithm + _KINDS[kind]
        return hmac_sha256(prk, info)[:length]

    def open_bytes(self, partial_iv: bytes, ciphertext: bytes) -> tuple[bytes, Bound]:
        """Return the plaintext of a request and its binding, and change nothing.

        Raises Replayed or BadTag. `accept` has to follow before the request is acted upon.
        """
        number = int.from_bytes(partial_iv, "big")
        self.window.check(number)
        nonce = (self._first_nonce ^ number).to_bytes(13, "big")
        external = self._external + _BSTR[len(partial_iv)] + partial_iv + b"\x40"
        aad = _ENC_STRUCTURE + _BSTR[len(external)] + external
        plaintext = self._recipient.open(nonce, ciphertext, aad)
        return plaintext, Bound(self.recipient_id, partial_iv, nonce, aad)

    def verify_request(self, outer: coap.Message) -> tuple[coap.Message, Binding]:
        """Return the inner message of any request and its binding, and change nothing."""
        return oscore_server.verify_request(self, self.window, outer)

    def accept(self, binding: Binding) -> None:
        """Take a verified request as received: its Partial IV is used up."""
        self.window.accept(int.from_bytes(binding.partial_iv, "big"))

    def seal_bytes(self, plaintext: bytes, bound: Bound) -> bytes:
        """Return the ciphertext of the one response that uses its request's nonce."""
        return self._sender.seal(bound.nonce, plaintext, bound.aad)


class HubSession(responder.HubSession):
    """The hub's end of a session, with a Context."""

    oscore: Context

    def __init__(self, secret: bytes, suite: int) -> None:
        """Derive everything from the session secret MS (32 bytes)."""
        super().__init__(secret, suite, Context)
