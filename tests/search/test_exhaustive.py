"""All states of each scene, over the real code. A change that adds or cuts states is noticed."""

import pytest
from search.explore import explore
from search.scenes import SCENES
from search.watch import controlled

STATES = {
    "everything": 52_320,
    "recorded": 16_885,
    "restored": 1_859,
    "flash": 11_181,
    "two hubs": 24_624,
    "copies": 9_703,
}


@pytest.mark.parametrize("scene", SCENES)
def test_every_state(scene):
    with controlled():
        found = explore(SCENES[scene])
    assert found.violation is None, (str(found.violation), found.trace)
    assert found.states == STATES[scene]
