"""Numbers of the protocol, then numbers of this implementation. Units are in the names."""

from skerry.primitives import const

# The protocol (docs/protocol.md gives the reasons).
KEY_LENGTH = const(32)  # bytes: master, root, chain and epoch keys, session secret
PSEUDONYM_LENGTH = const(6)  # bytes
NONCE_LENGTH = const(8)  # bytes: N_D and N_H
KEY_ID_LENGTH = const(3)  # bytes: the device's OSCORE Sender ID
MAX_ERA = const(0xFFFFFFFF)
MAX_STEP = const(0xFFFFFFFF)
MAX_PARTIAL_IV = const(0xFFFFFFFFFF)  # RFC 8613 section 7.2.1: 2^40 - 1

# The hub: how far a device may be ahead of it, in eras, and how many of a device's attempts
# in one epoch may still be confirmed.
RECOVERY_ERAS = const(16)
CANDIDATES = const(4)
