"""What has to hold in every state. The rest is checked where it happens (device.py, hub.py)."""

from itertools import product

from search.device import NAME, Device
from search.hub import Process, Rows
from search.watch import Violation
from search.world import World, content

from skerry import responder, schedule
from skerry.chain import Chain
from skerry_hub import sessions
from skerry_hub.enrolment import coming


class Checks:
    """All checks. What was found right is remembered."""

    def __init__(self) -> None:
        self.right: set[object] = set()

    def everything(self, world: World) -> None:
        """Raise Violation, or leave the world as it is."""
        rows = world.database.rows()
        if rows not in self.right:
            check_rows(world, rows)
            self._keep(rows)
        for process in world.processes:
            check_memory(process)
        boards = [content(each) for each in world.devices]
        runs = [content(each) for each in world.processes]
        rest = (rows, world.restored, world.cloned, attempts(world), len(runs))
        for (d, board), (r, run) in product(enumerate(boards), enumerate(runs)):
            # What else the attacker remembers neither end sees, so it does not count here.
            pair = hash((board, run, rest))
            if pair not in self.right:
                self._by_trying(world, d, r)
                self._keep(pair)

    def _keep(self, state: object) -> None:
        if len(self.right) > 2_000_000:
            self.right.clear()
        self.right.add(state)

    def _by_trying(self, world: World, d: int, run: int) -> None:
        """Check on copies what a device and a hub could do next."""
        saved, device, process = world.save(), world.devices[d], world.processes[run]
        if is_promised(world, device, process):
            if not world.exchange(d, run):
                raise Violation("promise", f"the session of {device.of} is dead")
            world.load(saved)
        if process.slow:
            world.go_on(run)
        if not out_of_reach(world, world.devices[d]) and not (
            world.connects(d, run) and world.exchange(d, run)
        ):
            raise Violation("recovery", "two undisturbed attempts and a request fail")
        world.load(saved)


def attempts(world: World) -> int:
    """Return how many attempts there were at most in the epoch of a session that waits."""
    epochs = [each.of.split(":")[0] for each in world.devices if each.of and not each.confirmed]
    return max((sum(name.startswith(f"1 {epoch}:") for name in world.air) for epoch in epochs),
               default=0)  # fmt: skip


def check_rows(world: World, rows: Rows) -> None:
    """The row of the device is whole, and its pseudonyms are those of the rules, no more."""
    row = world.database.hub_row()
    chain = Chain.unpack(world.database.vault.open(b"chain", NAME.encode(), row.chain))
    if (chain.era, chain.step) != (row.era, row.step):
        raise Violation("index", "the row does not say where its chain is")
    if row.pid != schedule.pseudonym(chain.chain_key):
        raise Violation("index", "the row does not have its chain's pseudonym")
    due = dict(coming(chain))
    known = {pid: era for pid, _, era in rows[1]}
    if known != due:
        raise Violation("index", f"{len(known)} pseudonyms, and not the {len(due)} of the rules")
    index = world.database._moves.pseudonyms._devices
    if set(index) != {row.pid, row.pending_pid} - {None}:
        raise Violation("index", f"{len(index)} pseudonyms in memory")


def check_memory(process: Process) -> None:
    """A hub holds the sessions that it may still need, and finds those only."""
    held = set()
    for device in process.sessions._devices.values():
        if len(device.offered) > sessions.CANDIDATES:
            raise Violation("bounded", f"{len(device.offered)} sessions offered")
        if len({each.pid for each in device.offered.values()}) > 1:
            raise Violation("erasure", "sessions of two epochs are offered")
        held |= {*device.offered.values(), device.current} - {None}
    found = [each for same in process.sessions._by_kid.values() for each in same]
    if len(found) != len(held) or set(found) != held:
        raise Violation("erasure", "a session that should be gone is found")
    if any(len(each.recent) > sessions.RECENT_REQUESTS for each in held):
        raise Violation("bounded", "more answers kept than the last ones")


def is_promised(world: World, device: Device, process: Process) -> bool:
    """Tell whether this hub owes this device an answer: nobody disturbed the two."""
    if not device.may_request() or process.slow:
        return False
    if device.answerer != process.number or not process.undisturbed:
        return False
    row = world.database.hub_row()
    if device.confirmed:
        return len(world.processes) == 1 and row.session_fingerprint == device.session.fingerprint
    return (
        row.pending_pid == schedule.pseudonym(device.used.chain_key)
        and attempts(world) <= sessions.CANDIDATES
    )


def out_of_reach(world: World, device: Device) -> bool:
    """Tell whether docs/protocol.md section 7 gives this device up."""
    row, chain = world.database.hub_row(), device.stored()
    if chain is None:
        return False
    if world.restored and chain.era + 1 > row.era + responder.RECOVERY_ERAS:
        return True
    if not (device.crossed or world.cloned) or row.era <= chain.era:
        return False
    next_era = chain.next_era()  # spent, unless the hub waits for it or for its confirmation
    waits = (row.era, row.step) == (next_era.era, next_era.step)
    return not waits and row.pending_pid != schedule.pseudonym(next_era.chain_key)
