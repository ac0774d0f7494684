"""Whole handshakes and their first request, from tests/vectors/protocol.json.

That file is written by a second implementation, and tests/vectors/test_vectors.py checks that
these are copies of it: it is too large for the heap here. Chains are packed as Chain.pack does.
"""

from dual.tools import raises, unhex

from skerry import coap, provisioning, schedule
from skerry.chain import Chain
from skerry.coap_server import uri_path
from skerry.errors import BadTag, Malformed, Replayed
from skerry.initiator import Start
from skerry.responder import HubSession, Known, Pending, identify
from skerry.session import Session

TRACES = (
    {
        "name": "s0-time-device-behind",
        "suite": 0,
        "timed": True,
        "time": 451589308544,
        "device_id": "73656e736f722d3137",
        "hub_id": "6875622e6578616d706c65",
        "k0": "0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a",
        "device_before": (
            "0000000000000003f5cc2ad4701040fef1f94857f30f5942a569fa812d79a8bd225ffc70"
            "3f71f7904ab8d5916f8ce268dd49b66ae721ee18b88a9cfb7c836d7874e93e5a7d69cc37"
        ),
        "hub_before": (
            "0000000000000007da09fd50a943fc0d141a8cae45928ddb06ad45d4dceb79d6e68d30d0"
            "4be22a954ab8d5916f8ce268dd49b66ae721ee18b88a9cfb7c836d7874e93e5a7d69cc37"
        ),
        "recovery": True,
        "era": 1,
        "ctx": "b02f491cea474c53a577ddc8a555cee2",
        "pid": "bcc8404e4462",
        "ek": "7665ed0737992e57e975494b1a1035276a9f43a1b8a3bd780f50ce95db50d0ae",
        "n_d": "dbdcdddedfe0e1e2",
        "n_h": "71d1060f1bc98acb",
        "message_1": "11bcc8404e4462dbdcdddedfe0e1e2141e015269158c70",
        "message_2": "2171d1060f1bc98acb6924d20080183681b94685edef",
        "after": (
            "000000010000000169daf464c2bcea1b0c155988edeac3632c0b9bbc4942de69acfc5d7c"
            "1f21fe11de83f357485a53ee80ba41541a8a3aaccc1184fc70e3631fec5e0566dd669174"
        ),
        "ms": "f59d037f0f97cc8a35e22d6010727f4813643ede8483a6907f244eb544e429f3",
        "fingerprint": "ce9e6ddb",
        "oscore": "832aa88d2c259310b549fe55182ea0d2f97ae13f73c8e18bd5f217",
        "mid": "300b",
        "token": "cb",
        "payload": "a1617419080b",
        "request": "4102300bcb950900d5f217ff8e12fa38422ff07c9ae46602004f3754e425d462ec86078a2d",
        "reply": "",
        "response": "6144300bcb90ff21e93f37baf111f281",
    },
    {
        "name": "s1-plain-0-1",
        "suite": 1,
        "timed": False,
        "time": None,
        "device_id": "73656e736f722d3137",
        "hub_id": "6875622e6578616d706c65",
        "k0": "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627",
        "device_before": (
            "000000000000000177ffe78e2e2a35d25a30fe5dc430eba61762326f34617681f051bbaf"
            "f86ebacc7fe9e3e9255d0bc4b81a6dc354d6f554f10f6505a7f47db7a105cffdb08ba10f"
        ),
        "hub_before": (
            "000000000000000177ffe78e2e2a35d25a30fe5dc430eba61762326f34617681f051bbaf"
            "f86ebacc7fe9e3e9255d0bc4b81a6dc354d6f554f10f6505a7f47db7a105cffdb08ba10f"
        ),
        "recovery": False,
        "era": 0,
        "ctx": "3c40d41bad07ed90ee76a8957cf37df2",
        "pid": "cf95df41732f",
        "ek": "c38a22e1fe20a4f2ef9657ae458b09c9aaef7ef860f66601f9f56c7b707fe2c5",
        "n_d": "d8d9dadbdcdddedf",
        "n_h": "549ca3799a052021",
        "message_1": "12cf95df41732fd8d9dadbdcdddedf5e62c1069d498fbd0336b351b6f27901",
        "message_2": "22549ca3799a0520213af2af064a4636aafda16d846d1aa1db",
        "after": (
            "000000000000000260ea355379a2004afc23e19b9957b0c14911b33a7f03299958d27f78"
            "d87530c07fe9e3e9255d0bc4b81a6dc354d6f554f10f6505a7f47db7a105cffdb08ba10f"
        ),
        "ms": "5f48ea749996c49a598a07a4ec4572c65fac727d333fea2c79e2e0f39ba33c82",
        "fingerprint": "2489210e",
        "oscore": "1028d213fd3386b6c6dd5ecac348d247450c04b2ebfb9bb76fb1be",
        "mid": "3008",
        "token": "c8",
        "payload": "a16174190808",
        "request": (
            "41023008c89509006fb1beff2dacdc31a42816dcf416e2eccb53e8853e985ff74fa459fc"
            "37c86faf69fa575736"
        ),
        "reply": "6f6b",
        "response": "61443008c890ff4fdfb02950528374f6adc8b271b2a8a7d91768dd",
    },
    {
        "name": "s1-plain-last-step",
        "suite": 1,
        "timed": False,
        "time": None,
        "device_id": "73656e736f722d3137",
        "hub_id": "6875622e6578616d706c65",
        "k0": None,
        "device_before": (
            "00000007ffffffff5152535455565758595a5b5c5d5e5f606162636465666768696a6b6c"
            "6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f90"
        ),
        "hub_before": (
            "00000007ffffffff5152535455565758595a5b5c5d5e5f606162636465666768696a6b6c"
            "6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f90"
        ),
        "recovery": False,
        "era": 7,
        "ctx": "3c40d41bad07ed90ee76a8957cf37df2",
        "pid": "b4be6b1a1338",
        "ek": "30159871745865cc326c102b487a1294c65de6e709655f0ceb306d2a6950407d",
        "n_d": "e1e2e3e4e5e6e7e8",
        "n_h": "e02b3472f056e72c",
        "message_1": "12b4be6b1a1338e1e2e3e4e5e6e7e8bb8338ff5be4dd47ae732420a207030d",
        "message_2": "22e02b3472f056e72c3d19e63168068f64711ec02cec1d2525",
        "after": (
            "0000000800000000f1ecda936979c121fcc3dc53791777f5aff2e54bb58375ac9e319b82"
            "0c70f95a82a562ff86cd376eb858318fc94e0bd33acdd8d40b0406b6f5d685e95b4e945a"
        ),
        "ms": "ef2a3ef6ab6625a9ce09365b1e48bd0f1e963026474cb675ce0506a1ffa1dba8",
        "fingerprint": "9fb36b10",
        "oscore": "19527f46d55201d84eba28a96f73d4c3f1ae8ad1fcd814059f4a04",
        "mid": "3011",
        "token": "d1",
        "payload": "a16174190811",
        "request": (
            "41023011d19509009f4a04ff48a4e9ec89d6132a5a53413ba56471f41205b837db255258"
            "0e43d6d08c643f2f40"
        ),
        "reply": "",
        "response": "61443011d190ffe0291bfc5ce09c23bcb74953d669cb7c42",
    },
)


