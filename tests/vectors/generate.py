"""Write protocol.json: traces and negative vectors of the protocol, from docs/protocol.md alone.

This is a second implementation. It imports nothing of common/, device/ or hub/ and takes only
primitives from pycryptodome. All inputs are constants of this file.

    python tests/vectors/generate.py            write protocol.json beside this file
    python tests/vectors/generate.py --check    exit 1 if the file is not what would be written
"""

import json
import sys
from pathlib import Path

from Crypto.Cipher import AES
from Crypto.Hash import HMAC, SHA256

TARGET = Path(__file__).with_name("protocol.json")
LAST = 2**32 - 1  # last step of an era, last era

TAG = {0: 8, 1: 16}  # section 3
COSE = {0: b"\x0a", 1: b"\x18\x1e"}  # 10 and 30 as CBOR


# Primitives


def hmac(key, *parts):
    """HMAC-SHA-256 over the joined parts."""
    return HMAC.new(key, b"".join(parts), SHA256).digest()


def hkdf_expand(prk, info, n):
    """RFC 5869 section 2.3."""
    out, block, i = b"", b"", 0
    while len(out) < n:
        i += 1
        block = hmac(prk, block, info, bytes([i]))
        out += block
    return out[:n]


def hkdf(salt, ikm, info, n):
    """RFC 5869 sections 2.2 and 2.3."""
    return hkdf_expand(hmac(salt, ikm), info, n)


# Sections 3 and 4: keys


def context(suite, device, hub):
    lengths = bytes([len(device)]), bytes([len(hub)])
    joined = b"SKX1" + bytes([suite]) + lengths[0] + device + lengths[1] + hub
    return SHA256.new(joined).digest()[:16]


def start_of_era(rk):
    """CK of step 0 of the era of rk, and the root of the next era."""
    return hmac(rk, b"\x01"), hmac(rk, b"\x02")


def record(era, step, ck, next_rk):
    return {"era": era, "step": step, "ck": ck, "next_rk": next_rk}


def after(rec):
    """The record of the epoch that follows: section 2, section 4."""
    if rec["step"] < LAST:
        return record(rec["era"], rec["step"] + 1, hmac(rec["ck"], b"\x02"), rec["next_rk"])
    return next_era(rec)


def next_era(rec):
    """The first epoch of the next era, where recovery goes."""
    if rec["era"] == LAST:
        raise ValueError("the protocol ends here")
    return record(rec["era"] + 1, 0, *start_of_era(rec["next_rk"]))


def epoch(ctx, rec):
    """EK and PID; ctx is not part of either."""
    return hmac(rec["ck"], b"\x01"), hmac(rec["ck"], b"\x03")[:6]


def export(ms, kind, label, ctx, n):
    return hkdf_expand(ms, bytes([kind, len(label)]) + label + ctx, n)


# Section 5: messages


def header(version, kind, suite, timed):
    return bytes([version << 6 | kind << 4 | suite << 1 | timed])


def message_1(ctx, ek, hdr1, pid, n_d, t):
    return hdr1 + pid + n_d + hmac(ek, b"\x10", ctx, hdr1, pid, n_d)[:t]


def message_2(ctx, ek, hdr1, pid, n_d, hdr2, n_h, stamp, t):
    tag = hmac(ek, b"\x11", ctx, hdr1, pid, n_d, hdr2, n_h, stamp)[:t]
    return hdr2 + n_h + stamp + tag


# RFC 8613


def cbor_bytes(b):
    return bytes([0x40 | len(b)]) + b if len(b) < 24 else bytes([0x58, len(b)]) + b


def oscore_info(ident, alg, kind, n):
    """RFC 8613 section 3.2.1: [id, id_context = nil, alg_aead, type, L]."""
    return (
        b"\x85" + cbor_bytes(ident) + b"\xf6" + alg + bytes([0x60 | len(kind)]) + kind + bytes([n])
    )


def oscore_derive(secret, salt, ident, alg, kind, n):
    return hkdf(salt, secret, oscore_info(ident, alg, kind, n), n)


