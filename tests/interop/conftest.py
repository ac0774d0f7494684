from collections.abc import Iterator
from pathlib import Path

import pytest
from real import Hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub that runs."""
    made = Hub(tmp_path)
    made.start()
    yield made
    made.stop()
    assert "Traceback" not in made.log.read_text()
