"""What a service manager wants to hear, if one started us: sd_notify(3), a datagram of text."""

import os
import socket


def tell(state: str) -> None:
    """Tell the service manager a state, such as READY=1; nothing happens if there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        try:
            told.connect("\0" + address[1:] if address.startswith("@") else address)
            told.send(state.encode())
        except OSError:  # it went away: no reason to stop serving devices
            pass


def watchdog_s() -> float | None:
    """Return how often WATCHDOG=1 is due, in seconds; half of what the manager waits for."""
    said = os.environ.get("WATCHDOG_USEC", "")
    return int(said) / 2e6 if said.isdigit() and int(said) else None
