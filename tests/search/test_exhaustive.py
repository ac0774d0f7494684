"""All states of each scene, over the real code. A change that adds or cuts states is noticed."""

import pytest
from search.explore import explore
from search.scenes import SCENES
from search.watch import controlled

STATES = {
    "everything": 42_829,
    "recorded": 10_303,
    "restored": 938,
    "flash": 8_440,
    "two hubs": 19_796,
    "copies": 8_675,
}


@pytest.mark.parametrize("scene", SCENES)
def test_every_state(scene):
    with controlled():
        found = explore(SCENES[scene])
    assert found.violation is None, (str(found.violation), found.trace)
    assert found.states == STATES[scene]
