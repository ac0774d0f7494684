"""skerry image NAME: a file system with library, key and program inside, to be flashed offline.

The file holds the device's key: it is its owner's alone, and is to be deleted once it was flashed.
Where a board's file system lies is in boards/*/board.json.
"""

import argparse
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

from littlefs import LittleFS, UserContext

from skerry.chain import Chain
from skerry_hub import bundles, enrolment
from skerry_hub.config import Config
from skerry_hub.errors import HubError, UnknownDevice
from skerry_hub.flash.command import read_program
from skerry_hub.flash.compile import compiled
from skerry_hub.store import Device, named

_DISK_VERSION = 0x00020000  # what every MicroPython with littlefs 2 mounts
_UF2_START, _UF2_SECOND, _UF2_END, _UF2_FAMILY = 0x0A324655, 0x9E5D5157, 0x0AB16F30, 0x2000
_UF2_PAYLOAD = 256
_ERASED = b"\xff"


def run(config: Config, args: argparse.Namespace) -> int:
    """Write an image; the device is enrolled if it is not."""
    layout = _layout(args.board)
    path = Path(args.output or f"{args.name}.{layout['format']}")
    with enrolment.opened(config) as hub:
        device = _device(hub, args)
        stored = hub.store.keys(device.name)
        assert stored is not None  # noqa: S101 - for the type checker; it was there just now
        chain = Chain.unpack(hub.vault.open(b"chain", device.name.encode(), stored.chain))
        bundle = bundles.Bundle(
            device.name, hub.id, config.advertised, device.suite, device.fingerprint
        )
        files = dict(bundles.files(bundle, chain))
    files |= {f"lib/{name}": content for name, content in compiled().items()}
    if args.main:
        files["main.py"] = read_program(args.main)
    content = pack(files, layout)
    _write(path, to_uf2(content, layout) if layout["format"] == "uf2" else content)
    said = {"name": device.name, "fingerprint": device.fingerprint, "image": str(path)}
    said["command"] = layout["command"].format(image=path, offset=f"{layout['offset']:#x}")
    if config.json:
        print(json.dumps(said))
    else:
        for key, value in said.items():
            print(f"{key:12} {value}")
        print("It holds the device's key: delete it once the board has it.")
    return 0


def _device(hub: enrolment.Hub, args: argparse.Namespace) -> Device:
    """Return a device that no board is yet; raise HubError if it is in use."""
    try:
        device = named(hub.store, args.name)
    except UnknownDevice:
        name = enrolment.device_id(args.name)
        enrolment.check_label(args.label)
        key = enrolment.new_master_key()
        made, chain = enrolment.new_device(hub, name, key, label=args.label)
        hub.store.enroll(made, enrolment.coming(chain))
        return named(hub.store, name)
    unused = device.seen_at is None and (device.era, device.step) == (0, 0)
    if device.state != "active" or device.chip is not None or not unused:
        raise HubError(f"{device.name} is in use: enrol another id for another board")
    return device


def folders() -> list[Path]:
    """Return where boards/*/board.json may be: beside the sources, or installed."""
    return [Path(__file__).parents[3] / "boards", Path(sys.prefix) / "share" / "skerry" / "boards"]


def _layout(board: str) -> dict[str, Any]:
    """Return where and how a board keeps its files; raise HubError."""
    known = {}
    for folder in reversed(folders()):
        for file in folder.glob("*/board.json"):
            known[file.parent.name] = file
    if board not in known:
        raise HubError(f"no board {board!r}: choose from {', '.join(sorted(known))}")
    told = json.loads(known[board].read_text()).get("image")
    if told is None:
        raise HubError(f"{board} has no file system to make an image of")
    layout: dict[str, Any] = told
    return layout


def pack(files: dict[str, bytes], layout: dict[str, Any]) -> bytes:
    """Return a littlefs image with these files, without the erased blocks at its end.

    littlefs spreads files over the whole of it; what lies between is erased flash.
    """
    size, block = layout["size"], layout["block"]
    context = UserContext(size)
    program = layout["prog"]
    fs = LittleFS(
        context=context, block_size=block, block_count=size // block, prog_size=program,
        read_size=program, cache_size=max(program, 256), lookahead_size=32,
        disk_version=_DISK_VERSION,
    )  # fmt: skip
    for name, content in files.items():
        folder = name.rpartition("/")[0]
        if folder:
            fs.makedirs(folder, exist_ok=True)
        with fs.open(name, "wb") as file:
            file.write(content)
    fs.unmount()
    image: bytes = bytes(context.buffer).rstrip(_ERASED)
    return bytes(image + _ERASED * (-len(image) % block))


def to_uf2(image: bytes, layout: dict[str, Any]) -> bytes:
    """Return an image as UF2, without its erased blocks."""
    block = layout["block"]
    start, family = int(layout["base"]) + int(layout["offset"]), int(layout["family"], 16)
    parts = []
    for at in range(0, len(image), block):
        whole = image[at : at + block]
        if whole.strip(_ERASED):
            parts += [
                (start + at + offset, whole[offset : offset + _UF2_PAYLOAD])
                for offset in range(0, block, _UF2_PAYLOAD)
            ]
    out = []
    for number, (address, payload) in enumerate(parts):
        head = struct.pack(
            "<8I", _UF2_START, _UF2_SECOND, _UF2_FAMILY, address, len(payload), number, len(parts),
            family,
        )  # fmt: skip
        out.append(head + payload.ljust(476, b"\0") + struct.pack("<I", _UF2_END))
    return b"".join(out)


def _write(path: Path, content: bytes) -> None:
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise HubError(f"{path} is there already: delete it, or choose another -o") from None
    with open(file, "wb") as opened:
        opened.write(content)
