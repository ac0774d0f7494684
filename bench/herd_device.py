"""What each device of bench/herd.py runs, under MicroPython: post for ever, tell the session."""

import json
import sys
import time

import skerry_device

interval_ms = int(sys.argv[1])
time.sleep_ms(int(sys.argv[2]))
hub = None
while True:
    try:
        if hub is None:
            hub = skerry_device.connect(timeout_ms=8000)
        told = hub.post("readings", {"c": 20}).ok and hub.fingerprint
    except skerry_device.HubSilent:
        told = None
    print(json.dumps({"key": told}))
    time.sleep_ms(interval_ms)
