"""Every target for a short while, from the same seeds: `make fuzz` goes on for longer."""

import importlib
import importlib.util
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import corpus

RUNS = {
    "chain_unpack": 20_000,
    "coap_body": 20_000,
    "coap_decode": 20_000,
    "device_answers": 600,
    "front_inner": 2_000,
    "front_noise": 10_000,
    "front_replies": 2_000,
    "front_traffic": 3_000,
    "message_1": 20_000,
    "message_2": 20_000,
    "oscore_option": 20_000,
    "record_unpack": 20_000,
}
SEEDS = corpus.seeds()


@pytest.fixture(autouse=True)
def device_path(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "device"))


def test_every_target_has_a_budget_and_seeds():
    assert set(RUNS) == set(corpus.TARGETS) == set(SEEDS)
    assert all(len(each) > 4 for each in SEEDS.values())


@pytest.mark.parametrize("name", corpus.TARGETS)
def test_line_1_says_what_holds(name):
    first = (Path(__file__).parent / "targets" / f"{name}.py").read_text().splitlines()[0]
    assert first.startswith('"""')
    assert first.endswith('."""')


@pytest.mark.parametrize("name", corpus.TARGETS)
def test_seeds_and_their_neighbours(name):
    """Without a fuzzer: the seeds, and a few changes of each by one byte."""
    check = importlib.import_module(f"fuzz.targets.{name}").check
    source = random.Random(1)
    for seed in sorted(set(SEEDS[name]))[:: 8 if name == "device_answers" else 1]:
        check(seed)
        for _ in range(2):
            if seed:
                at = source.randrange(len(seed))
                check(seed[:at] + source.randbytes(1) + seed[at + 1 :])


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: no fuzzer"
)
@pytest.mark.parametrize("name", corpus.TARGETS)
def test_fuzz(name, tmp_path):
    runner = Path(__file__).with_name("run.py")
    done = subprocess.run(
        # What it wrote itself is not read again after a second: the runs depend on the seed alone.
        [
            sys.executable,
            runner,
            name,
            f"-runs={RUNS[name]}",
            "-seed=1",
            "-reload=0",
            "-timeout=20",
        ],
        env={**os.environ, "SKERRY_CORPUS": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = [f"{each.name}: {each.read_bytes().hex()}" for each in tmp_path.glob("crash-*")]
    assert done.returncode == 0, "\n".join([*found, done.stdout[-3000:], done.stderr[-6000:]])
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None, done.stderr[-3000:]
    assert int(runs[1]) >= RUNS[name]
