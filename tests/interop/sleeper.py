"""A battery node under MicroPython: one wake of it. Its clock's memory is the file rtc.

micropython -m sleeper HOW TIMEOUT_MS      rtc or flash, and then "crash": it does not sleep
"""

import json
import sys

from skerry_device import keeping
from skerry_device.flash_session import FlashSession
from skerry_device.rtc import RtcMemory
from skerry_device.store import ChainStore, FileSlots


class Clock:
    def memory(self, data=None):
        if data is None:
            try:
                with open("rtc", "rb") as file:
                    return file.read()
            except OSError:
                return b""
        with open("rtc", "wb") as file:
            file.write(data)
        return None


def main(how, timeout_ms, crash=""):
    if how == "rtc":
        memory = RtcMemory(Clock())
    else:
        memory = FlashSession(ChainStore(FileSlots("", "session.")))
    hub = keeping.connect(timeout_ms=int(timeout_ms), ack_timeout_ms=300, memory=memory)
    answer = hub.post("readings", {"c": 21.5})
    print(
        json.dumps(
            {
                "ok": answer.ok,
                "fingerprint": hub.fingerprint,
                "epoch": f"{hub.era}.{hub.step}",
                "sequence": hub.session.oscore.sequence,
                "sent": hub.link.sent,
            }
        )
    )
    if not crash:
        hub.keep(600_000)


main(*sys.argv[1:])
