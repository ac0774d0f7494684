"""Seeds for every target, from tests/vectors/protocol.json: python tests/fuzz/corpus.py FOLDER."""

import json
import sys
from hashlib import sha256
from pathlib import Path

VECTORS = Path(__file__).parents[1] / "vectors" / "protocol.json"
SPLIT = b"\0\0\xff\xff"  # as in targets/front_inner.py
TARGETS = sorted(each.stem for each in Path(__file__).with_name("targets").glob("*.py"))


def _unhex(trace, *names):
    return [bytes.fromhex(trace[name]) for name in names]


def _record(at):
    """A packed chain, and the slot that holds it."""
    chain = at["era"].to_bytes(4, "big") + at["step"].to_bytes(4, "big")
    chain += bytes.fromhex(at["ck"]) + bytes.fromhex(at["next_rk"])
    body = b"SK\x01\0\0\0\1" + chain
    return chain, body + sha256(body).digest()[:8]


def _coap(datagram):
    """What follows the token."""
    return datagram[4 + (datagram[0] & 15) :]


def seeds():
    """Return a dictionary: target -> list of seeds."""
    file = json.loads(VECTORS.read_text())
    found = {name: [b""] for name in TARGETS}
    for trace in file["traces"]:
        messages = _unhex(trace, "message_1", "message_2")
        handshake = [bytes.fromhex(trace[each]["datagram"]) for each in ("coap_1", "coap_2")]
        session = [bytes.fromhex(trace[each]["datagram"]) for each in ("request", "response")]
        inner = [bytes.fromhex(trace[each]["inner"]) for each in ("request", "response")]
        found["message_1"].append(messages[0])
        found["message_2"].append(messages[1])
        for name in ("coap_decode", "front_noise", "front_traffic"):
            found[name] += handshake + session
        found["coap_body"] += [_coap(each) for each in handshake + session]
        found["coap_body"] += [each[1:] for each in inner]
        found["front_inner"] += [b"\0" + inner[0], b"\1" + inner[0], b"\0" + inner[1]]
        found["oscore_option"].append(
            b"\x09\0" + bytes.fromhex(trace["oscore"]["device_sender_id"])
        )
        found["device_answers"] += [b"\2\1\1\2" + each for each in session + messages]
        chain, slot = _record(trace["device_before"])
        found["chain_unpack"].append(chain)
        found["record_unpack"].append(slot)
    for negative in file["negatives"]:
        name = "message_1" if negative["to"] == "hub" else "message_2"
        found[name] += _unhex(negative, "message")
    found["oscore_option"] += [b"\x1a\1\2\3abckid", b"\x10\0", b"\x08", b"\x0d" + bytes(8)]
    found["front_inner"] += [
        b"\0\1\xbb.well-known\4core",
        b"\0\2\xb8readings\xd1\x03\x0e\xff21",  # Block1: number 0, more to come
        b"\0\1\x60\x58readings",  # Observe
        b"\0\2\x3bexample.org\x88readings",
        b"\0\0",
        b"\0\2\xb8readings\xd1\3\x0e\xff"
        + bytes(1024)
        + SPLIT
        + b"\0\2\xb8readings\xd1\3\x16\xff3",
        b"\0\1\xb8readings\xc1\0" + SPLIT + b"\0\1\xb8readings\xc1\x10",  # Block2
    ]
    found["front_replies"] += [
        bytes((kind,)) + body
        for kind in (0, 1, 3, 4, 5)
        for body in (
            b"\x45\xff21",
            b"\x44\x90\xff" + bytes(9),  # an OSCORE option
            b"\x81",
            b"\0",
            b"\x5f\xd1\x0e\x0c",  # Block1: number 0, more to come
            b"\x44\xd1\x0e\x0c\xff21",
            b"\x45\xd1\x0a\x0c\xff" + bytes(256),  # Block2
            b"\x45\x60\xff21",  # Observe
        )
    ]
    found["device_answers"] += [bytes(8), b"\1\1\0", b"\3\2\1\\9\1\1\2\1\0", b"\2\x1f\0\x81\0\1\0"]
    return found


def write(folder, target):
    """Write a target's seeds into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds()[target]:
        (folder / ("seed-" + sha256(seed).hexdigest()[:16])).write_bytes(seed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name in TARGETS:
        write(Path(sys.argv[1]) / name, name)
