"""A few random walks; `make search` does the same for a night."""

from unittest.mock import patch

from search import random_walk
from search.explore import OPTIONS
from search.mutations import MUTATIONS


def test_walks():
    done = random_walk.run(steps=8_000, seed=2)
    assert not done.violation, done.trace
    assert set(done.verbs) == set(OPTIONS), "a verb that is never drawn"


def test_a_violation_is_found_and_made_short():
    with MUTATIONS["no replay window"].applied():
        done = random_walk.run(steps=8_000, seed=2)
    assert done.violation.startswith("once")
    assert len(done.trace) <= 12


def test_status(capsys):
    with patch("sys.argv", ["random_walk.py", "--steps", "300"]):
        assert random_walk.main() == 0
    assert "no violation" in capsys.readouterr().out
