"""What can go wrong in the protocol core. A peer's fault never changes any state.

SkerryError
    Malformed     the peer sent bytes that no peer of ours sends
    BadTag        an authentication tag or ciphertext did not verify
    Replayed      a Partial IV that was already used, or is older than the window
    NotPersisted  our own store does not hold what must be there before a key is used
    Exhausted     our own counter is at its end
"""


class SkerryError(Exception):
    """The root of all errors of the protocol core."""


class Malformed(SkerryError):
    """The bytes are not a message of the expected kind; the text says which part."""


class BadTag(SkerryError):
    """Authentication failed: another key, another message, or a forgery."""


class Replayed(SkerryError):
    """The Partial IV was seen before or lies behind the window (RFC 8613 section 7.4)."""


class NotPersisted(SkerryError):
    """The record read back is not the one that had to be written."""


class Exhausted(SkerryError):
    """A counter reached its limit; a new handshake starts it again."""