def oscore_nonce(common_iv, kid, piv):
    """RFC 8613 section 5.2: length of the id, id in 7 bytes, Partial IV in 5, XOR Common IV."""
    plain = bytes([len(kid)]) + kid.rjust(7, b"\0") + piv.rjust(5, b"\0")
    return bytes(a ^ b for a, b in zip(plain, common_iv, strict=True))


def oscore_aad(alg, kid, piv):
    """RFC 8613 section 5.4."""
    inner = b"\x85\x01\x81" + alg + cbor_bytes(kid) + cbor_bytes(piv) + b"\x40"
    return b"\x83\x68Encrypt0\x40" + cbor_bytes(inner)


def seal(key, nonce, aad, plain, t):
    cipher = AES.new(key, AES.MODE_CCM, nonce=nonce, mac_len=t)
    cipher.update(aad)
    text, tag = cipher.encrypt_and_digest(plain)
    return text + tag


# CoAP

CON, NON, ACK = 0, 1, 2
POST, CHANGED = 0x02, 0x44


def coap(kind, code, mid, token, options, payload):
    head = bytes([1 << 6 | kind << 4 | len(token), code]) + mid + token + options
    return head + b"\xff" + payload if payload else head


# Inputs. Patterns, so that a slip shows in a dump; K0 and nonces differ from case to case.


def pattern(first, n):
    return bytes((first + i) & 0xFF for i in range(n))


TIME = 0x69_24_D2_00_80  # 2025-11-24T21:45:36.5Z
IDS = (b"sensor-17", b"hub.example")
IDS_1 = (b"d", b"h")
IDS_ODD = (b"\0", b"\xff")  # ids are bytes; a suite byte or a length could be taken for one
IDS_255 = (bytes(range(1, 256)), b"H" * 255)
IDS_255_1 = (bytes(range(1, 256)), b"h")
IDS_UTF8 = ("Gerät-№9".encode(), "Küche".encode())

# name, suite, T or None to not ask, ids, start, device at, hub at, target
# start: None is K0; else the epoch whose CK and next RK are given
# device at, hub at: their epochs before the handshake; target: the epoch of the handshake
CASES = [
    ("s0-time", 0, TIME, IDS, None, (0, 0), (0, 0), (0, 0)),
    ("s0-plain", 0, None, IDS, None, (0, 0), (0, 0), (0, 0)),
    ("s1-time", 1, TIME, IDS, None, (0, 0), (0, 0), (0, 0)),
    ("s1-plain", 1, None, IDS, None, (0, 0), (0, 0), (0, 0)),
    ("s0-time-unknown", 0, 0, IDS, None, (0, 0), (0, 0), (0, 0)),
    ("s1-time-unknown", 1, 0, IDS, None, (0, 0), (0, 0), (0, 0)),
    ("s0-time-highest", 0, 2**40 - 1, IDS, None, (0, 0), (0, 0), (0, 0)),
    ("s0-time-0-1", 0, TIME, IDS, None, (0, 1), (0, 1), (0, 1)),
    ("s1-plain-0-1", 1, None, IDS, None, (0, 1), (0, 1), (0, 1)),
    ("s0-plain-0-5", 0, None, IDS, None, (0, 5), (0, 5), (0, 5)),
    ("s1-time-0-5", 1, TIME, IDS, None, (0, 5), (0, 5), (0, 5)),
    # a device that lost writes, then a hub that lost commits
    ("s0-time-device-behind", 0, TIME, IDS, None, (0, 3), (0, 7), (1, 0)),
    ("s1-time-hub-behind", 1, TIME, IDS, None, (0, 7), (0, 3), (1, 0)),
    ("s0-plain-1-0", 0, None, IDS, None, (0, 0), (0, 0), (1, 0)),
    ("s0-time-16-0", 0, TIME, IDS, None, (15, 1), (0, 2), (16, 0)),
    ("s1-plain-16-0", 1, None, IDS, None, (16, 0), (0, 0), (16, 0)),
    # numbers at their ends
    ("s0-time-last-step", 0, TIME, IDS, (0, LAST), (0, LAST), (0, LAST), (0, LAST)),
    ("s1-plain-last-step", 1, None, IDS, (7, LAST), (7, LAST), (7, LAST), (7, LAST)),
    ("s0-time-step-before", 0, TIME, IDS, (3, LAST - 1), *[(3, LAST - 1)] * 3),
    ("s0-plain-last-step-1-0", 0, None, IDS, (0, LAST), (0, LAST), (0, LAST), (1, 0)),
    ("s0-time-last-era", 0, TIME, IDS, (LAST, 9), (LAST, 9), (LAST, 9), (LAST, 9)),
    ("s1-time-to-last-era", 1, TIME, IDS, (LAST - 1, LAST), *[(LAST - 1, LAST)] * 2, (LAST, 0)),
    # ids
    ("s0-time-ids-1", 0, TIME, IDS_1, None, (0, 0), (0, 0), (0, 0)),
    ("s1-plain-ids-odd", 1, None, IDS_ODD, None, (0, 0), (0, 0), (0, 0)),
    ("s0-time-ids-255", 0, TIME, IDS_255, None, (0, 0), (0, 0), (0, 0)),
    ("s1-time-ids-255-1", 1, TIME, IDS_255_1, None, (0, 0), (0, 0), (0, 0)),
    ("s0-time-ids-utf8", 0, TIME, IDS_UTF8, None, (0, 0), (0, 0), (0, 0)),
]


