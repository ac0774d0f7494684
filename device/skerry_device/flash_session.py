"""A session that outlives a power cut, in flash (RFC 8613 appendix B.1.1): an option, off.

    1 .. 1024 reserved by one write, used without any | 1025 .. 2048 | ...
               ^ power cut: what is left of them is skipped

Sequence numbers are reserved by a write before the first of them is used, so no cut leads back to
one that was used. Another image of the flash does: whoever restores an old one, or copies it to a
second board, makes this device use nonces twice, and breaks the session's secrecy. Do not choose
this where flash is restored from backups. While the session lasts, its secret is in flash.

The replay window is not kept: after a resume the hub's own requests are refused until the next
handshake (docs/decisions/0007).
"""

from skerry.errors import Exhausted
from skerry.primitives import const
from skerry.replay import NOTHING
from skerry.session_record import SessionRecord
from skerry_device.errors import NotProvisioned

_CHUNK = const(1024)  # at a message a minute 514 writes a year
_LAST = const(0xFFFFFFFFFF)


class FlashSession:
    """Takes the place of rtc.RtcMemory: connect(memory=FlashSession(store)).

    `store` has the `load` and `save` of store.ChainStore, on a medium of its own such as
    FileSlots(folder, "session."), or is a LogStore in sectors of its own.
    """

    def __init__(self, store, chunk: int = _CHUNK) -> None:
        """Reserve `chunk` sequence numbers with each write."""
        self._store = store
        self._chunk = chunk

    def take(self) -> bytes:
        """Return what is stored, b"" if nothing is. Raises StoreFailed."""
        try:
            return self._store.load()
        except NotProvisioned:
            return b""

    def keep(self, packed: bytes) -> bool:
        """Do nothing: what is stored already leads on behind what was used."""
        return True

    def forget(self) -> None:
        """Erase what is stored, for good. Raises StoreFailed."""
        self._store.wipe()

    def guard(self, ctx: bytes, record: SessionRecord, oscore) -> None:
        """Store a session that the hub confirmed, in place of the one before; or reserve anew.

        `record` is the session's, `oscore` its security context, which from now on uses no
        number that is not reserved. Raises StoreFailed or Exhausted, and so may each use.
        """

        def reserve(sequence: int) -> int:
            record.sequence = min(sequence + self._chunk, _LAST)
            record.window = NOTHING
            if record.sequence <= sequence:
                raise Exhausted("Partial IVs used up: connect again")
            self._store.save(record.pack(ctx))
            return record.sequence

        oscore.limit = reserve(oscore.sequence)
        oscore.reserve = reserve
