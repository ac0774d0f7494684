"""A day of counts in memory of a fixed size."""

from collections import Counter

from skerry_hub.web import rates
from skerry_hub.web.rates import MINUTE_S, MINUTES, Rates


def ticking(monkeypatch):
    now = [1_800_000_000.0]
    monkeypatch.setattr(rates.time, "time", lambda: now[0])
    counts, gauges = Counter(requests=5), {"sessions": 0}
    made = Rates(lambda: dict(counts), lambda: gauges)

    def minute(**added):
        counts.update(added)
        now[0] += MINUTE_S
        made.tick()

    return made, counts, gauges, minute


def test_what_was_before_the_start_does_not_count(monkeypatch):
    made, counts, *_ = ticking(monkeypatch)
    assert made.last(60, 1) == (1_800_000_000.0, {"requests": [0], "sessions": [0]})
    counts["requests"] += 2
    assert made.last(60, 1)[1]["requests"] == [2]


def test_minutes_and_steps_add_up(monkeypatch):
    made, counts, gauges, minute = ticking(monkeypatch)
    for number in range(7):
        gauges["sessions"] = number
        minute(requests=number + 1)
    counts["requests"] += 10
    begun, series = made.last(60, 1)
    assert series["requests"] == [1, 2, 3, 4, 5, 6, 7, 10]
    assert begun == 1_800_000_000.0
    assert made.last(3, 1)[1]["requests"] == [6, 7, 10]
    assert made.last(60, 3)[1] == {"requests": [3, 12, 23], "sessions": [1, 4, 6]}


def test_a_cause_that_appears_later_was_nothing_before(monkeypatch):
    made, _, _, minute = ticking(monkeypatch)
    minute()
    minute(malformed=3)
    minute(malformed=1)
    assert made.last(60, 1)[1]["malformed"] == [0, 3, 1, 0]


def test_after_a_day_the_oldest_goes(monkeypatch):
    made, _, _, minute = ticking(monkeypatch)
    for number in range(MINUTES + 100):
        minute(requests=number)
    begun, series = made.last(MINUTES, 1)
    assert len(series["requests"]) == MINUTES
    assert series["requests"][-3:] == [MINUTES + 98, MINUTES + 99, 0]
    assert begun == 1_800_000_000.0 + 101 * MINUTE_S
    steps = made.last(MINUTES, 15)[1]["requests"]
    assert (len(steps), sum(steps)) == (96, sum(series["requests"]))
