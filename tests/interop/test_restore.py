"""The backup drill with real processes: back up, go on, lose the database, restore."""

import json
import subprocess
import sys

from desk import DeskDevice
from peer import Peer
from real import finish

from skerry import coap


def test_a_restored_hub_meets_its_devices_and_revives_nothing(hub, tmp_path):
    board = hub.board("d-1")
    finish(hub.power(board))
    stolen, peer = Peer(hub, "stolen"), Peer(hub, "peer")
    stolen.join()
    peer.join()
    file = str(tmp_path / "backup.db")
    assert hub("backup", file)["devices"] == 3

    # Life goes on: other epochs and sessions, a theft, another device.
    for _ in range(3):
        finish(hub.power(board))
    peer.join()
    recorded = [*peer.sent]
    hub("revoke", "stolen")
    hub("enroll", "later")
    before = {row["name"]: row for row in hub("list")}

    assert "a hub runs" in hub("restore", file, ok=False)
    hub.stop()
    check = hub("restore", file, "--check")
    assert (check["revoked"], check["missing"]) == (["stolen"], ["later"])
    assert check["out_of_reach"] == []
    assert check["restored"] is False
    assert {row["name"]: row for row in hub("list")} == before  # it only told
    assert hub("restore", file)["restored"] is True
    restored = {row["name"]: row for row in hub("list")}
    assert restored["stolen"]["state"] == "revoked"
    assert restored["d-1"]["step"] < before["d-1"]["step"]
    hub.start()

    # Whatever was recorded is executed by nobody.
    readings = hub.row("peer")["readings"]
    for request in recorded[1::2]:
        peer.send(request)
        assert peer.silent(0.3) or coap.decode(peer.heard[-1]).code == coap.UNAUTHORIZED
    peer.send(recorded[2])  # a message 1 of an epoch that came after the backup: answered, in vain
    assert coap.decode(peer.receive()).payload != coap.decode(peer.heard[2]).payload
    assert hub.row("peer")["readings"] == readings

    # All meet again within one connect, but for the stolen one.
    assert finish(hub.power(board)) == []
    assert hub.row("d-1")["era"] == 1
    peer.accept([peer.round_trip(peer.attempt(recover=True))])
    assert peer.post().code == coap.CHANGED
    for recover in (False, True):
        stolen.send(stolen.attempt(recover))
        assert stolen.silent(0.5)


def test_a_backup_of_a_busy_hub_is_one_moment(hub, tmp_path):
    """While devices use it, a copy holds as many readings as its rows count."""
    board = hub.board("d-1")
    device = hub.power(board, readings=60, interval=20)
    files = []
    while device.wait(0.05) is None:
        files.append(tmp_path / f"{len(files)}.db")
        hub("backup", str(files[-1]))
    finish(device)
    assert len(files) > 2
    for file in files:
        script = (
            "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
            "print(*db.execute('SELECT readings FROM device').fetchone(),"
            " *db.execute('SELECT count(*) FROM reading').fetchone())"
        )
        done = subprocess.run([sys.executable, "-c", script, file], capture_output=True, text=True)
        counted, there = done.stdout.split()
        assert counted == there


def test_after_sixteen_recoveries_a_device_is_out_of_reach(hub, tmp_path):
    """The list is exact: the device that is named is lost, the one that is not gets back."""
    near, far = (DeskDevice(hub.enroll(name)) for name in ("near", "far"))
    hub("backup", str(tmp_path / "old.db"))
    for device, eras in ((near, 15), (far, 16)):
        for _ in range(eras):
            meet(hub, device, recover=True)
    hub.stop()
    check = hub("restore", str(tmp_path / "old.db"), "--check")
    assert check["out_of_reach"] == ["far"]
    hub("restore", str(tmp_path / "old.db"))
    hub.start()
    assert meet(hub, near, recover=True)
    assert not meet(hub, far, recover=True)
    assert not meet(hub, far, recover=False)


def meet(hub, device, recover):
    """Let a device make a handshake and confirm it; tell whether it was answered."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.connect(hub.address)
        wire.settimeout(1)
        wire.send(device.attempt(recover))
        try:
            device.accept([wire.recv(2048)])
        except TimeoutError:
            return False
        wire.send(device.request())
        assert device.response([wire.recv(2048)]).code == coap.CHANGED
    return True


def test_a_lost_disk(hub, tmp_path):
    """Nothing is left but backup, key and revocation list."""
    stolen, peer = Peer(hub, "stolen"), Peer(hub, "peer")
    stolen.join()
    hub("backup", str(tmp_path / "backup.db"))
    hub("revoke", "stolen")
    done = subprocess.run(hub.command("audit"), capture_output=True, text=True, check=True)
    (tmp_path / "revoked.jsonl").write_text(done.stdout)
    kek = (hub.data / "kek").read_bytes()
    hub.stop()
    for path in sorted(hub.data.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (hub.data / "kek").write_bytes(kek)
    (hub.data / "kek").chmod(0o600)
    arguments = (str(tmp_path / "backup.db"), "--revocations", str(tmp_path / "revoked.jsonl"))
    said = hub("restore", *arguments)
    assert (said["compared"], said["revoked"]) == (False, ["stolen"])
    hub.start()
    peer.join()
    stolen.send(stolen.attempt())
    assert stolen.silent(0.5)
    assert json.loads(subprocess.run(hub.command("audit", "--verify"), capture_output=True,
                                     text=True, check=True).stdout)["entries"] > 3  # fmt: skip
