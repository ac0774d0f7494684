"""A battery node: wakes up, posts, asks what to do, sleeps; whatever happens, it sleeps.

The session waits in memory that outlives deep sleep, so a wake costs two round trips and no
flash. A board without such memory makes a handshake each time.
"""

import machine

from skerry_device import keeping
from skerry_device.errors import DeviceError

SLEEP_MS = 600_000

try:
    hub = keeping.connect(timeout_ms=5000)
    hub.post("readings", {"c": 21.5})
    led = hub.get("config/led")
    print("posted", hub.fingerprint, "led", led.text() if led.ok else "as it was")
    hub.keep(SLEEP_MS)
except DeviceError as error:
    print(error)
finally:
    machine.deepsleep(SLEEP_MS)
