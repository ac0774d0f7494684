"""The log's two forms."""

import json
import logging

import pytest

from skerry_hub import logs


@pytest.fixture(autouse=True)
def _restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level


def said(form, capsys):
    logs.start(form, "info")
    log = logging.getLogger("skerry_hub.front")
    log.debug("not this")
    log.warning("session %s", "0a1b", extra={"device": "kitchen"})
    log.info("plain")
    return capsys.readouterr().err.splitlines()


def test_text(capsys):
    first, second = said("text", capsys)
    assert first.endswith(" WARNING kitchen: session 0a1b")
    assert second.endswith(" INFO plain")


def test_json(capsys):
    first, second = map(json.loads, said("json", capsys))
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "warning", "part": "front", "message": "session 0a1b", "device": "kitchen",
    }  # fmt: skip
    assert "device" not in second


def test_a_trace_stays_on_its_line(capsys):
    logs.start("json", "info")
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: broken" in json.loads(line)["trace"]
