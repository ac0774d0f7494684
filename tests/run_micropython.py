"""Run tests under MicroPython: MICROPYPATH=common micropython tests/run_micropython.py FILE...

Every function test_* of every file runs once, sorted by name. The last line counts them. A first
argument --without=cryptolib hides that module, as if this port lacked it.
"""

import gc
import sys

del sys.path[0]  # this folder, whose folders are no modules of the tests


def run(path):
    """Import one file and run its tests; return how many passed and how many failed."""
    folder, _, name = path.rpartition("/")
    sys.path.insert(0, folder or ".")
    module = __import__(name.rsplit(".", 1)[0])
    passed = failed = 0
    for each in sorted(dir(module)):  # MicroPython's dicts are not ordered
        test = getattr(module, each)
        if not each.startswith("test_") or not callable(test):
            continue
        gc.collect()
        try:
            test()
            passed += 1
        except Exception as error:  # a failed test does not stop the others
            failed += 1
            print(f"FAILED {path} {each}")
            sys.print_exception(error)
    return passed, failed


files = sys.argv[1:]
if files[0].startswith("--without="):
    sys.modules[files.pop(0).partition("=")[2]] = None
counts = [run(path) for path in files]
total_passed = sum([passed for passed, _ in counts])
total_failed = sum([failed for _, failed in counts])
print(f"{total_passed} passed, {total_failed} failed")
sys.exit(1 if total_failed or not total_passed else 0)
