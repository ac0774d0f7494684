"""OSCORE: CoAP requests and responses, protected end to end (RFC 8613); the client's side.

    inner message --protect--> outer message with option 9 --unprotect--> inner message

The datagram's type, message id and token are left as they are: they belong to the hop, not to
the protected message. oscore_server.py has the other side, observe.py what Observe adds.
"""

from skerry import coap
from skerry.errors import BadTag, Exhausted, Malformed
from skerry.primitives import AesCcm, const, hkdf_expand, hkdf_extract

_NONCE_LENGTH = const(13)
_KEY_LENGTH = const(16)
_KID_FLAG = const(0x08)
_ID_CONTEXT_FLAG = const(0x10)
_RESERVED_FLAGS = const(0xE0)
_PARTIAL_IVS = const(0x10000000000)  # section 7.2.1: 0 to 2^40 - 1

# Class U options stay outside (section 4.1, figure 5); all others are encrypted: Uri-Host,
# Uri-Port, OSCORE, Proxy-Uri, Proxy-Scheme.
_OUTER_OPTIONS = (3, 7, 9, 35, 39)

# COSE algorithm: tag length and CBOR. AES-CCM-16-64-128 and AES-CCM-16-128-128.
_ALGORITHMS = {10: (8, b"\x0a"), 30: (16, b"\x18\x1e")}


def _bstr(value: bytes) -> bytes:
    """Encode a CBOR byte string of up to 255 bytes."""
    size = len(value)
    return (bytes((0x40 | size,)) if size < 24 else bytes((0x58, size))) + value


def decode_option(value: bytes) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Read the OSCORE option (section 6.1): (Partial IV, kid context, kid), None if absent.

    Raises Malformed for reserved bits and lengths, truncation and trailing bytes.
    """
    if not value:
        return None, None, None
    flags = value[0]
    end = 1 + (flags & 7)
    if flags & _RESERVED_FLAGS or end > 6 or not flags or end > len(value):
        raise Malformed("OSCORE option")
    partial_iv = value[1:end] or None
    rest = value[end:]
    id_context = None
    if flags & _ID_CONTEXT_FLAG:
        if not rest or len(rest) <= rest[0]:
            raise Malformed("OSCORE kid context")
        id_context, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
    if flags & _KID_FLAG:
        return partial_iv, id_context, rest
    if rest:
        raise Malformed("OSCORE option")
    return partial_iv, id_context, None


def encode_option(partial_iv: bytes, id_context: bytes | None, kid: bytes | None) -> bytes:
    """Write the OSCORE option of a message that carries a Partial IV."""
    flags = len(partial_iv)
    value = partial_iv
    if id_context is not None:
        flags |= _ID_CONTEXT_FLAG
        value += bytes((len(id_context),)) + id_context
    if kid is not None:
        flags |= _KID_FLAG
        value += kid
    return bytes((flags,)) + value


class Binding:
    """What ties a response to its request: the request's kid, Partial IV and nonce."""

    def __init__(self, kid: bytes, partial_iv: bytes, nonce: bytes) -> None:
        self.kid = kid
        self.partial_iv = partial_iv
        self.nonce = nonce


