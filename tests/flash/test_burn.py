"""skerry flash --burn tells, and burns nothing: a phrase stands before even the commands."""

import os
import pty
import subprocess

import pytest
from real import Hub


@pytest.fixture
def hub(tmp_path):
    return Hub(tmp_path)


def burn(hub, family, typed=None):
    """Return (exit status, all that was printed); `typed` on a terminal."""
    command = [each for each in hub.command("flash", "--burn", family) if each != "--json"]
    if typed is None:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    os.write(ours, typed.encode() + b"\n")
    said = running.communicate(timeout=30)[0]
    os.close(ours)
    os.close(theirs)
    return running.returncode, said


@pytest.mark.parametrize(("family", "tool"), [("esp32", "espefuse"), ("rp2350", "picotool")])
def test_a_phrase_stands_before_the_commands(hub, family, tool):
    status, said = burn(hub, family)
    assert (status, tool in said) == (0, False)
    assert "UNTESTED ON HARDWARE" in said
    status, said = burn(hub, family, "yes")
    assert (status, tool in said) == (1, False)
    status, said = burn(hub, family, f"burn {family} for ever")
    assert (status, tool in said) == (0, True)
    assert hub("flash", "--burn", family)["done"] is False
