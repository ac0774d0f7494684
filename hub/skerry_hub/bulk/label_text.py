"""What the QR code of a label says: who a device is and where it belongs. No key is in it.

    SK1:D-7K3MQX29V:H-PB42TR6KW:8A17C0D4J       SK1, id, hub, fingerprint

Each of the three ends in a check character over itself and its place, so that a reader can say
which one is wrong. People may type it: in lower case, with spaces, with any kind of dash.

Check character: the places of the characters in _ALPHABET, each times a power of two, modulo 41.
41 is a prime, so one wrong character is always found, and so are two neighbours that changed
places.
"""

import re
import unicodedata
from dataclasses import dataclass

from skerry_hub.errors import HubError

_VERSION = "SK1"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-._*+"
_MODULUS = len(_ALPHABET)  # 41
_PARTS = ("id", "hub", "fingerprint")
_FINGERPRINT = re.compile(r"[0-9A-F]{8}")
_NAME = re.compile(r"[0-9A-Z][0-9A-Z._-]{0,62}")


@dataclass(frozen=True)
class LabelText:
    """What a label tells."""

    id: str
    hub: str
    fingerprint: str

    def __str__(self) -> str:
        parts = [getattr(self, each).upper() for each in _PARTS]
        checked = [part + _check(at, part) for at, part in enumerate(parts)]
        return ":".join([_VERSION, *checked])


def _check(place: int, part: str) -> str:
    total = place + 1
    for character in part:
        total = (total * 2 + _ALPHABET.index(character)) % _MODULUS
    return _ALPHABET[total * 2 % _MODULUS]


def parse(text: str) -> LabelText:
    """Read what was scanned or typed; raise HubError, which names the part that is wrong."""
    plain = "".join("-" if unicodedata.category(each) == "Pd" else each for each in text)
    version, *parts = "".join(plain.split()).upper().split(":")
    if version != _VERSION:
        raise HubError(f"this is no label of ours: it begins with {_VERSION}:")
    if len(parts) != len(_PARTS):
        raise HubError(
            f"a label has {len(_PARTS)} parts behind {_VERSION}, this {len(parts)}:"
            f" {', '.join(_PARTS)}"
        )
    found = {}
    for place, (name, part) in enumerate(zip(_PARTS, parts, strict=True)):
        form = _FINGERPRINT if name == "fingerprint" else _NAME
        said, check = part[:-1], part[-1:]
        if not form.fullmatch(said):
            raise HubError(f"the {name} is wrong: {part or 'nothing'} is not of its form")
        if _check(place, said) != check:
            raise HubError(f"the {name} is wrong: {part} was misread or mistyped")
        found[name] = said.lower()
    return LabelText(**found)
