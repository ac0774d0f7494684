"""Every step that is possible in a state, and the search through all states within bounds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from search.checks import Checks
from search.device import CUTS
from search.watch import Violation
from search.world import Move, World


def _sent(world: World, kinds: str) -> list[str]:
    return [name for name in world.air if name[0] in kinds]


def _to_hubs(world: World, kinds: str) -> Iterator[tuple[int, str]]:
    for run, process in enumerate(world.processes):
        if process.slow is None:
            for name in _sent(world, kinds):
                yield run, name


def _boards(world: World, able: Callable[..., bool] = lambda board: True) -> Iterator[tuple[int]]:
    return ((d,) for d, board in enumerate(world.devices) if able(board))


def _hear(world: World) -> Iterator[tuple[int, str]]:
    for d, board in enumerate(world.devices):
        kinds = "2" * (board.waiting is not None) + "r" * (board.session is not None)
        for name in _sent(world, kinds):
            yield d, name


def _cut(world: World) -> Iterator[tuple[int, str, str]]:
    for d, name in _hear(world):
        if name[0] == "2" and name[2:].startswith(world.devices[d].attempt + "/"):
            yield from ((d, name, where) for where in CUTS)


FAILURES = ("fails", "fails late")
OPTIONS: dict[str, Callable[[World], Iterator[tuple]]] = {
    "attempt": _boards,
    "recover": lambda w: _boards(w, lambda each: each.waiting is not None and not each.recovering),
    "request": lambda w: _boards(w, lambda each: each.may_request()),
    "deliver": lambda w: _to_hubs(w, "1q"),
    "hear": _hear,
    "session": lambda w: ((d, run) for d in range(len(w.devices))
                          for run, process in enumerate(w.processes) if process.slow is None),
    "cut": _cut,
    "cut_load": lambda w: _boards(w, lambda each: all(map(any, each.flash.slots))),
    "reboot": _boards,
    "rollback": lambda w: ((d, i) for d in range(len(w.devices)) for i in range(len(w.flashes))),
    "clone": _boards,
    "restart": lambda w: ((run,) for run in range(len(w.processes))),
    "die": lambda w: _to_hubs(w, "1q"),
    "fail": lambda w: ((*each, how) for each in _to_hubs(w, "1q") for how in FAILURES),
    "restore": lambda w: ((i,) for i in range(len(w.images))),
    "look_up": lambda w: _to_hubs(w, "1"),
    "go_on": lambda w: ((run,) for run, process in enumerate(w.processes) if process.slow),
}  # fmt: skip


@dataclass(frozen=True)
class Bounds:
    """How far to go: so many steps, and of each kind at most so many. 0 if not named.

    `faults` bounds all kinds together that are not of the undisturbed protocol.
    """

    steps: int
    most: dict[str, int] = field(hash=False)
    faults: int = 99
    runs: int = 1
    first: tuple[Move, ...] = ()  # steps before the search begins

    def moves(self, world: World) -> Iterator[Move]:
        """Yield what may happen next."""
        left = self.faults - sum(n for verb, n in world.used.items() if verb not in ORDINARY)
        for verb, most in self.most.items():
            if world.used[verb] < most and (left > 0 or verb in ORDINARY):
                for arguments in OPTIONS[verb](world):
                    yield (verb, *arguments)


ORDINARY = ("attempt", "recover", "request", "deliver", "hear", "session", "go_on")


@dataclass
class Found:
    """What a search found: how many states and steps, and the shortest way to a violation."""

    states: int = 0
    steps: int = 0
    violation: Violation | None = None
    trace: tuple[Move, ...] = ()


def explore(bounds: Bounds, checks: Checks | None = None) -> Found:
    """Go through all states within bounds, breadth first, until a violation is found."""
    world, found = World(bounds.runs), Found()
    checks = checks or Checks()
    for move in bounds.first:
        world.do(move)
    world.used.clear()
    frontier = [(world.save(), ())]
    seen = {world.key()}
    for depth in range(bounds.steps):
        coming = []
        for saved, trace in frontier:
            world.load(saved)
            for move in list(bounds.moves(world)):
                world.load(saved)
                found.steps += 1
                try:
                    world.do(move)
                    key = world.key()
                    if key in seen:
                        continue
                    checks.everything(world)
                except Violation as violation:
                    found.violation, found.trace = violation, (*bounds.first, *trace, move)
                    found.states = len(seen)
                    return found
                seen.add(key)
                if depth + 1 < bounds.steps:
                    coming.append((world.save(), (*trace, move)))
        frontier = coming
    found.states = len(seen)
    return found
