"""How readings and events look when they leave the hub, whatever a device sent."""

import base64
import json
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skerry import cbor
from skerry_hub.outgoing.items import of_entry, of_reading, rfc3339
from skerry_hub.store import Reading


def said(format, payload):
    return json.loads(
        of_reading(Reading(7, 1, "kitchen", 1764353123.25, "readings", format, payload)).json
    )


def test_a_reading():
    assert said(50, b'{"c": 21.5}') == {
        "type": "reading", "number": 7, "device": "kitchen",
        "at": 1764353123.25, "time": "2025-11-28T18:05:23.250Z",
        "path": "readings", "format": 50, "payload": "eyJjIjogMjEuNX0=", "value": {"c": 21.5},
    }  # fmt: skip


def test_times_are_in_utc_whatever_the_zone(monkeypatch):
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    assert rfc3339(0.9996) == "1970-01-01T00:00:00.999Z"
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("format", "payload", "value"),
    [
        (0, "21½ °C".encode(), "21½ °C"),
        (50, b"[1, null, true]", [1, None, True]),
        (50, b"null", None),
        (60, cbor.dumps({"c": 21.5, "on": True, "raw": b"\xff\xfe"}), {"c": 21.5, "on": True, "raw": "__4"}),
        (60, cbor.dumps({1: [2, {"a": None}]}), {"1": [2, {"a": None}]}),
        (50, b'"\\ud83d\\ude00"', "\U0001f600"),
        (50, b"[-9223372036854775808, 18446744073709551615]", [-(1 << 63), (1 << 64) - 1]),
        (50, b"[" * 32 + b"]" * 32, json.loads("[" * 32 + "]" * 32)),
    ],
)  # fmt: skip
def test_a_payload_that_is_what_its_format_says(format, payload, value):
    told = said(format, payload)
    assert told["value"] == value
    assert base64.b64decode(told["payload"]) == payload


@pytest.mark.parametrize(
    ("format", "payload"),
    [
        (None, b"21"),
        (42, b"21"),
        (0, b"\xff"),
        (50, b""),
        (50, b"{"),
        (50, b"NaN"),
        (50, b"[1e999]"),
        (50, b"[" * 1024),
        (50, b"[" * 500 + b"]" * 500 + b"x"),
        (0, b"\xed\xa0\x80"),
        (50, b'"\\ud800"'),
        (50, b'{"a": ["\\udfff\\ud800"]}'),
        (50, b'{"\\ud800": 1}'),
        (50, b"[" * 33 + b"]" * 33),
        (50, b'{"a":' * 33 + b"1" + b"}" * 33),
        (50, b"18446744073709551616"),
        (50, b'{"a": [-9223372036854775809]}'),
        (60, cbor.dumps(-(1 << 64))),
        (60, b"\x81" * 33 + b"\x01"),
        (60, b""),
        (60, cbor.dumps(float("inf"))),
        (60, cbor.dumps({1: "a", "1": "b"})),
        (60, b"\xc0\x00"),
    ],
)
def test_a_payload_that_json_cannot_say_leaves_as_bytes_alone(format, payload):
    told = said(format, payload)
    assert "value" not in told
    assert base64.b64decode(told["payload"]) == payload


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


@given(st.sampled_from((None, 0, 42, 50, 60)), st.binary(max_size=60))
@example(50, b'{"a": "\\ud800"}')
@example(60, bytes.fromhex("a1f97e0001"))  # {NaN: 1}
def test_whatever_a_device_sends_is_json_in_a_line(format, payload):
    item = of_reading(Reading(7, 1, "kitchen", 1.0, "readings", format, payload))
    told = json.loads(item.json.decode("ascii"), parse_constant=refuse)
    json.dumps(told, ensure_ascii=False).encode()  # as strict parsers have it: no lone surrogate
    assert base64.b64decode(told["payload"]) == payload
    assert b"\n" not in item.json


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_what_json_can_say_arrives_as_it_was(value):
    assert said(60, cbor.dumps(value))["value"] == value
    assert said(50, json.dumps(value).encode())["value"] == value


def test_an_event(opened):
    opened.store.note("quarantine", "kitchen", {"reason": "lost"})
    item = of_entry(opened.store.last_audit())
    told = json.loads(item.json)
    assert (told["type"], told["number"], told["device"]) == ("event", item.number, "kitchen")
    assert (told["action"], told["detail"]) == ("quarantine", {"reason": "lost"})


def test_an_event_is_text_whatever_is_in_its_detail(opened):
    """A file's name may be no text; a receiver must not stumble over it for ever."""
    opened.store.note("restore", "", {"file": "b\udcff.db", "made_at": 1.5})
    told = json.loads(of_entry(opened.store.last_audit()).json)
    assert told["detail"] == {"file": "b?.db", "made_at": 1.5}
