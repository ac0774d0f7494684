"""Connect over UART 1, post readings, and tell on UART 0 how it went: one JSON object a line.

The options in PSRAM say what to do: {"readings": 2, "interval": 0, "timeout": 8000, "ack": 2000},
or {"cost": {...}} to measure instead (cost.py).
"""

import json
import time

import psram
from slip import SlipLink
from uart import Uart

from skerry import schedule
from skerry_device.client import Hub
from skerry_device.entropy import weak
from skerry_device.errors import HubSilent, NotProvisioned
from skerry_device.exchange import Exchange
from skerry_device.store import ChainStore


class BoardHub(Hub):
    """`connect`, with this board's medium and bundle where others have a folder."""

    def __init__(self, link, timeout_ms, ack_timeout_ms) -> None:
        try:
            bundle = json.loads(psram.bundle())
            self.device = bundle["device"]
            self._hub = bundle["hub"]
            self.suite = bundle["suite"]
            self._ctx = schedule.context(self.suite, self.device.encode(), self._hub.encode())
        except (ValueError, LookupError, TypeError):
            raise NotProvisioned("provision this board")
        self._store = ChainStore(psram.Slots())
        self.timeout_ms = timeout_ms
        self.ack_timeout_ms = ack_timeout_ms
        self.link = link
        self.weak = weak()
        self._exchange = Exchange(link, None)
        self._handshake()


def tell(event, hub=None, **more):
    """Print one line."""
    more["event"] = event
    if hub:
        more["epoch"] = "%d.%d" % (hub.era, hub.step)
        more["fingerprint"] = hub.fingerprint
        more["sent"] = hub.link.sent
        more["received"] = hub.link.received
    print(json.dumps(more))


def connect(options):
    """Connect, however long it takes; say what failed before each new try."""
    link = SlipLink(Uart())
    while True:
        try:
            return BoardHub(link, options.get("timeout", 8000), options.get("ack", 2000))
        except HubSilent as error:
            tell("error", error=str(error))


def run(options):
    """Post readings."""
    tell("start")
    hub = connect(options)
    tell("session", hub)
    for number in range(options.get("readings", 2)):
        answer = hub.post("readings", {"n": number, "c": 20 + number % 5})
        if not answer.ok:
            tell("error", hub, error="hub answered %d" % answer.code)
        tell("reading", hub, n=number)
        time.sleep_ms(options.get("interval", 0))
    tell("done", hub)


given = json.loads(psram.options() or "{}")
if "cost" in given:
    import cost

    cost.run(given["cost"])
else:
    run(given)
