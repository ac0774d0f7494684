"""Flash in memory, whose power can be cut at any byte."""


class PowerCut(Exception):
    """The power is gone: not an error that any code handles."""


class Flash:
    """A medium of two slots. After `budget` bytes a write stops with `error`.

    `erases`: a write first sets the whole slot to FF, as flash does.
    """

    def __init__(self, first=b"", second=b"", erases=False):
        self.slots = [first, second]
        self.erases = erases
        self.budget = None
        self.error = PowerCut
        self.writes = []
        self.keeps = lambda data: data  # what a write of `data` leaves behind

    def read(self, slot):
        return self.slots[slot]

    def write(self, slot, data):
        self.writes.append(slot)
        if self.budget is None or self.budget >= len(data):
            if self.budget is not None:
                self.budget -= len(data)
            self.slots[slot] = self.keeps(data)
            return
        rest = b"\xff" * len(data) if self.erases else self.slots[slot]
        self.slots[slot] = data[: self.budget] + rest[self.budget :]
        self.budget = 0
        raise self.error("cut")


def raises(error, function, *arguments, **keywords):
    """Call the function, and return the exception that has to come."""
    try:
        function(*arguments, **keywords)
    except error as caught:
        return caught
    raise AssertionError(f"{error.__name__} was not raised")
