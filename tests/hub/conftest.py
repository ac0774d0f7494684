from collections.abc import Iterator
from pathlib import Path

import pytest
from desk import enrolled, made

from skerry_hub import enrolment
from skerry_hub.backup import backup
from skerry_hub.config import Config


@pytest.fixture
def opened(tmp_path) -> Iterator[enrolment.Hub]:
    """A new hub, opened."""
    with enrolment.opened(made(tmp_path)) as hub:
        yield hub


@pytest.fixture
def config(tmp_path) -> Config:
    """A hub's, with two devices."""
    config = made(tmp_path)
    with enrolment.opened(config) as hub:
        enrolled(hub, "lamp")
        enrolled(hub, "door")
    return config


@pytest.fixture
def file(config, tmp_path) -> Path:
    """A backup of it."""
    file = tmp_path / "backup.db"
    with enrolment.opened(config) as hub:
        backup(hub.store, file)
    return file
