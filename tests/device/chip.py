"""The memory of a real-time clock, whose power can be cut at any write."""


class PowerCut(Exception):
    """The power is gone: not an error that any code handles."""


class Rtc:
    """What machine.RTC().memory is on ESP32: bytes of any length up to `room`.

    `cells` are never cleared by a shorter write. After `writes` of them the power goes.
    """

    def __init__(self, room=2048):
        self.cells = bytearray(room)
        self.length = 0
        self.writes = None
        self.works = True
        self.error = PowerCut

    def memory(self, data=None):
        if data is None:
            return bytes(self.cells[: self.length])
        if len(data) > len(self.cells):
            raise ValueError("buffer too long")
        if self.writes is not None:
            self.writes -= 1
            if self.writes < 0:
                raise self.error("cut")
        if self.works:
            self.cells[: len(data)] = data
            self.length = len(data)
        return None
