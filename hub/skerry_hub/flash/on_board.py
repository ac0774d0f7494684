"""What runs on a board while it is being flashed: sent to its raw REPL, kept in its RAM.

Each function prints one line of JSON. No key is ever among what they print.
"""

import json
import os
import sys

PACKAGES = ("skerry", "skerry_device")
NEEDED = ("hashlib", "json", "os", "struct", "time", "cryptolib", "socket", "machine", "network")


def tell(**said):
    """Print one line."""
    print(json.dumps(said))


def tell_board():
    """Tell what the firmware is, what it lacks, and which chip it runs on."""
    made = sys.implementation
    missing = []
    for name in NEEDED:
        try:
            __import__(name)
        except ImportError:
            missing.append(name)
    try:
        from machine import unique_id

        chip = unique_id().hex()
    except (ImportError, AttributeError):
        chip = ""
    tell(
        version=made.version[:3],
        mpy=getattr(made, "_mpy", getattr(made, "mpy", 0)),
        machine=getattr(made, "_machine", sys.platform),
        board=getattr(made, "_build", ""),
        chip=chip,
        missing=missing,
    )


def tell_identity():
    """Tell who this board is, if it was provisioned, and whether it has a program."""
    try:
        with open("skerry.json") as file:
            said = json.load(file)
        names = [str(said[key]) for key in ("device", "hub")]
    except (OSError, ValueError, LookupError, TypeError):
        names = None
    tell(identity=names, main=exists("main.py"))


def exists(path):
    """Tell whether a file or folder is there."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def tell_library():
    """Tell where the library is imported from: "/lib", "" for the root, or "firmware"."""
    try:
        import skerry

        place = skerry.__path__[: -len("/skerry")]  # which is there even if no file is, yet
        if place == ".frozen" or (not place and not exists("skerry")):
            place = "firmware"
    except ImportError:
        place = "/lib"
    try:
        from skerry_library import DIGEST as digest
    except ImportError:
        digest = None
    tell(place=place, digest=digest)


def tell_hashes(root):
    """Tell the SHA-256 of each file of the library below a folder."""
    from hashlib import sha256

    found = {}
    folders = [root + "/" + each for each in PACKAGES]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.ilistdir(folder))
        except OSError:
            continue
        for entry in entries:
            path = folder + "/" + entry[0]
            if entry[1] & 0x4000:
                folders.append(path)
                continue
            whole = sha256()
            with open(path, "rb") as file:
                while part := file.read(512):
                    whole.update(part)
            found[path] = whole.digest().hex()
    tell(hashes=found)


def put(path):
    """Put what was written to path.new in its place, and make the folders above before that."""
    try:
        os.rename(path + ".new", path)
    except OSError:  # a file system that does not rename over a file
        os.remove(path)
        os.rename(path + ".new", path)
    if hasattr(os, "sync"):
        os.sync()


def folders(path):
    """Make the folders above a path."""
    at = path.find("/", 1)
    while at > 0:
        if not exists(path[:at]):
            os.mkdir(path[:at])
        at = path.find("/", at + 1)


def remove(path):
    """Remove a file, if it is there."""
    if exists(path):
        os.remove(path)


def wipe(path):
    """Overwrite a file with zeros, as far as the file system does that in place; remove it."""
    if exists(path):
        with open(path, "r+b") as file:
            file.write(bytes(os.stat(path)[6]))
        os.remove(path)


def forget_library():
    """Drop what was imported of the library, so that what was copied now counts."""
    for name in list(sys.modules):
        if name.split(".")[0] in PACKAGES or name == "skerry_library":
            del sys.modules[name]


def tell_proof(challenge):
    """Answer a challenge with the key that is stored; tell why not if there is none to use."""
    from binascii import unhexlify

    try:
        from skerry import further, schedule
        from skerry.chain import Chain
        from skerry_device.store import ChainStore, FileSlots

        with open("skerry.json") as file:
            said = json.load(file)
        ctx = schedule.context(said["suite"], said["device"].encode(), said["hub"].encode())
        chain = Chain.unpack(ChainStore(FileSlots("")).load())
        ek = schedule.epoch_key(chain.chain_key)
        tell(proof=further.proof(ek, ctx, unhexlify(challenge)).hex())
    except Exception as error:  # whatever it is, the other end decides
        tell(proof=None, reason=repr(error))


def tell_randomness():
    """Tell whether the generator is seen to be broken."""
    draw = os.urandom(32)
    tell(weak=draw == os.urandom(32) or len(set(draw)) < 20)


def tell_room():
    """Tell the free bytes of the file system and of the heap."""
    import gc

    gc.collect()
    kind = os.statvfs("/")
    tell(disk=kind[0] * kind[3], heap=gc.mem_free())
