# What every board freezes: the protocol core and the device's side, without asserts.
# The link is "udp", for a firmware with sockets, or "serial". With named=True the firmware says
# which library it has, so that skerry flash knows whether to bring a newer one.

import atexit
import hashlib
import os
import shutil
import tempfile

options.defaults(link="udp", named=False)

NOT_ON_BOARDS = ("backend_cpython.py", "provisioning.py", "responder.py", "wire_hub.py")
PACKAGES = (("skerry", "../common"), ("skerry_device", "../device"))


def modules(folder):
    """Return a folder's modules, sorted: an image must not depend on a file system's order."""
    found = [name for name in os.listdir(folder) if name.endswith(".py")]
    return sorted([name for name in found if name not in NOT_ON_BOARDS])


def digest():
    """Return the name of this library, as hub/skerry_hub/flash/compile.py has it."""
    files = {}
    for name, base in PACKAGES:
        for folder, _, _ in os.walk(base + "/" + name):
            for each in modules(folder):
                files[os.path.relpath(folder + "/" + each, base)] = folder + "/" + each
    whole = hashlib.sha256()
    for name in sorted(files):
        with open(files[name], "rb") as file:
            whole.update(name.encode() + b"\0" + hashlib.sha256(file.read()).digest())
    return whole.hexdigest()[:16]


for name, base in PACKAGES:
    package(name, modules(base + "/" + name), base_path=base, opt=3)
for file in ("links/__init__.py", "links/%s.py" % options.link):
    package("skerry_device", (file,), base_path="../device", opt=3)
if options.named:
    made = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, made)
    with open(made + "/skerry_library.py", "w") as file:
        file.write("DIGEST = %r\n" % digest())
    module("skerry_library.py", base_path=made, opt=3)