def walk(rec, position):
    """Reach position from rec by the shortest way: eras first, then steps."""
    while rec["era"] < position[0]:
        rec = next_era(rec)
    while rec["step"] < position[1]:
        rec = after(rec)
    assert (rec["era"], rec["step"]) == position
    return rec


def trace(index, name, suite, time, ids, start, device_at, hub_at, target):
    """One handshake with one protected request, all values named."""
    t = TAG[suite]
    device, hub = ids
    timed = time is not None
    n_d = pattern(0xD0 + index, 8)
    nk = pattern(0x80 + index, 32)
    mids = bytes([0x10, index]), bytes([0x20, index]), bytes([0x30, index])
    tokens = bytes([0xA0 + index]), bytes([0xC0 + index])

    # section 3
    ctx = context(suite, device, hub)
    given = {"k0": None, "rk_0": None, "rk_1": None}
    if start is None:
        given["k0"] = pattern(index, 32)
        given["rk_0"] = hmac(given["k0"], ctx)
        ck, given["rk_1"] = start_of_era(given["rk_0"])
        first = record(0, 0, ck, given["rk_1"])
    else:
        first = record(*start, pattern(0x40 + index, 32), pattern(0x60 + index, 32))

    # section 4
    device_before, hub_before, at = (walk(first, p) for p in (device_at, hub_at, target))
    ek, pid = epoch(ctx, at)

    # section 5
    hdr1, hdr2 = header(0, 1, suite, timed), header(0, 2, suite, timed)
    stamp = time.to_bytes(5, "big") if timed else b""
    m1 = message_1(ctx, ek, hdr1, pid, n_d, t)
    n_h = hmac(nk, b"N", pid)[:8]
    m2 = message_2(ctx, ek, hdr1, pid, n_d, hdr2, n_h, stamp, t)
    ms = hmac(ek, b"\x12", ctx, hdr1, pid, n_d, hdr2, n_h)
    datagram_1 = coap(NON, POST, mids[0], tokens[0], b"\xb1k", m1)
    datagram_2 = coap(NON, CHANGED, mids[1], tokens[0], b"", m2)

    # the device loses power, and tries again in this epoch, which is pending at the hub
    n_d_2 = pattern(0x50 + index, 8)
    later = min(time + 256, 2**40 - 1) if time else time
    stamp_2 = later.to_bytes(5, "big") if timed else b""
    m1_2 = message_1(ctx, ek, hdr1, pid, n_d_2, t)
    m2_2 = message_2(ctx, ek, hdr1, pid, n_d_2, hdr2, n_h, stamp_2, t)
    ms_2 = hmac(ek, b"\x12", ctx, hdr1, pid, n_d_2, hdr2, n_h)

    # exports
    oscore = export(ms, 0, b"oscore", b"", 27)
    secret, salt, sid = oscore[:16], oscore[16:24], oscore[24:]
    label, app_context, app_len = b"backup", bytes([1, 2, index]), 40

    # section 8: the device's first request, Partial IV 0, and the hub's answer
    alg = COSE[suite]
    device_key = oscore_derive(secret, salt, sid, alg, b"Key", 16)
    hub_key = oscore_derive(secret, salt, b"", alg, b"Key", 16)
    common_iv = oscore_derive(secret, salt, b"", alg, b"IV", 13)
    piv = b"\0"
    nonce, aad = oscore_nonce(common_iv, sid, piv), oscore_aad(alg, sid, piv)
    body = b"\xa1\x61t\x19\x08" + bytes([index])  # CBOR {"t": 2048 + index}
    reply_body = b"" if index % 2 else b"ok"
    inner_request = bytes([POST]) + b"\xb8readings" + b"\xff" + body
    inner_response = bytes([CHANGED]) + (b"\xff" + reply_body if reply_body else b"")
    value = b"\x09" + piv + sid  # flags: kid present, Partial IV of one byte
    request = coap(
        CON,
        POST,
        mids[2],
        tokens[1],
        bytes([0x90 | len(value)]) + value,
        seal(device_key, nonce, aad, inner_request, t),
    )
    response = coap(
        ACK, CHANGED, mids[2], tokens[1], b"\x90", seal(hub_key, nonce, aad, inner_response, t)
    )

    return {
        "name": name,
        "suite": suite,
        "timed": timed,
        "time": time,
        "device_id": device,
        "hub_id": hub,
        **given,
        "device_before": device_before,
        "hub_before": hub_before,
        "recovery": device_at != target,
        "epoch": at,
        "ctx": ctx,
        "ek": ek,
        "pid": pid,
        "n_d": n_d,
        "header_1": hdr1,
        "tag_1": m1[-t:],
        "message_1": m1,
        "nk": nk,
        "n_h": n_h,
        "header_2": hdr2,
        "t": stamp,
        "tag_2": m2[-t:],
        "message_2": m2,
        "after": after(at),
        "ms": ms,
        "second_attempt": {
            "n_d": n_d_2,
            "time": later,
            "message_1": m1_2,
            "message_2": m2_2,
            "ms": ms_2,
        },
        "fingerprint": export(ms, 0, b"fingerprint", b"", 4),
        "export": {
            "kind": 1,
            "label": label,
            "context": app_context,
            "length": app_len,
            "value": export(ms, 1, label, app_context, app_len),
        },
        "oscore": {
            "master_secret": secret,
            "master_salt": salt,
            "device_sender_id": sid,
            "hub_sender_id": b"",
            "device_sender_key": device_key,
            "hub_sender_key": hub_key,
            "common_iv": common_iv,
        },
        "coap_1": {"mid": mids[0], "token": tokens[0], "datagram": datagram_1},
        "coap_2": {"mid": mids[1], "token": tokens[0], "datagram": datagram_2},
        "request": {
            "mid": mids[2],
            "token": tokens[1],
            "path": "readings",
            "payload": body,
            "partial_iv": piv,
            "nonce": nonce,
            "aad": aad,
            "inner": inner_request,
            "datagram": request,
        },
        "response": {"payload": reply_body, "inner": inner_response, "datagram": response},
    }


