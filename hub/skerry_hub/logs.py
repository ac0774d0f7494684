"""The hub's log, on standard error: lines for people, or one JSON object a line for programs.

A record that is about a device names it: log.info("...", extra={"device": name}).
"""

import json
import logging
import sys
import time


class _Text(logging.Formatter):
    """2026-01-31 12:00:00,000 INFO kitchen: session 0a1b2c3d in epoch 0.7."""

    def format(self, record: logging.LogRecord) -> str:
        """Put the device, if there is one, in front of the message."""
        device = getattr(record, "device", None)
        record.whose = "" if device is None else f" {device}:"
        return super().format(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return one object on one line."""
        said = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("skerry_hub."),
            "message": record.getMessage(),
        }
        device = getattr(record, "device", None)
        if device is not None:
            said["device"] = device
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said)


def _not_what_was_said(record: logging.LogRecord) -> bool:
    """Leave out what is no HTTP: aiohttp would log it whole, tokens included, for anybody."""
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__module__ != "aiohttp.http_exceptions"


def start(form: str, level: str) -> None:
    """Log from now on in a form, "text" or "json", from a level on."""
    handler = logging.StreamHandler(sys.stderr)
    text = _Text("%(asctime)s %(levelname)s%(whose)s %(message)s")
    handler.setFormatter(_Json() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("coap").setLevel(logging.ERROR)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_not_what_was_said)
