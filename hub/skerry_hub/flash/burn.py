"""skerry flash --burn CHIP: what would be burned into a chip for good. Untested on hardware.

It prints a map, and behind a typed phrase the commands of the chip's own tool. It runs none of
them: nobody has tried them on a board, and none can be taken back.
"""

import json
import sys

from skerry_hub.config import Config
from skerry_hub.errors import HubError

_WARNING = (
    "UNTESTED ON HARDWARE. What is burned stays burned: try it on a board that you can lose."
)

# Per family: (what, where, effect) of all that is burned, and then the commands.
_PLANS: dict[str, tuple[list[tuple[str, str, str]], list[str]]] = {
    "esp32": (
        [
            ("256-bit key", "eFuse BLOCK_KEY0", "only the HMAC peripheral reads it"),
            ("purpose HMAC_UP", "eFuse KEY_PURPOSE_0", "the key serves HMAC towards software"),
            ("read and write protection", "eFuse RD_DIS, WR_DIS", "nobody reads or changes it"),
        ],
        [
            "(umask 077; head -c 32 /dev/urandom > hmac.bin)",
            "espefuse.py --port PORT burn_key BLOCK_KEY0 hmac.bin HMAC_UP",
            "shred -u hmac.bin",
        ],
    ),
    "rp2350": (
        [
            (
                "256-bit key",
                "OTP page 56, 16 rows with ECC",
                "the key that wraps what is in flash",
            ),
            ("page lock", "OTP PAGE56_LOCK1", "secure code alone reads the page"),
        ],
        [
            "picotool otp load -e -s 0xe00 key.bin",
            "picotool otp permissions permissions.json",
        ],
    ),
}
FAMILIES = tuple(_PLANS)


def run(config: Config, family: str) -> int:
    """Print the plan; the commands only to somebody who types the phrase."""
    burned, commands = _PLANS[family]
    if config.json:
        print(json.dumps({"family": family, "tested": False, "burned": burned, "done": False}))
        return 0
    print(_WARNING)
    for what, where, effect in burned:
        print(f"  {what:26} {where:30} {effect}")
    print("Skerry keeps its record in files and uses none of this yet: docs/flashing.md says why.")
    if not sys.stdin.isatty():
        return 0
    phrase = f"burn {family} for ever"
    if input(f"To see the commands, type {phrase!r}: ") != phrase:
        raise HubError("not what was asked for: nothing is shown, and nothing was burned")
    print(*commands, sep="\n")
    return 0
