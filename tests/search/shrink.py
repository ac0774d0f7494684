"""Make the way to a violation short enough to read."""

from collections.abc import Sequence

from search.checks import Checks
from search.watch import Violation
from search.world import Move, World


def violation_of(
    trace: Sequence[Move], runs: int, erases: bool, checks: Checks
) -> Violation | None:
    """Walk a trace, without the steps that are impossible now; return what it violates."""
    world = World(runs, erases)
    try:
        for move in trace:
            saved = world.save()
            try:
                world.do(move)
            except Violation:
                raise
            except Exception:  # what the step needs was left out
                world.load(saved)
            checks.everything(world)
    except Violation as violation:
        return violation
    return None


def shrink(trace: Sequence[Move], rule: str, runs: int, erases: bool = False) -> list[Move]:
    """Leave out steps as long as the rest still violates the same rule."""
    kept, size, checks = list(trace), len(trace) // 2, Checks()
    while size:
        for at in range(len(kept) - size, -1, -1):
            fewer = kept[:at] + kept[at + size :]
            violation = violation_of(fewer, runs, erases, checks)
            if violation is not None and violation.rule == rule:
                kept = fewer
        size //= 2
    return kept
