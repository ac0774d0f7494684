"""From the handshake's secret to a session: the device's end; the hub's is in responder.py.

The device's Sender ID comes out of the secret, so it tells nobody who speaks; the hub's is
empty. A session lives in memory: dropping it drops its keys.
"""

from skerry import schedule, wire
from skerry.oscore import SecurityContext


class Session:
    """The device's end: `oscore`, its security context, and `fingerprint` for people.

    `secret`, MS, is kept for what is exported from it; all else follows from it too.
    """

    def __init__(self, secret: bytes, suite: int) -> None:
        """Derive everything from the session secret MS (32 bytes)."""
        self.secret = secret
        key, salt, kid = schedule.oscore_secrets(secret)
        self.oscore = SecurityContext(key, salt, kid, b"", None, wire.SUITES[suite][1])
        self.fingerprint = schedule.fingerprint(secret)
