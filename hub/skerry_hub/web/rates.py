"""How much happened when: a day in steps of a minute, in memory of a fixed size."""

import time
from array import array
from collections.abc import Callable, Mapping

MINUTES = 1440
MINUTE_S = 60.0

Totals = Callable[[], Mapping[str, int]]


class Rates:
    """Totals that only rise, as what was added in each minute; `gauges` are taken as they are."""

    def __init__(self, totals: Totals, gauges: Totals) -> None:
        self._totals = totals
        self._gauges = gauges
        self._last = dict(totals())
        self._begun = time.time()
        self._rows: dict[str, array[int]] = {}
        self.ended = 0  # whole minutes

    def tick(self) -> None:
        """End a minute: call it once a minute."""
        now = self._totals()
        for name, value in {**self._added(now), **self._gauges()}.items():
            row = self._rows.setdefault(name, array("q", bytes(8 * MINUTES)))
            row[self.ended % MINUTES] = value
        for name in self._rows.keys() - now.keys() - self._gauges().keys():
            self._rows[name][self.ended % MINUTES] = 0
        self._last = dict(now)
        self._begun = time.time()
        self.ended += 1

    def _added(self, now: Mapping[str, int]) -> dict[str, int]:
        return {name: value - self._last.get(name, 0) for name, value in now.items()}

    def last(self, minutes: int, step: int) -> tuple[float, dict[str, list[int]]]:
        """Return the last minutes, `step` by `step`, oldest first, and when the first one began.

        The last minute is the one that has not ended. Totals are added up, of gauges the last
        value stands.
        """
        kept = min(self.ended, MINUTES, minutes - 1)
        gauges = self._gauges()
        current = {**self._added(self._totals()), **gauges}
        series = {}
        for name in sorted({*self._rows, *current}):
            row = self._rows.get(name)
            first = self.ended - kept
            values = [row[at % MINUTES] if row else 0 for at in range(first, self.ended)]
            values.append(current.get(name, 0))
            lead = -len(values) % step  # the newest step is a whole one, the oldest may not be
            parts = [values[max(0, at - lead) : at - lead + step]
                     for at in range(0, len(values) + lead, step)]  # fmt: skip
            series[name] = [part[-1] if name in gauges else sum(part) for part in parts]
        return self._begun - kept * MINUTE_S, series
