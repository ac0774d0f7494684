"""`skerry sim` and `skerry tail` beside a running hub."""

import json
import os
import subprocess

ENVIRONMENT = dict(os.environ)


def test_sim_and_tail(hub):
    host, port = hub.address
    tail = subprocess.Popen(
        hub.command("tail", "--count", "6", "--from-start"), stdout=subprocess.PIPE, text=True
    )
    done = subprocess.run(
        hub.command("sim", "3", "--readings", "2", "--interval", "10"),
        env={**ENVIRONMENT, "SKERRY_LISTEN": f"{host}:{port}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    rows = json.loads(done.stdout)
    assert [row["device"] for row in rows] == ["sim-1", "sim-2", "sim-3"]
    for row in rows:
        assert row["fingerprint"] == hub.row(row["device"])["session_fingerprint"]
    said = tail.communicate(timeout=20)[0].splitlines()
    assert sorted(json.loads(line)["device"] for line in said) == sorted(
        [row["device"] for row in rows] * 2
    )


def test_sim_without_a_hub_fails_in_the_end(hub):
    hub.process.terminate()
    hub.process.wait(10)
    done = subprocess.run(
        hub.command("sim", "0"), capture_output=True, text=True, timeout=60, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert done.stderr.startswith("skerry: how many devices")