def begin(trace):
    """The device's attempt: its own epoch, or the first one of the next era."""
    at = Chain.unpack(unhex(trace["device_before"]))
    at = at.next_era() if trace["recovery"] else at
    return Start(unhex(trace["ctx"]), trace["suite"], at).send(unhex(trace["n_d"]), trace["timed"])


def known(trace, chain=None, pending=None):
    """What the hub holds, before message 1 if no chain is given."""
    chain = chain or Chain.unpack(unhex(trace["hub_before"]))
    return Known(unhex(trace["ctx"]), trace["suite"], chain, pending)


def test_chain_from_the_master_key():
    for trace in TRACES:
        ctx = schedule.context(trace["suite"], unhex(trace["device_id"]), unhex(trace["hub_id"]))
        assert ctx == unhex(trace["ctx"])
        if trace["k0"]:
            for name in ("device_before", "hub_before"):
                wanted = Chain.unpack(unhex(trace[name]))
                chain = provisioning.first_epoch(unhex(trace["k0"]), ctx)
                while chain.step < wanted.step:
                    chain = chain.next_step()
                assert chain.pack() == unhex(trace[name])


def test_device():
    for trace in TRACES:
        message_1, waiting = begin(trace)
        assert message_1 == unhex(trace["message_1"])
        for wrong in (message_1, unhex(trace["message_2"])[:-1], bytes(22)):
            raises(Malformed, waiting.receive, wrong)
        flipped = bytearray(unhex(trace["message_2"]))
        flipped[-1] ^= 1
        raises(BadTag, waiting.receive, bytes(flipped))
        accepted = waiting.receive(unhex(trace["message_2"]))
        assert accepted.record == unhex(trace["after"])
        assert accepted.time == trace["time"]
        assert accepted.persisted(accepted.record) == unhex(trace["ms"])


def test_hub():
    for trace in TRACES:
        hello = identify(unhex(trace["message_1"]))
        assert hello.pid == unhex(trace["pid"])
        verified = known(trace).verify(hello, trace["era"])
        assert verified.pending.ek == unhex(trace["ek"])
        assert verified.chain.pack() == unhex(trace["after"])
        answer = verified.answer(unhex(trace["n_h"]), trace["time"] or 0)
        assert answer == (unhex(trace["message_2"]), unhex(trace["ms"]))
        pending = Pending(hello.pid, verified.pending.ek)
        again = known(trace, verified.chain, pending).verify(hello, trace["era"])
        assert again.chain is None
        assert again.answer(unhex(trace["n_h"]), trace["time"] or 0) == answer


def test_session():
    for trace in TRACES:
        secret = unhex(trace["ms"])
        assert b"".join(schedule.oscore_secrets(secret)) == unhex(trace["oscore"])
        device, hub = [end(secret, trace["suite"]) for end in (Session, HubSession)]
        assert device.fingerprint == hub.fingerprint == trace["fingerprint"]
        asks = coap.Message(
            coap.POST,
            coap.path_options("readings"),
            unhex(trace["payload"]),
            coap.CON,
            int.from_bytes(unhex(trace["mid"]), "big"),
            unhex(trace["token"]),
        )
        outer, asked = device.oscore.protect_request(asks)
        assert coap.encode(outer) == unhex(trace["request"])
        outer = coap.decode(unhex(trace["request"]))
        inner, binding = hub.oscore.unprotect_request(outer)
        assert (inner.code, uri_path(inner)) == (coap.POST, "readings")
        assert inner.payload == unhex(trace["payload"])
        raises(Replayed, hub.oscore.unprotect_request, outer)
        reply = coap.Message(
            coap.CHANGED, [], unhex(trace["reply"]), coap.ACK, outer.mid, outer.token
        )
        response = coap.encode(hub.oscore.protect_response(reply, binding))
        assert response == unhex(trace["response"])
        back = device.oscore.unprotect_response(coap.decode(response), asked)
        assert (back.code, back.payload) == (coap.CHANGED, unhex(trace["reply"]))
