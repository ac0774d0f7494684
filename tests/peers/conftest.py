from collections.abc import Iterator

import pytest
from peers.parts import LIBCOAP, PLUGTEST
from real import Hub


@pytest.fixture(scope="session", autouse=True)
def peers() -> None:
    """Without its peers this suite says nothing, so it does not pass over what is missing."""
    for each in (LIBCOAP, PLUGTEST):
        assert each.exists(), f"{each} is missing: make test-peers"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub that runs, one for all tests of a file: each enrols a device of its own."""
    made = Hub(tmp_path_factory.mktemp("hub"))
    made.start()
    yield made
    made.stop()
    assert "Traceback" not in made.log.read_text()
