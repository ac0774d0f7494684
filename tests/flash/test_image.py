"""Images that were made offline boot, and their devices connect; the mip index installs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import MAIN, files_of

from skerry_hub.flash import mip
from skerry_hub.flash.compile import compiled
from skerry_hub.flash.image import pack, to_uf2

ROOT = Path(__file__).parents[2]
BOARDS = sorted(path.parent.name for path in (ROOT / "boards").glob("*/board.json"))


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(MAIN)
    return str(path)


def image(hub, *arguments, ok=True):
    host, port = hub.address
    return hub("image", *arguments, "--address", f"{host}:{port}", ok=ok)


def test_an_image_boots_and_its_device_connects(hub, bench, program, tmp_path):
    path = tmp_path / "kitchen.bin"
    said = image(hub, "kitchen", "--board", "unix", "--main", program, "-o", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    (bench.folder / "a").mkdir(parents=True)
    content = path.read_bytes()
    (bench.folder / "a" / "flash").write_bytes(content + b"\xff" * ((1 << 20) - len(content)))
    board = bench.board("a")
    row = hub.until("kitchen", readings=1)
    assert row["fingerprint"] == said["fingerprint"]
    told = hub.flash("--port", board.port)  # its chip is known from here on
    assert (told["action"], told["copied"], told["chip"]) == ("adopt", 0, board.chip)
    assert "in use" in image(
        hub, "kitchen", "--board", "unix", "-o", str(tmp_path / "x"), ok=False
    )


def test_an_image_is_not_overwritten_and_can_be_made_again(hub, tmp_path):
    path = str(tmp_path / "a.bin")
    first = image(hub, "kitchen", "--board", "unix", "-o", path)
    assert "there already" in image(hub, "kitchen", "--board", "unix", "-o", path, ok=False)
    again = image(hub, "kitchen", "--board", "unix", "-o", path + "2")
    assert first["fingerprint"] == again["fingerprint"]
    assert "choose from" in image(hub, "hall", "--board", "TOASTER", ok=False)
    assert "no file system" in image(hub, "hall", "--board", "MPS2_AN385", ok=False)
    assert [row["name"] for row in hub("list")] == ["kitchen"]


@pytest.mark.parametrize("board", [each for each in BOARDS if each != "MPS2_AN385"])
def test_the_library_fits_every_board(board, tmp_path):
    layout = json.loads((ROOT / "boards" / board / "board.json").read_text())["image"]
    files = {f"lib/{name}": content for name, content in compiled().items()}
    made = pack({**files, "main.py": b"pass\n"}, layout)
    blocks = [made[at : at + 4096] for at in range(0, len(made), 4096)]
    assert sum(any(each.strip(b"\xff")) for each in blocks) * 4096 < layout["size"] // 2
    padded = tmp_path / "padded"
    padded.write_bytes(made + b"\xff" * (layout["size"] - len(made)))
    assert files_of(padded) == {"/" + name: content for name, content in files.items()} | {
        "/main.py": b"pass\n"
    }


def test_uf2_is_what_the_pico_reads():
    """Taken apart as the UF2 specification has it: blocks in order, sectors whole, nothing lost."""
    layout = json.loads((ROOT / "boards" / "RPI_PICO" / "board.json").read_text())["image"]
    made = pack({"main.py": os.urandom(5000)}, layout)
    uf2 = to_uf2(made, layout)
    memory = bytearray(b"\xff" * len(made))
    count = len(uf2) // 512
    for number in range(count):
        block = uf2[512 * number : 512 * (number + 1)]
        words = [int.from_bytes(block[at : at + 4], "little") for at in range(0, 32, 4)]
        assert words[:3] == [0x0A324655, 0x9E5D5157, 0x2000]
        assert words[4:] == [256, number, count, 0xE48BFF56]
        assert block[-4:] == (0x0AB16F30).to_bytes(4, "little")
        at = words[3] - 0x100A0000
        memory[at : at + 256] = block[32:288]
    assert memory == made
    assert count % 16 == 0


def test_mip_installs_what_skerry_flash_would_copy(hub, bench, tmp_path):
    mip.build(tmp_path / "index")
    board = bench.board("a")
    command = [Path(sys.executable).with_name("mpremote"), "connect", board.port]
    command += ["mip", "install", "--index", str(tmp_path / "index"), "skerry"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "Installing: /lib/skerry/chain.mpy" in done.stdout
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "Installing" not in done.stdout.replace("Installing skerry", "")
    bench.restart("a")
    assert hub.flash("kitchen", "--port", bench.on["a"].port)["copied"] == 0
