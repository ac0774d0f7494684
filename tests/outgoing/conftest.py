from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from outgoing.broker import MOSQUITTO, MOSQUITTO_SUB
from outgoing.parts import Receiver
from real import Hub


@pytest.fixture(scope="session", autouse=True)
def others() -> None:
    """Without other people's programs this suite says little, so it misses none silently."""
    assert find_spec("standardwebhooks"), "standardwebhooks is missing: make test-outgoing"
    for each in (MOSQUITTO, MOSQUITTO_SUB):
        assert Path(each).exists(), (
            f"{each} is missing: apt-get install mosquitto mosquitto-clients"
        )


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub that does not run yet."""
    made = Hub(tmp_path)
    yield made
    made.stop()
    assert "Traceback" not in (made.log.read_text() if made.log.exists() else "")


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    """Start receivers, with a certificate and its key if they are given."""
    all: list[Receiver] = []

    def start(*certificate: Path) -> Receiver:
        all.append(Receiver(tmp_path / f"receiver {len(all)}", *certificate))
        all[-1].start()
        return all[-1]

    yield start
    for each in all:
        each.kill()


@pytest.fixture
def receiver(receivers: Callable[..., Receiver]) -> Receiver:
    """A receiver that runs."""
    return receivers()
