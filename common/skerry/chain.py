"""The one-way chain that both ends hold: where they are, and the two keys all later ones follow.

    era a     step 0 -> step 1 -> step 2 -> ...        one step a handshake
      |
    era a+1   step 0 -> ...                            only to recover: see docs/protocol.md

A chain never goes back, and a Chain is never changed: each move makes a new one.
"""

from skerry import schedule
from skerry.errors import Exhausted, Malformed
from skerry.primitives import const

MAX_ERA = const(0xFFFFFFFF)
MAX_STEP = const(0xFFFFFFFF)
PACKED_LENGTH = const(72)


class Chain:
    """CK_a,s and RK_a+1 at the epoch (era a, step s)."""

    def __init__(self, era: int, step: int, chain_key: bytes, next_root: bytes) -> None:
        """Take the position and two keys of 32 bytes; `of_root` and `unpack` make one, too."""
        self.era = era
        self.step = step
        self.chain_key = chain_key
        self._next_root = next_root

    @staticmethod
    def of_root(era: int, root: bytes) -> "Chain":
        """Return the first epoch of an era from its root key."""
        return Chain(era, 0, schedule.first_chain_key(root), schedule.next_root_key(root))

    def next_step(self) -> "Chain":
        """Return the epoch after this one; the last step of an era leads to the next era."""
        if self.step == MAX_STEP:
            return self.next_era()
        chain_key = schedule.next_chain_key(self.chain_key)
        return Chain(self.era, self.step + 1, chain_key, self._next_root)

    def next_era(self) -> "Chain":
        """Return the first epoch of the next era; raise Exhausted after the last one."""
        if self.era == MAX_ERA:
            raise Exhausted("chain at its end: provision again")
        return Chain.of_root(self.era + 1, self._next_root)

    def pack(self) -> bytes:
        """Return era 4 | step 4 | CK 32 | next RK 32 = 72 bytes."""
        position = self.era.to_bytes(4, "big") + self.step.to_bytes(4, "big")
        return position + self.chain_key + self._next_root

    @staticmethod
    def unpack(packed: bytes) -> "Chain":
        """Read what `pack` wrote; raise Malformed."""
        if len(packed) != PACKED_LENGTH:
            raise Malformed("chain length")
        era = int.from_bytes(packed[:4], "big")
        step = int.from_bytes(packed[4:8], "big")
        return Chain(era, step, packed[8:40], packed[40:])
