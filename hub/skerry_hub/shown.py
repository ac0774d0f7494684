"""How values are shown to people, the same in every command."""

import time


def moment(at: float) -> str:
    """Return a time in seconds since 1970 as this place's date and time, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
