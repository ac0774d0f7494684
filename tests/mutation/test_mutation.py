"""What decides over keys, replays and recovery: every small change of it is noticed by a test.

A survivor is either a hole in the tests or a change that changes nothing. Those of the second
kind stand here, each with its reason; any other one, and any that is gone, fails.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mutation.mutate import mutants

HERE = Path(__file__).parent
NUMBERS = "Partial IVs are never negative, so what stands for numbers below 0 is never asked for"
ALLOWED = {
    "equal": {},
    "replay": {
        "ReplayWindow.__init__: self._highest = -1 -> self._highest = -2": NUMBERS,
        "ReplayWindow.__init__: self._highest = -1 -> self._highest = -0": (
            "0 as the highest number, and not seen: the same as none"
        ),
        "ReplayWindow.accept: if ahead > 0: -> if ahead >= 0:": (
            "shifting by 0 and setting bit 0 is what the other branch does"
        ),
        "ReplayWindow.accept: if ahead > 0: -> if ahead > -1:": "the same as ahead >= 0",
        (
            "ReplayWindow.accept: self._seen = (self._seen << ahead | 1) & 4294967295"
            " if ahead < _SIZE else 1"
            " -> self._seen = (self._seen << ahead | 1) & 4294967295 if ahead <= _SIZE else 1"
        ): "at 32 the mask leaves bit 0 alone: the same 1",
    },
    "store": {
        "ChainStore.load: if found and found > newest: -> if found and found >= newest:": (
            "of two equal records it keeps the other one"
        ),
    },
    "logslots": {
        "LogStore.__init__: step = page if page <= 32 else 8 -> step = page if page <= 33 else 8": (
            "a page is a power of two"
        ),
        (
            "LogStore.__init__: self._places = flash.ioctl(_SIZE, 0) // self._stride"
            " -> self._places = flash.ioctl(_SIZE, 1) // self._stride"
        ): "this ioctl takes no argument",
        (
            "LogStore.__init__: self._places = flash.ioctl(_SIZE, 0) // self._stride"
            " -> self._places = flash.ioctl(_SIZE, -1) // self._stride"
        ): "this ioctl takes no argument",
        (
            "LogStore._newest: if found and found[0] > self.sequence:"
            " -> if found and found[0] >= self.sequence:"
        ): "no two records have one sequence number",
    },
    "session_record": {},
    "flash_session": {},
    "rtc": {
        (
            "RtcMemory._others: return held[:at] if at >= 0 and held[at:at + len(_MARK)] == _MARK"
            " else held -> return held[:at] if at >= -1 and held[at:at + len(_MARK)] == _MARK"
            " else held"
        ): "at the place -1 stands one byte, which is no mark",
    },
    "record": {},
    "chain": {},
    "verify": {},
}


@pytest.fixture(scope="module")
def results():
    done = subprocess.run(
        [sys.executable, HERE / "run.py"], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("plan", ALLOWED)
def test_survivors(plan, results):
    assert set(results[plan]["survived"]) == set(ALLOWED[plan])
    assert results[plan]["killed"] >= 10


def test_every_plan_is_judged(results):
    assert set(results) == set(ALLOWED)


PROGRAM = '''
LIMIT = 3

class A:
    def f(self, x=1):
        """Say 5."""
        if x < LIMIT and not x:
            raise ValueError("text")
        return x + 2

def g():
    return b"ab"
'''


def test_the_mutator():
    found = mutants(PROGRAM, ["LIMIT", "A.f", "g"])
    assert sorted(found) == sorted(
        [
            "LIMIT: LIMIT = 3 -> LIMIT = 4",
            "LIMIT: LIMIT = 3 -> LIMIT = 2",
            "A.f: def f(self, x=1): -> def f(self, x=2):",
            "A.f: def f(self, x=1): -> def f(self, x=0):",
            "A.f: if x < LIMIT and (not x): -> if not (x < LIMIT and (not x)):",
            "A.f: if x < LIMIT and (not x): -> if x < LIMIT or not x:",
            "A.f: if x < LIMIT and (not x): -> if x <= LIMIT and (not x):",
            "A.f: if x < LIMIT and (not x): -> if x >= LIMIT and (not x):",
            "A.f: return x + 2 -> return x - 2",
            "A.f: return x + 2 -> return x + 3",
            "A.f: return x + 2 -> return x + 1",
            "A.f: if x < LIMIT and (not x): -> nothing",
            "A.f: raise ValueError('text') -> nothing",
            "A.f: return x + 2 -> nothing",
            "g: return b'ab' -> return b'`b'",
            "g: return b'ab' -> nothing",
        ]
    )
    assert len(set(found.values())) == len(found)
    for program in found.values():
        compile(program, "mutant", "exec")
        assert mutants(PROGRAM, ["LIMIT", "A.f", "g"]) == found


def test_a_change_that_no_test_sees_survives(tmp_path):
    """The runner can fail: the same changes, judged by tests that have nothing to do with them."""
    script = (
        f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); from mutation import run;"
        "print(run.run_plan(('skerry.record', ['unpack'], [], ['dual.test_replay']), False))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.startswith("{'killed': 0, ")
