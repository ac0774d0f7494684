"""Maude searches all states of the model here; docs/symbolic.md says what that shows.

Every search has to say exactly how it ended, and an exhaustive one how many states it went
through: a change of the model that cuts a scenario short is noticed.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).resolve().parent / "variants.maude"  # it loads the others
MAUDE = shutil.which("maude")

pytestmark = pytest.mark.skipif(MAUDE is None, reason="needs maude (Debian package: maude)")

# Scenarios of the protocol as it is, and how many states each of them has.
HOLDS = {
    "faults": 76_560,
    "older-stores": 41_938,
    "copies": 80_274,
    "thefts": 134_440,
    "rollback-and-theft": 3_379,
    "restore-and-theft": 74_149,
    "one-device": 7_400,
    "one-hub": 6_956,
    "apart": 7_400,
    "insider-device": 15_136,
    "insider-hub": 17_178,
    "square": 12_691,
    "careless-square": 2_401,
    "same-key-two-hubs": 962,
    "same-key-both-ways": 7_400,
}

# One thing wrong, in a scenario in which all goals hold without that.
ATTACKS = [
    ("ND-NOT-IN-MS", "older-stores", "fresh-key"),
    ("ND-NOT-IN-MS", "copies", "fresh-key"),
    ("ND-REPEATS", "copies", "fresh-key"),
    ("ND-NOT-IN-TAG2", "faults", "device-agrees"),
    ("TIME-NOT-IN-TAG2", "faults", "fresh-time"),
    ("NH-SURVIVES-RESTART", "older-stores", "once"),
    ("RESTORE-NOTICED-BY-EPOCH", "older-stores", "once"),
    ("CTX-WITHOUT-HUB", "same-key-two-hubs", "hub-agrees"),
    ("CTX-WITHOUT-HUB", "careless-square", "hub-agrees"),
    ("CTX-WITHOUT-IDS", "same-key-both-ways", "device-agrees"),
    ("CTX-WITHOUT-IDS", "same-key-both-ways", "hub-agrees"),
    ("TAGS-ALIKE", "faults", "device-agrees"),
    ("MS-IS-A-TAG", "faults", "secrecy"),
    ("USES-BEFORE-STORED", "thefts", "forward-secrecy"),
    ("STORE-NOT-WIPED", "thefts", "forward-secrecy"),
    ("ENDS-KEEP-K0", "thefts", "forward-secrecy"),
    ("EK-KEPT-AFTER-CONFIRM", "thefts", "forward-secrecy"),
    ("HUB-SPEAKS-FIRST", "thefts", "forward-secrecy"),
]

# The model does something: sessions come about, before and after what went wrong.
REACHED = {
    "one-device": "completed(d1, h1, S) == 2 and completed(d1, h2, S) == 2",
    "one-hub": "completed(d1, h1, S) == 2 and completed(d2, h1, S) == 2",
    "apart": "completed(d1, h1, S) == 2 and completed(d2, h2, S) == 2",
    "square": "completed(d1, h1, S) == 2 and completed(d1, h2, S) == 1"
    " and completed(d2, h1, S) == 1 and completed(d2, h2, S) == 1",
    "faults": "recovered(S) and completed(d1, h1, S) == 2",
    "older-stores": "recovered(S) and completed(d1, h1, S) == 2",
    "copies": "recovered(S) and completed(d1, h1, S) == 2",
    "thefts": "completed(d1, h1, S) == 2",
}

# What the protocol does not give, as docs/symbolic.md lists it.
LIMITS = {
    "thief of a device reads on in a new era": (
        "alone((2 of attempt(d1, h1)) thief(d1))",
        "read-in-new-era(S)",
    ),
    "thief of a device speaks for its hub": (
        "alone(attempt(d1, h1) thief(d1) forge)",
        "poses-as-hub(S)",
    ),
    "thief of a hub reads an unanswered request": (
        "alone(attempt(d1, h1) thief(h1))",
        "reads-first-request(S)",
    ),
    "a backup holds what the hub has erased": (
        "alone(attempt(d1, h1) restore(h1) thief(h1))",
        "breaks(forward-secrecy, S)",
    ),
    "a slot that comes back was not erased": (
        "alone(attempt(d1, h1) rollback(d1, h1) thief(d1))",
        "breaks(forward-secrecy, S)",
    ),
}


def search(start: str, condition: str, module: str = "LIMITS") -> tuple[bool, int]:
    """Search from a start; return whether a state was found, and how many were explored."""
    condition = re.sub(r"\bS\b", "S:State", condition)
    done = subprocess.run(
        [MAUDE, "-no-banner", "-no-advise", "-batch", MODEL],
        input=f"search [1] in {module} : {start} =>* S:State such that {condition} .\n",
        capture_output=True,
        text=True,
        timeout=600,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Warning" not in said, said
    verdict = re.findall(r"^(No solution\.|Solution 1 \(state \d+\))$", done.stdout, re.M)
    states = re.findall(r"^states: (\d+)  rewrites: \d+", done.stdout, re.M)
    assert len(verdict) == len(states) == 1, said
    return verdict[0] != "No solution.", int(states[0])


@pytest.mark.parametrize("scenario", HOLDS)
def test_all_goals_hold(scenario):
    assert search(scenario, "breaks(all, S)") == (False, HOLDS[scenario])


@pytest.mark.parametrize(("variant", "scenario", "goal"), ATTACKS)
def test_variant_is_found_out(variant, scenario, goal):
    assert scenario in HOLDS
    found, states = search(scenario, f"breaks({goal}, S)", variant)
    assert found
    assert states > 1


@pytest.mark.parametrize("scenario", REACHED)
def test_sessions_come_about(scenario):
    found, states = search(scenario, REACHED[scenario])
    assert found
    assert states > 1


@pytest.mark.parametrize("limit", LIMITS)
def test_limit_is_real(limit):
    found, states = search(*LIMITS[limit])
    assert found
    assert states > 1
