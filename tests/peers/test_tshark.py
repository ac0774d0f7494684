"""tshark decodes what we send: its CoAP dissector all of it, its OSCORE dissector what is inside.

The datagrams are those that a relay saw; text2pcap makes a capture of them, so no rights to
capture are needed. tshark's OSCORE knows suite 0 alone.
"""

import subprocess
from pathlib import Path

from peers.parts import Context, ask, handshake
from real import Hub, finish

from skerry import coap, observe
from skerry.oscore import SecurityContext
from skerry.oscore_server import ServerContext
from skerry_hub.sim.relay import Relay

FIELDS = [
    "coap.type", "coap.code", "coap.mid", "coap.token", "coap.opt.uri_path",
    "coap.opt.object_security_kid", "coap.opt.object_security_piv",
    "oscore.code", "oscore.opt.uri_path", "oscore.opt.ctype", "oscore.opt.observe",
    "data.data", "_ws.malformed", "_ws.expert.message", "frame.protocols",
]  # fmt: skip


def capture(seen: list[tuple[str, bytes]], file: Path) -> Path:
    """Write datagrams as a capture between a device and port 5683 of a hub."""
    way = {"up": "O", "down": "I"}
    text = [f"{way[direction]}\n000000 {datagram.hex(' ')}\n" for direction, datagram in seen]
    file.with_suffix(".txt").write_text("\n".join(text))
    subprocess.run(
        ["text2pcap", "-q", "-D", "-4", "192.0.2.7,192.0.2.1", "-u", "40000,5683",
         file.with_suffix(".txt"), file],
        check=True, capture_output=True,
    )  # fmt: skip
    return file


def dissect(file: Path, context: Context | None = None) -> list[dict[str, str]]:
    """Return FIELDS of every frame; with a context the OSCORE dissector gets its keys."""
    command = ["tshark", "-r", str(file), "-T", "fields", "-E", "separator=|"]
    if context is not None:
        given = (context.client_id, context.server_id, context.secret, context.salt, b"")
        quoted = ",".join(f'"{each.hex()}"' for each in given)
        command += ["-o", f'uat:oscore_contexts:{quoted},"AES-CCM-16-64-128 (CCM*)"']
    for each in FIELDS:
        command += ["-e", each]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    frames = [dict(zip(FIELDS, line.split("|"), strict=True)) for line in done.stdout.splitlines()]
    for frame in frames:
        assert frame["_ws.malformed"] == "", frame
    return frames


def test_a_device(hub: Hub, tmp_path: Path) -> None:
    """A real device's handshake and two readings, without keys."""
    relay = hub.relay()
    assert finish(hub.power(hub.board("seen", relay))) == []
    frames = dissect(capture(relay.seen, tmp_path / "device.pcap"))
    assert len(frames) == len(relay.seen) == 6
    for frame, (_, datagram) in zip(frames, relay.seen, strict=True):
        message = coap.decode(datagram)
        assert int(frame["coap.type"]) == message.type
        assert int(frame["coap.code"]) == message.code
        assert int(frame["coap.mid"]) == message.mid
        assert frame["coap.token"] == message.token.hex()
        assert frame["data.data"] == message.payload.hex()
    assert frames[0]["coap.opt.uri_path"] == "k"
    assert [frame["frame.protocols"].endswith("oscore") for frame in frames[:2]] == [False] * 2
    assert all("oscore" in frame["frame.protocols"] for frame in frames[2:])
    kids = {frame["coap.opt.object_security_kid"] for frame in frames[2::2]}
    assert len(kids) == 1
    assert len(kids.pop()) == 2 * 3  # as the handshake derived it
    assert [frame["coap.opt.object_security_piv"] for frame in frames[2::2]] == ["00", "01"]


def asked(relay: Relay, client: SecurityContext, message: coap.Message) -> None:
    outer, binding = client.protect_request(message)
    outer.mid, outer.token = 0x100 + client.sequence, bytes((client.sequence,))
    answer = ask(coap.encode(outer), relay.address)
    assert answer is not None
    client.unprotect_response(coap.decode(answer), binding)


def test_with_the_keys_of_a_session(hub: Hub, tmp_path: Path) -> None:
    """Inside are the method, the path, the format and the payload that were sent."""
    relay = hub.relay()
    context = handshake(hub.enroll("inside"), relay.address)
    client = SecurityContext(context.secret, context.salt, context.client_id, b"")
    path = coap.path_options("readings")
    octets = [*path, (coap.CONTENT_FORMAT, b"\x2a")]
    asked(relay, client, coap.Message(coap.POST, octets, b"secret reading", coap.CON))
    asked(relay, client, coap.Message(coap.GET, path, b"", coap.CON))
    capture(relay.seen, tmp_path / "session.pcap")
    hidden = dissect(tmp_path / "session.pcap")
    assert b"secret reading".hex() not in str(hidden)
    frames = dissect(tmp_path / "session.pcap", context)
    inside = [
        (frame["oscore.code"], frame["oscore.opt.uri_path"], frame["data.data"].split(",")[1:])
        for frame in frames[2:]
    ]
    reading = b"secret reading".hex()
    assert inside == [
        (str(coap.POST), "readings", [reading]),
        (str(coap.CHANGED), "", []),
        (str(coap.GET), "readings", []),
        (str(coap.CONTENT), "", [reading]),
    ]
    assert [frame["_ws.expert.message"] for frame in frames] == [""] * 6
    assert frames[5]["oscore.opt.ctype"] == frames[2]["oscore.opt.ctype"] != ""


def test_observation(tmp_path: Path) -> None:
    """A registration and two notifications, outside and inside."""
    context = Context(bytes(16), bytes(8), b"\x01\x02\x03", b"")
    client = SecurityContext(context.secret, context.salt, *context.ids("client"))
    server = ServerContext(context.secret, context.salt, *context.ids("server"))
    options = [*coap.path_options("config/a"), (observe.OBSERVE, b"")]
    request = coap.Message(coap.GET, options, b"", coap.CON, 1, b"t")
    outer, _ = observe.protect_registration(client, request)
    seen = [("up", coap.encode(outer))]
    _, binding = server.unprotect_request(outer)
    for number, payload in enumerate((b"one", b"two")):
        content = coap.Message(coap.CONTENT, [(observe.OBSERVE, b"\x07")], payload)
        content.type, content.mid, content.token = coap.CON, 2 + number, b"t"
        sealed = observe.protect_notification(server, content, binding, number > 0)
        seen.append(("down", coap.encode(sealed)))
    frames = dissect(capture(seen, tmp_path / "observe.pcap"), context)
    assert [frame["coap.code"] for frame in frames] == ["5", "69", "69"]
    assert [frame["oscore.code"] for frame in frames] == ["1", "69", "69"]
    assert [frame["data.data"].split(",")[1:] for frame in frames] == [
        [],
        [b"one".hex()],
        [b"two".hex()],
    ]
