"""Memory that outlives deep sleep: where a session waits for the device to wake up.

    session --deepsleep--> memory, asleep --connect--> session; the memory is overwritten

A session is read back once. Whatever resets the board after that finds nothing here and makes a
handshake, so no sequence number is ever used twice. The same if the power goes: it costs one
handshake and no flash.
"""

from skerry.session_record import LENGTH

_MARK = b"\nskerry:"


class RtcMemory:
    """The memory of `machine.RTC` on ESP32 and ESP8266; other bytes in it stay before ours."""

    def __init__(self, rtc=None) -> None:
        """Take an object with `memory` as machine.RTC has it."""
        if not rtc:
            import machine

            rtc = machine.RTC()
        self._rtc = rtc

    def _others(self, held: bytes) -> bytes:
        at = len(held) - len(_MARK) - LENGTH
        return held[:at] if at >= 0 and held[at : at + len(_MARK)] == _MARK else held

    def take(self) -> bytes:
        """Return what was kept and overwrite it; b"" if there is nothing, or it stays there."""
        held = bytes(self._rtc.memory())
        others = self._others(held)
        if others == held:
            return b""
        self._rtc.memory(others + bytes(len(held) - len(others)))
        self._rtc.memory(others)
        return held[-LENGTH:] if bytes(self._rtc.memory()) == others else b""

    def keep(self, packed: bytes) -> bool:
        """Keep 72 bytes in place of what was kept; tell whether there is room."""
        others = self._others(bytes(self._rtc.memory()))
        try:
            self._rtc.memory(others + _MARK + packed)
        except ValueError:
            return False
        return True

    def guard(self, ctx, record, oscore) -> None:
        """Do nothing: what is read back once needs no reserve (flash_session.py does)."""

    def forget(self) -> None:
        """Overwrite what was kept."""
        self.take()


class Ram:
    """The same for ports without such memory: it ends with the program."""

    def __init__(self) -> None:
        self._kept = b""

    def take(self) -> bytes:
        """Return what was kept, once."""
        kept, self._kept = self._kept, b""
        return kept

    def keep(self, packed: bytes) -> bool:
        """Keep 72 bytes in place of what was kept."""
        self._kept = packed
        return True

    def guard(self, ctx, record, oscore) -> None:
        """Do nothing: what is read back once needs no reserve (flash_session.py does)."""

    def forget(self) -> None:
        """Drop what was kept."""
        self._kept = b""


_memory = None


def memory():
    """Return this board's memory for sessions, always the same object."""
    global _memory  # noqa: PLW0603 - a board has one
    if not _memory:
        try:
            from machine import RTC

            _memory = RtcMemory() if hasattr(RTC, "memory") else Ram()
        except ImportError:
            _memory = Ram()
    return _memory


def deepsleep(hub, ms: int) -> None:
    """Keep the session, close the connection and sleep; the board starts anew after `ms`.

    `connect` then goes on in the session. It is one that the hub has confirmed, or there is
    nothing to keep.
    """
    import machine

    hub.keep(ms)
    machine.deepsleep(ms)