# Negative vectors: what the named end, in the state of the named trace, must ignore.
#
#   format      version, type, suite, length or time bit is not one that can be expected
#   pseudonym   of no epoch that the hub looks for
#   tag         does not verify
FORMAT, PSEUDONYM, BAD_TAG = "format", "pseudonym", "tag"


def flip(data, at):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def to_hub(tr):
    """To the hub in hub_before of the trace, nothing pending."""
    ctx, ek, pid, n_d, good = (tr[k] for k in ("ctx", "ek", "pid", "n_d", "message_1"))
    suite, timed, hdr1, t = tr["suite"], tr["timed"], tr["header_1"], TAG[tr["suite"]]

    def other(hdr=hdr1, t=t, ctx=ctx, ek=ek, pid=pid):
        return message_1(ctx, ek, hdr, pid, n_d, t)

    yield FORMAT, b"", "empty"
    yield FORMAT, good[:1], "header alone"
    yield FORMAT, good[:15], "no tag"
    yield FORMAT, good[:-1], "one byte short"
    yield FORMAT, good + b"\0", "one byte long"
    yield FORMAT, other(t=TAG[1 - suite]), "length of the other suite, header right"
    for version in 1, 2, 3:
        yield FORMAT, other(header(version, 1, suite, timed)), f"version {version}, tag right"
    for kind in 0, 2, 3:
        yield FORMAT, other(header(0, kind, suite, timed)), f"type {kind}, tag right"
    for unknown in range(2, 8):
        hdr = header(0, 1, unknown, timed)
        yield FORMAT, other(hdr), f"suite {unknown} does not exist, tag right"
    wrong = header(0, 1, 1 - suite, timed)
    yield FORMAT, other(wrong, t=TAG[1 - suite]), "the other suite with its length, tag right"
    yield FORMAT, other(wrong), "the other suite, length of the right one"
    yield FORMAT, tr["message_2"], "a message 2"
    yield PSEUDONYM, flip(good, 6), "pseudonym changed after the tag"
    ek_2, pid_2 = epoch(ctx, after(tr["hub_before"]))
    yield PSEUDONYM, other(ek=ek_2, pid=pid_2), "the epoch after the expected one, same era"
    far = walk(tr["hub_before"], (tr["hub_before"]["era"] + 17, 0))
    ek_3, pid_3 = epoch(ctx, far)
    yield PSEUDONYM, other(ek=ek_3, pid=pid_3), "17 eras ahead"
    far = walk(tr["hub_before"], (tr["hub_before"]["era"] + 1, 1))
    ek_4, pid_4 = epoch(ctx, far)
    yield PSEUDONYM, other(ek=ek_4, pid=pid_4), "step 1 of the next era"
    yield BAD_TAG, flip(good, 0), "time bit changed after the tag"
    yield BAD_TAG, flip(good, 14), "N_D changed after the tag"
    yield BAD_TAG, flip(good, 15), "first byte of the tag changed"
    yield BAD_TAG, flip(good, -1), "last byte of the tag changed"
    yield BAD_TAG, good[:-t] + bytes(t), "tag of zeros"
    foreign = context(suite, tr["device_id"] + b"2", tr["hub_id"])
    yield BAD_TAG, other(ctx=foreign), "tag made for another device id"
    swapped = context(suite, tr["hub_id"], tr["device_id"])
    yield BAD_TAG, other(ctx=swapped), "tag made with the ids exchanged"
    yield BAD_TAG, other(ek=ek_2), "pseudonym of the expected epoch, tag of the one after it"
    label = hmac(ek, b"\x11", ctx, hdr1, pid, n_d)[:t]
    yield BAD_TAG, good[:-t] + label, "tag 1 made with the label of tag 2"


