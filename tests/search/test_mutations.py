"""The search bites: each rule broken on purpose is noticed, and by the right check."""

import pytest
from search.explore import explore
from search.mutations import MUTATIONS
from search.scenes import SCENES
from search.watch import controlled


@pytest.mark.parametrize("name", MUTATIONS)
def test_noticed(name):
    mutation = MUTATIONS[name]
    with controlled(), mutation.applied():
        found = explore(SCENES[mutation.scene])
    assert found.violation is not None
    assert found.violation.rule in mutation.rules.split(), found.violation
