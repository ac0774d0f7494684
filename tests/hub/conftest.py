from collections.abc import Iterator

import pytest
from desk import made

from skerry_hub import enrolment


@pytest.fixture
def opened(tmp_path) -> Iterator[enrolment.Hub]:
    """A new hub, opened."""
    with enrolment.opened(made(tmp_path)) as hub:
        yield hub
