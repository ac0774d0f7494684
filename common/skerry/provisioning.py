"""From the master key to the first epoch: where devices are enrolled, and never on a device."""

from skerry.chain import Chain
from skerry.primitives import hmac_sha256


def root_key(master_key: bytes, ctx: bytes) -> bytes:
    """RK_0 from the master key K0 (32 bytes) and CTX (schedule.context)."""
    return hmac_sha256(master_key, ctx)


def first_epoch(master_key: bytes, ctx: bytes) -> Chain:
    """Return epoch (0, 0) of a new master key of 32 bytes, which the caller then forgets."""
    return Chain.of_root(0, root_key(master_key, ctx))
