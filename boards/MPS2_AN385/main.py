"""Connect over UART 1, post readings, and tell on UART 0 how it went: one JSON object a line.

The options in PSRAM say what to do: {"readings": 2, "interval": 0, "timeout": 8000, "ack": 2000},
or {"cost": {...}} to measure instead (cost.py).
"""

import json
import time

import psram
from uart import Uart

import skerry_device
from skerry_device.links.serial import SerialLink


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
    bundle = json.loads(psram.bundle() or "null")
    link = SerialLink(Uart())
    while True:
        try:
            return skerry_device.connect(
                link=link,
                medium=psram.Slots(),
                bundle=bundle,
                timeout_ms=options.get("timeout", 8000),
                ack_timeout_ms=options.get("ack", 2000),
            )
        except skerry_device.HubSilent as error:
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
