"""Every value that RFC 8613 gives: appendix C, the options of section 6.3, the AAD of section 5.4.

They stand in tests/vectors/rfc8613.json; here each is computed, in the roles of both ends.
"""

import json

from dual.tools import unhex

from skerry import coap
from skerry.oscore import Binding, decode_option, encode_option
from skerry.oscore_server import ServerContext
from skerry.primitives import AesCcm, hkdf_expand, hkdf_extract

with open(__file__.rsplit("/", 2)[0] + "/vectors/rfc8613.json") as file:
    RFC = json.load(file)
SECRET = unhex(RFC["master_secret"])


def maybe(text):
    return None if text is None else unhex(text)


def context(name, sender, recipient):
    """Return one end's context of C.1, C.2 or C.3; the ends are "client" and "server"."""
    given = RFC["derivations"][name]
    ids = unhex(given[sender + "_id"]), unhex(given[recipient + "_id"])
    return ServerContext(SECRET, unhex(given["salt"]), ids[0], ids[1], maybe(given["id_context"]))


def check_derived(name, sender, recipient):
    given = RFC["derivations"][name]
    made = context(name, sender, recipient)
    prk = hkdf_extract(unhex(given["salt"]), SECRET)
    for end, id in ((sender, made.sender_id), (recipient, made.recipient_id)):
        key = unhex(given[end + "_key"])
        assert made._derive(prk, id, "Key", 16) == key
        assert hkdf_expand(prk, unhex(given[end + "_info"]), 16) == key
        assert made.nonce(id, b"\0") == unhex(given[end + "_nonce"])
    assert made._common_iv == unhex(given["common_iv"])
    assert hkdf_expand(prk, unhex(given["iv_info"]), 13) == made._common_iv


def test_c_1_to_c_3_keys_and_nonces():
    for name in ("C.1", "C.2", "C.3"):
        check_derived(name, "client", "server")
        check_derived(name, "server", "client")


def check_sealed(given, key, outer, aad):
    """The parts of an outer message, and that its key is the one that RFC 8613 derives."""
    assert outer.option(coap.OSCORE) == unhex(given["option"])
    assert outer.payload == unhex(given["ciphertext"])
    assert aad == unhex(given["aad"])
    sealed = AesCcm(key, 8).seal(unhex(given["nonce"]), unhex(given["plaintext"]), aad)
    assert sealed == outer.payload
    assert coap.encode(outer) == unhex(given["protected"])


def asked(name):
    """Protect a request at the client, open it at the server; return both ends' state."""
    given = RFC["requests"][name]
    client = context(given["context"], "client", "server")
    server = context(given["context"], "server", "client")
    client.sequence = given["sequence"]
    outer, at_client = client.protect_request(coap.decode(unhex(given["unprotected"])))
    inner, at_server = server.unprotect_request(coap.decode(unhex(given["protected"])))
    assert coap.encode(inner) == unhex(given["unprotected"])
    return given, client, server, outer, at_client, at_server


def test_c_4_to_c_6_requests():
    for name in ("C.4", "C.5", "C.6"):
        given, client, _, outer, at_client, at_server = asked(name)
        key = unhex(RFC["derivations"][given["context"]]["client_key"])
        check_sealed(given, key, outer, client._aad(at_client))
        assert client.sequence == given["sequence"] + 1
        partial_iv, kid = unhex(given["partial_iv"]), unhex(given["kid"])
        assert decode_option(unhex(given["option"])) == (
            partial_iv,
            maybe(given["kid_context"]),
            kid,
        )
        for binding in (at_client, at_server):
            assert (binding.kid, binding.partial_iv) == (kid, partial_iv)
            assert binding.nonce == unhex(given["nonce"])


def test_c_7_and_c_8_responses():
    for name in ("C.7", "C.8"):
        given = RFC["responses"][name]
        request, client, server, _, at_client, at_server = asked(given["request"])
        key = unhex(RFC["derivations"][request["context"]]["server_key"])
        inner = coap.decode(unhex(given["unprotected"]))
        outer = server.protect_response(inner, at_server, given["own_partial_iv"])
        check_sealed(given, key, outer, server._aad(at_server))
        assert decode_option(unhex(given["option"]))[0] == maybe(given["partial_iv"])
        assert server.sequence == given["own_partial_iv"]
        back = client.unprotect_response(coap.decode(unhex(given["protected"])), at_client)
        assert coap.encode(back) == unhex(given["unprotected"])


def test_6_3_options():
    for name in sorted(RFC["options"]):
        given = RFC["options"][name]
        parts = [maybe(given[each]) for each in ("partial_iv", "kid_context", "kid")]
        option = unhex(given["option"])
        assert decode_option(option) == tuple(parts)
        if parts[0]:  # without a Partial IV there is nothing to encode: the option is empty
            assert encode_option(parts[0], parts[1], parts[2]) == option


def test_5_4_aad():
    given = RFC["aad"]["5.4"]
    binding = Binding(unhex(given["kid"]), unhex(given["partial_iv"]), b"")
    assert context("C.2", "client", "server")._aad(binding) == unhex(given["aad"])
