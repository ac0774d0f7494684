"""What each device of bench/herd.py runs, under MicroPython: post for ever, tell the session."""

import json
import sys
import time

import skerry_device

interval_ms = int(sys.argv[1])
time.sleep(int(sys.argv[2]) / 1000)  # sleep_ms would wake up each half millisecond
hub = None
while True:
    try:
        if hub is None:
            hub = skerry_device.connect(timeout_ms=8000)
        told = hub.post("readings", {"c": 20}).ok and hub.fingerprint
    except skerry_device.HubSilent:
        told = None
    print(json.dumps({"key": told}))
    time.sleep(interval_ms / 1000)
