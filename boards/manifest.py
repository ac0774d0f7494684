# What every board freezes: the protocol core and the device's side, without asserts.
# The link is "udp", for a firmware with sockets, or "serial".

from os import listdir

NOT_ON_BOARDS = ("backend_cpython.py", "provisioning.py", "responder.py", "wire_hub.py")


def modules(folder):
    """Return a folder's modules, sorted: an image must not depend on a file system's order."""
    found = [name for name in listdir(folder) if name.endswith(".py")]
    return sorted([name for name in found if name not in NOT_ON_BOARDS])


package("skerry", modules("../common/skerry"), base_path="../common", opt=3)
package("skerry_device", modules("../device/skerry_device"), base_path="../device", opt=3)
package("skerry_device", ("links/__init__.py",), base_path="../device", opt=3)
package("skerry_device", ("links/%s.py" % options.link,), base_path="../device", opt=3)