class SecurityContext:
    """One end of a security context (section 3); it lives in memory and nowhere else."""

    def __init__(
        self,
        master_secret: bytes,
        master_salt: bytes,
        sender_id: bytes,
        recipient_id: bytes,
        id_context: bytes | None = None,
        algorithm: int = 10,
    ) -> None:
        """Derive keys and Common IV (section 3.2.1). IDs have 0 to 7 bytes."""
        self.sender_id = sender_id
        self.recipient_id = recipient_id
        self.id_context = id_context
        tag_length, self._algorithm = _ALGORITHMS[algorithm]
        prk = hkdf_extract(master_salt, master_secret)
        self._sender = AesCcm(self._derive(prk, sender_id, "Key", _KEY_LENGTH), tag_length)
        self._recipient = AesCcm(self._derive(prk, recipient_id, "Key", _KEY_LENGTH), tag_length)
        self._common_iv = self._derive(prk, b"", "IV", _NONCE_LENGTH)
        self.sequence = 0  # the sender's next Partial IV
        self.limit = _PARTIAL_IVS  # the first one that may not be used yet

    def _derive(self, prk: bytes, id: bytes, kind: str, length: int) -> bytes:
        id_context = b"\xf6" if self.id_context is None else _bstr(self.id_context)
        info = b"\x85" + _bstr(id) + id_context + self._algorithm
        info += bytes((0x60 | len(kind),)) + kind.encode() + bytes((length,))
        return hkdf_expand(prk, info, length)

    def nonce(self, id: bytes, partial_iv: bytes) -> bytes:
        """Section 5.2: the ID's length, the ID and the Partial IV, padded and XORed."""
        padded = bytes((len(id),)) + bytes(7 - len(id)) + id
        padded += bytes(5 - len(partial_iv)) + partial_iv
        return bytes([a ^ b for a, b in zip(padded, self._common_iv)])

    def _aad(self, binding: Binding) -> bytes:
        """Section 5.4: the Enc_structure around the external_aad."""
        external = b"\x85\x01\x81" + self._algorithm
        external += _bstr(binding.kid) + _bstr(binding.partial_iv) + b"\x40"
        return b"\x83\x68Encrypt0\x40" + _bstr(external)

    def take_partial_iv(self) -> bytes:
        """Return the next Partial IV and never return it again. Raises what `reserve` raises."""
        if self.sequence >= self.limit:
            self.limit = self.reserve(self.sequence)
        partial_iv = coap.uint(self.sequence) or b"\x00"
        self.sequence += 1
        return partial_iv

    def reserve(self, sequence: int) -> int:
        """Return the next limit, above `sequence`; raise Exhausted.

        Who keeps the context beyond this run puts a function here that makes sure, before it
        returns, that no later run uses a number below the limit.
        """
        raise Exhausted("Partial IVs used up: connect again")

    def protect_request(self, inner: coap.Message) -> tuple[coap.Message, Binding]:
        """Return the outer message (section 8.1) and what its response is bound to."""
        partial_iv = self.take_partial_iv()
        binding = Binding(self.sender_id, partial_iv, self.nonce(self.sender_id, partial_iv))
        option = encode_option(partial_iv, self.id_context, self.sender_id)
        return self.seal(inner, coap.POST, option, binding, binding.nonce), binding

    def unprotect_response(self, outer: coap.Message, binding: Binding) -> coap.Message:
        """Return the inner response (section 8.4); raise Malformed or BadTag."""
        option = outer.option(coap.OSCORE)
        if option is None:
            raise Malformed("not protected")
        partial_iv = decode_option(option)[0]
        nonce = self.nonce(self.recipient_id, partial_iv) if partial_iv else binding.nonce
        return self.open(outer, binding, nonce)

    def seal(
        self, inner: coap.Message, code: int, option: bytes, binding: Binding, nonce: bytes
    ) -> coap.Message:
        """Return the outer message with this code and OSCORE option; the nonce is used up."""
        inside = [each for each in inner.options if each[0] not in _OUTER_OPTIONS]
        outside = [each for each in inner.options if each[0] in _OUTER_OPTIONS]
        outside.append((coap.OSCORE, option))
        plaintext = bytes((inner.code,)) + coap.encode_body(inside, inner.payload)
        ciphertext = self._sender.seal(nonce, plaintext, self._aad(binding))
        return coap.Message(code, outside, ciphertext, inner.type, inner.mid, inner.token)

    def open(self, outer: coap.Message, binding: Binding, nonce: bytes) -> coap.Message:
        """Return the inner message; raise Malformed or BadTag."""
        plaintext = self._recipient.open(nonce, outer.payload, self._aad(binding))
        if not plaintext:
            raise BadTag("empty plaintext")
        options, payload = coap.decode_body(plaintext[1:])
        outside = [o for o in outer.options if o[0] in _OUTER_OPTIONS and o[0] != coap.OSCORE]
        inside = [o for o in options if o[0] not in _OUTER_OPTIONS]
        return coap.Message(
            plaintext[0], outside + inside, payload, outer.type, outer.mid, outer.token
        )
