"""Fuzz one target: python tests/fuzz/run.py TARGET [libFuzzer's options].

The corpus is kept in build/fuzz/TARGET, or in the folder named in SKERRY_CORPUS. A crash is
written into it as crash-*; `run.py TARGET build/fuzz/TARGET/crash-...` shows it again.
"""

import importlib
import logging
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
for below in ("tests/device", "tests/hub", "tests", "hub", "device", "common"):
    sys.path.insert(0, str(ROOT / below))

from fuzz import corpus  # noqa: E402 - found by the path above


def main(arguments):
    import atheris

    if not arguments or arguments[0] not in corpus.TARGETS:
        sys.exit(f"{__doc__}\ntargets: {', '.join(corpus.TARGETS)}")
    name, options = arguments[0], arguments[1:]
    folder = Path(os.environ.get("SKERRY_CORPUS") or ROOT / "build" / "fuzz" / name)
    corpus.write(folder, name)
    with atheris.instrument_imports(include=["skerry", "skerry_hub", "skerry_device"]):
        target = importlib.import_module(f"fuzz.targets.{name}")
    again = [each for each in options if not each.startswith("-")]
    command = [__file__, f"-artifact_prefix={folder}/", "-max_len=1500", *options]
    if not again:
        command.append(str(folder))
    logging.disable(logging.WARNING)  # the targets look at errors
    mutator = getattr(target, "mutate", None)
    atheris.Setup(command, target.check, custom_mutator=mutator)
    atheris.Fuzz()


main(sys.argv[1:])
