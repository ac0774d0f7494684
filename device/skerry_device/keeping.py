"""A Hub that goes on in the session that it had before a sleep or a power cut (docs/sleep.md).

    hub = keeping.connect()         goes on in the session that was kept, or makes a handshake
    hub.post("readings", {"c": 21.5})
    rtc.deepsleep(hub, 600_000)

What is kept is a session that the hub has confirmed, in one place at a time.
"""

from time import ticks_add, ticks_diff, ticks_ms, time

from skerry.chain import Chain
from skerry.errors import SkerryError
from skerry.replay import NOTHING
from skerry.session_record import SessionRecord
from skerry_device import client, rtc


class Hub(client.Hub):
    """A client.Hub whose session outlives it. `memory`: where (rtc.py, flash_session.py)."""

    def __init__(self, *given, memory=None, **named) -> None:
        """Take what client.Hub takes; `memory` is the board's own if None."""
        self.memory = memory or rtc.memory()
        self._guarded = None  # the session whose Partial IVs the memory watches
        super().__init__(*given, **named)

    def start(self) -> None:
        """Go on, or make the first session."""
        if not self._resume():
            super().start()

    def _resume(self) -> bool:
        """Take the session that was kept, if this chain follows on it."""
        record = SessionRecord.unpack(self.ctx, self.memory.take())
        if not record or not record.leads_to(Chain.unpack(self.store.load())):
            return False
        session, session.window = record.restore()
        if record.window == NOTHING:  # see docs/decisions/0007
            session.deaf = True
        try:
            self.memory.guard(self.ctx, record, session.oscore)
        except SkerryError:
            return False
        self.session = self._guarded = session
        self.fingerprint = session.fingerprint
        self.era, self.step = record.era, record.step
        self.checked = ticks_ms()
        # The clock that ran during a sleep may be far off: it tells the age but not the time.
        age = min(record.age, 1 << 18)
        self.clock = 0, self.checked, ticks_add(self.checked, -1000 * age), time() - age
        self.failures = record.failures
        self.confirmed = True
        return True

    def ask(self, request, oscore=None):
        """Ask as client.Hub does; the first answer makes the session one to be kept."""
        response = yield from super().ask(request, oscore)
        if response and self._guarded is not self.session:
            self._guarded = self.session
            self.memory.guard(self.ctx, self._record(), self.session.oscore)
        return response

    def _record(self, ms: int = 0) -> SessionRecord:
        session = self.session
        record = SessionRecord(self.suite, self.era, self.step, session.secret)
        record.sequence = session.oscore.sequence
        record.failures = self.failures
        if hasattr(session, "window"):
            record.window = session.window.pack()
        record.age = max((ticks_diff(ticks_ms(), self.clock[2]) + ms) // 1000, 0)
        return record

    def keep(self, ms: int = 0) -> None:
        """Keep the session for a `connect` after `ms`, then close; unconfirmed it is dropped."""
        if self.session and self.confirmed:
            try:
                self.memory.keep(self._record(ms).pack(self.ctx))
            except SkerryError:  # all sequence numbers are used
                pass
        self.close()


connect = Hub
