"""Who may talk to whom, by tags: skerry policy.

A rule has two tags, a line each: `sensor -> display`. `*` is every device, `app` on the left what
`skerry run --app` adds. Without any rule everybody may talk to everybody; with rules, only as they
say. The operator's own skerry request and skerry poke are not asked.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from skerry_hub.errors import ConfigError, NotAllowed
from skerry_hub.store import Store, named

APP = "app"
_KEY = "policy"  # a value of the hub itself
_RULE = re.compile(r"(\S+)\s*->\s*(\S+)")


@dataclass(frozen=True)
class Rule:
    """Devices with the tag `source` may send requests to those with the tag `target`."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}"


def parse(text: str) -> list[Rule]:
    """Read rules, a line each; `#` begins a comment. Raises ConfigError with the line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        match = _RULE.fullmatch(said)
        if match is not None:
            found.append(Rule(match[1], match[2]))
        elif said:
            raise ConfigError(f"policy line {number}: write TAG -> TAG")
    return found


def rules(store: Store) -> list[Rule]:
    """Return the rules in force."""
    return [Rule(*each) for each in json.loads(store.get(_KEY) or b"[]")]


def put(store: Store, made: Collection[Rule]) -> None:
    """Set all rules, in the audit log too."""
    value = json.dumps([[each.source, each.target] for each in made]).encode()
    said = {"before": [*map(str, rules(store))], "after": [*map(str, made)]}
    store.put(_KEY, value, "policy", said)


def check(store: Store, sources: Collection[str], name: str) -> None:
    """Raise NotAllowed unless somebody with these tags may talk to a device; or UnknownDevice."""
    made = rules(store)
    targets = {"*", *named(store, name).tags.split()}
    if made and not any(
        each.source in ("*", *sources) and each.target in targets for each in made
    ):
        raise NotAllowed(f"{name}: no rule lets {' '.join(sources) or 'it'} talk to it")


def check_devices(store: Store, source: str, target: str) -> None:
    """Raise NotAllowed unless one device may talk to another; or UnknownDevice."""
    check(store, named(store, source).tags.split(), target)
