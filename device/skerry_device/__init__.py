"""Skerry on a MicroPython board: a forward-secret session with a hub.

`connect` takes the bundle that the hub made for this board and returns a Hub (client.py); the
errors are in errors.py.
"""

from skerry_device.client import connect
from skerry_device.errors import *  # noqa: F403 - names cost flash

# ruff: noqa: F401
