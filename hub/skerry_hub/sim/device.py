"""What an emulated device runs, under MicroPython: connect, post readings, tell how it went.

    micropython device.py READINGS INTERVAL_MS [TIMEOUT_MS [ACK_TIMEOUT_MS]]

Prints one JSON object a line: {"event": "session" | "reading" | "error" | "done", ...}.
"""

import json
import sys
import time

import skerry_device


def tell(event, hub=None, **more):
    """Print one line about the session."""
    more["event"] = event
    if hub:
        more["epoch"] = "%d.%d" % (hub.era, hub.step)
        more["fingerprint"] = hub.fingerprint
        more["sent"] = hub.link.sent
        more["received"] = hub.link.received
    print(json.dumps(more))


def connect(timeout_ms=8000, ack_timeout_ms=2000):
    """Connect, however long it takes; say what failed before each new try."""
    while True:
        try:
            return skerry_device.connect(timeout_ms=timeout_ms, ack_timeout_ms=ack_timeout_ms)
        except skerry_device.HubSilent as error:
            tell("error", error=str(error))


def main(readings, interval_ms, *timeouts):
    """Post the given number of readings."""
    hub = connect(*timeouts)
    tell("session", hub)
    for number in range(readings):
        answer = hub.post("readings", {"n": number, "c": 20 + number % 5})
        if not answer.ok:
            tell("error", hub, error="hub answered %d" % answer.code)
        tell("reading", hub, n=number)
        time.sleep(interval_ms / 1000)  # sleep_ms would wake up each half millisecond
    tell("done", hub)
    hub.close()


main(*[int(each) for each in sys.argv[1:]])
