"""Keys are exchanged again and again under a running hub that is busy: nobody notices."""

import threading

from desk import enrolled
from real import Hub
from test_kill import DEVICES, Storm, check

from skerry_hub import enrolment
from skerry_hub.config import Config


def test_rotation_under_a_busy_hub(tmp_path):
    hub = Hub(tmp_path)
    config = Config.of(data=str(hub.data), environ={})
    with enrolment.opened(config) as opened:
        storm = Storm([enrolled(opened, f"d-{i}") for i in range(DEVICES)])
    hub.start()
    done = []

    def rotate():
        for _ in range(3):
            done.append(hub("rotate-key"))

    rotating = threading.Thread(target=rotate)
    rotating.start()
    while rotating.is_alive():
        storm.rage(hub.address[1], 0.5)
    before = len(storm.secrets)
    storm.rage(hub.address[1], 2.0)
    hub.stop()
    assert [each["finished"] for each in done] == [True] * 3
    assert len(storm.answered) > 100
    assert len(storm.secrets) >= before + DEVICES
    assert all(device.chain.era == 0 for device in storm.devices)  # none had to recover
    check(config, storm)
    log = hub.log.read_text()
    assert "ERROR" not in log
    assert "recovered" not in log
    with enrolment.opened(config) as opened:
        assert opened.vault.numbers == {3}
        assert all(opened.store.keys(f"d-{i}").chain[0] == 3 for i in range(DEVICES))
