"""What the exhaustive search goes through: each scene has its bounds, and nothing else."""

from search.explore import Bounds

_TALK = {"attempt": 3, "recover": 2, "request": 2, "deliver": 9, "hear": 9}
_FLASH = {"cut": 1, "cut_load": 1, "reboot": 1, "rollback": 1}
_HUB = {"restart": 1, "die": 1, "fail": 1, "restore": 1}
_SLOW = {"look_up": 1, "go_on": 1}

SCENES = {
    # Everything that can happen to one device and one hub, from the start.
    "everything": Bounds(6, {**_TALK, "session": 2, **_FLASH, **_HUB}, faults=2),
    # After a session: what its recorded messages can still do to ends that lost something.
    "recorded": Bounds(
        7, {"attempt": 1, "recover": 1, "request": 1, "deliver": 4, "hear": 2, "rollback": 1,
            "restart": 1, "restore": 2}, faults=2, first=(("session", 0, 0),),
    ),
    # A second session under way, and the database goes back under the running hub.
    "restored": Bounds(
        5, {"deliver": 4, "restore": 2, "attempt": 1, "hear": 1},
        first=(("session", 0, 0), ("attempt", 0), ("deliver", 0, "1 0.1:0"),
               ("hear", 0, "2 0.1:0/1/"), ("request", 0)),
    ),
    # Flash that is cut, torn and put back, over three handshakes.
    "flash": Bounds(
        7, {"attempt": 3, "recover": 1, "deliver": 3, "hear": 3, "session": 2, "cut": 2,
            "cut_load": 1, "rollback": 1}, faults=3,
    ),
    # Two processes share the database; one may be slow, die, or be restarted.
    "two hubs": Bounds(
        5, {**_TALK, **_SLOW, "session": 1, "restart": 1, "die": 1, "restore": 1}, faults=2, runs=2
    ),
    # Two boards from one image.
    "copies": Bounds(
        5, {"attempt": 3, "recover": 2, "request": 2, "deliver": 4, "hear": 4, "session": 2,
            "restart": 1, "restore": 1}, faults=1, first=(("clone", 0),),
    ),
}  # fmt: skip