def to_hub_passed(tr):
    """To the hub in hub_before, when the device is behind: its first attempt."""
    ek, pid = epoch(tr["ctx"], tr["device_before"])
    passed = message_1(tr["ctx"], ek, tr["header_1"], pid, tr["n_d"], TAG[tr["suite"]])
    yield PSEUDONYM, passed, "an epoch that the hub has passed"


def to_device(tr):
    """To the device that sent message_1 of the trace and waits."""
    ctx, ek, pid, n_d, n_h, good = (tr[k] for k in ("ctx", "ek", "pid", "n_d", "n_h", "message_2"))
    hdr1, hdr2, stamp = tr["header_1"], tr["header_2"], tr["t"]
    suite, timed, t = tr["suite"], tr["timed"], TAG[tr["suite"]]

    def other(hdr2=hdr2, t=t, ctx=ctx, ek=ek, hdr1=hdr1, pid=pid, n_d=n_d, stamp=stamp):
        return message_2(ctx, ek, hdr1, pid, n_d, hdr2, n_h, stamp, t)

    flipped_stamp = b"" if timed else bytes(5)
    yield FORMAT, b"", "empty"
    yield FORMAT, good[:1], "header alone"
    yield FORMAT, good[:9], "header and N_H alone"
    yield FORMAT, good[:-1], "one byte short"
    yield FORMAT, good + b"\0", "one byte long"
    yield FORMAT, other(t=TAG[1 - suite]), "length of the other suite, header right"
    yield (
        FORMAT,
        other(stamp=flipped_stamp),
        "T absent or present against both time bits, tag right",
    )
    for version in 1, 2, 3:
        yield FORMAT, other(header(version, 2, suite, timed)), f"version {version}, tag right"
    for kind in 0, 1, 3:
        yield FORMAT, other(header(0, kind, suite, timed)), f"type {kind}, tag right"
    for unknown in range(2, 8):
        hdr = header(0, 2, unknown, timed)
        yield FORMAT, other(hdr), f"suite {unknown} does not exist, tag right"
    wrong = header(0, 2, 1 - suite, timed)
    yield FORMAT, other(wrong, t=TAG[1 - suite]), "the other suite with its length, tag right"
    yield FORMAT, other(wrong), "the other suite, length of the right one"
    wrong = header(0, 2, suite, not timed)
    yield FORMAT, other(wrong, stamp=flipped_stamp), "the other time bit, length and tag right"
    yield FORMAT, flip(good, 0), "time bit changed after the tag"
    yield FORMAT, tr["message_1"], "its own message 1"
    yield BAD_TAG, flip(good, 8), "N_H changed after the tag"
    if timed:
        yield BAD_TAG, flip(good, 13), "T changed after the tag"
    yield BAD_TAG, flip(good, -t), "first byte of the tag changed"
    yield BAD_TAG, flip(good, -1), "last byte of the tag changed"
    yield BAD_TAG, good[:-t] + bytes(t), "tag of zeros"
    second = tr["second_attempt"]
    yield BAD_TAG, second["message_2"], "answer to the N_D of another attempt in this epoch"
    yield BAD_TAG, other(hdr1=flip(hdr1, 0)), "answer to a message 1 with the other time bit"
    ek_2, pid_2 = epoch(ctx, after(tr["epoch"]))
    yield BAD_TAG, other(ek=ek_2, pid=pid_2), "answer in the epoch after"
    ek_3, pid_3 = epoch(ctx, next_era(tr["epoch"]))
    yield BAD_TAG, other(ek=ek_3, pid=pid_3), "answer in (a+1, 0), the epoch of the next attempt"
    swapped = context(suite, tr["hub_id"], tr["device_id"])
    yield BAD_TAG, other(ctx=swapped), "tag made with the ids exchanged"
    label = hmac(ek, b"\x10", ctx, hdr1, pid, n_d, hdr2, n_h, stamp)[:t]
    yield BAD_TAG, good[:-t] + label, "tag 2 made with the label of tag 1"


def hexed(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {k: hexed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hexed(v) for v in value]
    return value


def build():
    traces = [trace(i, *case) for i, case in enumerate(CASES)]
    by_name = {tr["name"]: tr for tr in traces}
    plain = ("s0-time", "s0-plain", "s1-time", "s1-plain-0-1")
    negatives = []
    for end, make, names in (
        ("hub", to_hub, plain),
        ("hub", to_hub_passed, ["s0-time-device-behind"]),
        ("device", to_device, plain),
    ):
        for name in names:
            for reason, message, why in make(by_name[name]):
                each = {"to": end, "trace": name, "message": message, "reason": reason, "why": why}
                negatives.append(each)
    file = {"protocol": "docs/protocol.md, version 0", "traces": traces, "negatives": negatives}
    return json.dumps(hexed(file), indent=1) + "\n"


if __name__ == "__main__":
    text = build()
    if sys.argv[1:] == ["--check"]:
        if not TARGET.exists() or TARGET.read_text() != text:
            sys.exit(f"{TARGET.name} is not what generate.py writes")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        TARGET.write_text(text)
