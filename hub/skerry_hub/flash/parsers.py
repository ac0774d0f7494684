"""The commands around boards, for cli.py. What they do is imported when it is asked for."""

import argparse
from collections.abc import Callable
from importlib import import_module

from skerry.wire import SUITES
from skerry_hub.config import Config
from skerry_hub.errors import HubError

Command = Callable[
    [str, Callable[[Config, argparse.Namespace], int], str], argparse.ArgumentParser
]

_OURS = {"mpremote", "serial", "littlefs", "fpdf"}


def _later(module: str) -> Callable[[Config, argparse.Namespace], int]:
    """Return what runs `run` of a module, whose imports an extra of ours brings along."""

    def call(config: Config, args: argparse.Namespace) -> int:
        try:
            loaded = import_module("skerry_hub." + module)
        except ModuleNotFoundError as error:
            if error.name not in _OURS:
                raise
            raise HubError(f"no {error.name} found: pip install 'skerry[flash]'") from None
        status: int = loaded.run(config, args)
        return status

    return call


def add(command: Command) -> None:
    """Add the commands."""
    _flash(command)
    image = command("image", _later("flash.image"), "Make a file system to flash offline.")
    image.add_argument("name", metavar="NAME", help="the device's id; enrolled if it is not")
    image.add_argument("--board", required=True, help="a folder of boards/, such as RPI_PICO")
    image.add_argument("--label", default="", help="a text for people")
    image.add_argument("--address", metavar="HOST:PORT", help="where the device finds the hub")
    image.add_argument("--main", metavar="FILE", help="the board's program, as main.py")
    image.add_argument("-o", "--output", metavar="FILE", help="(NAME.uf2 or NAME.bin)")
    doctor = command("doctor", _later("flash.doctor"), "Tell what is wrong, and what to do.")
    doctor.add_argument("port", nargs="?", metavar="PORT", help="as --port of skerry flash")
    doctor.add_argument("--address", metavar="HOST:PORT", help="where devices find the hub")
    _bulk(command)
    gateway = command("gateway", _later("gateway"), "Carry between serial lines and the hub.")
    gateway.add_argument("port", nargs="+", metavar="PORT", help="a serial port with a board")
    gateway.add_argument("--baud", type=int, default=115200, metavar="N", help="(115200)")
    gateway.add_argument("--address", metavar="HOST:PORT", help="the hub, if not on this machine")


def _flash(command: Command) -> None:
    flash = command("flash", _later("flash.command"), "Make the board on a serial port a device.")
    flash.add_argument("name", nargs="?", help="the device's id (one is made up otherwise)")
    flash.add_argument("--port", metavar="PORT", help="/dev/..., COM3, id:SERIAL or unix:FOLDER")
    flash.add_argument("--label", default="", help="a text for people")
    flash.add_argument("--tag", action="append", default=[], help="a word for people; repeatable")
    flash.add_argument("--address", metavar="HOST:PORT", help="where the device finds the hub")
    flash.add_argument("--suite", type=int, choices=range(len(SUITES)))
    flash.add_argument("--main", metavar="FILE", help="the board's program, copied as main.py")
    flash.add_argument(
        "--replace", metavar="NAME", action="append", default=[],
        help="the device that loses its key, on this board or elsewhere; repeatable",
    )  # fmt: skip
    flash.add_argument("--chip", metavar="ID", help="for a chip that has no id of its own")
    flash.add_argument(
        "--burn", choices=("esp32", "rp2350"), help="tell what hardware could keep; burns nothing"
    )
    flash.add_argument("--dry-run", action="store_true", help="tell what would be done")
    flash.add_argument("--no-restart", action="store_true", help="leave it in its REPL")


def _bulk(command: Command) -> None:
    taken = command("import", _later("bulk.importing"), "Enrol the devices of a table.")
    taken.add_argument("file", metavar="FILE", help="CSV or JSON Lines")
    taken.add_argument("--transport-key", metavar="FILE", help="what wrapped_key is wrapped under")
    taken.add_argument("--dry-run", action="store_true", help="check the file and no more")
    taken.add_argument("--keep-going", action="store_true", help="take the good rows")
    given = command("export", _later("bulk.exporting"), "Write all devices as a table.")
    given.add_argument("-o", "--output", metavar="FILE", help="a new file")
    given.add_argument("--transport-key", metavar="FILE", help="add the keys, wrapped under it")
    label = command("label", _later("bulk.label"), "Print labels, or read one.")
    label.add_argument("name", nargs="*", metavar="NAME")
    label.add_argument("-o", "--output", metavar="FILE", help="labels.pdf, or a .png of one")
    label.add_argument("--read", metavar="TEXT", help="what a label says, scanned or typed")
