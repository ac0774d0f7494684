"""From the handshake's secret to a session: OSCORE between a device and its hub.

The device's Sender ID comes out of the secret, so it tells nobody who speaks; the hub's is
empty. A session lives in memory: dropping it drops its keys.
"""

from skerry import schedule, wire
from skerry.oscore import SecurityContext


class Session:
    """One end of a session.

    `oscore`: its security context; `kid`: the device's Sender ID, 3 bytes; `fingerprint`: eight
    hexadecimal digits that both ends show and that reveal nothing.
    """

    def __init__(self, secret: bytes, suite: int, at_hub: bool) -> None:
        """Derive everything from the session secret MS (32 bytes), which is not kept."""
        key, salt, self.kid = schedule.oscore_secrets(secret)
        sender, recipient = (b"", self.kid) if at_hub else (self.kid, b"")
        self.oscore = SecurityContext(key, salt, sender, recipient, None, wire.SUITES[suite][1])
        self.fingerprint = schedule.fingerprint(secret)
