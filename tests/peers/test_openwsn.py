"""openwsn-coap's OSCORE, written from RFC 8613 by others, says the same of every message.

It encodes a Partial IV of 0 as an empty string, against section 5, so numbers start at 1; it has
no responses with a Partial IV, and no algorithm but 10.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from coap import coapDefines as defines
from coap import coapObjectSecurity as openwsn
from coap import coapOption
from hypothesis import given
from hypothesis import strategies as st

from skerry import coap
from skerry.oscore_server import ServerContext

ids = st.binary(max_size=7)
pairs_of_ids = st.tuples(ids, ids).filter(lambda pair: pair[0] != pair[1])
secrets = st.binary(min_size=16, max_size=16)
salts = st.binary(max_size=16)
id_contexts = st.one_of(st.none(), st.binary(max_size=20))
sequences = st.one_of(st.integers(1, 300), st.integers(1, 2**40 - 1))
paths = st.lists(st.text("abcdefgh0123", min_size=1, max_size=14), max_size=3)
payloads = st.binary(max_size=80)


@contextmanager
def theirs(
    secret: bytes, salt: bytes, sender: bytes, recipient: bytes, id_context: bytes | None
) -> Iterator[Any]:
    """A context of theirs, which lives in a file."""
    content = {
        "aeadAlgorithm": "AES_CCM_16_64_128", "hashFunction": "sha256",
        "masterSecret": secret.hex(), "masterSalt": salt.hex(), "senderID": sender.hex(),
        "recipientID": recipient.hex(), "sequenceNumber": 0, "replayWindow": [0],
    }  # fmt: skip
    if id_context is not None:
        content["idContext"] = id_context.hex()
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(content, file)
    try:
        yield openwsn.SecurityContext(file.name)
    finally:
        os.unlink(file.name)


def ours(
    secret: bytes, salt: bytes, sender: bytes, recipient: bytes, id_context: bytes | None
) -> ServerContext:
    return ServerContext(secret, salt, sender, recipient, id_context)


def wide(number: int) -> bytes:
    """A Partial IV as openwsn-coap takes it: as long as the nonce."""
    return number.to_bytes(13, "big")


@given(secrets, salts, pairs_of_ids, id_contexts)
def test_keys(secret: bytes, salt: bytes, two: tuple[bytes, bytes], id_context: Any) -> None:
    mine = ours(secret, salt, *two, id_context)
    with theirs(secret, salt, *two, id_context) as other:
        assert mine._common_iv == other.commonIV
        sealed = other.aeadAlgorithm.authenticateAndEncrypt(
            aad=b"aad", plaintext=b"text", key=other.senderKey, nonce=bytes(13)
        )
        assert mine._sender.seal(bytes(13), b"text", b"aad") == sealed
        sealed = other.aeadAlgorithm.authenticateAndEncrypt(
            aad=b"aad", plaintext=b"text", key=other.recipientKey, nonce=bytes(13)
        )
        assert mine._recipient.open(bytes(13), sealed, b"aad") == b"text"


@given(secrets, salts, pairs_of_ids, id_contexts, sequences, paths, payloads, payloads)
def test_requests_and_responses(
    secret: bytes,
    salt: bytes,
    two: tuple[bytes, bytes],
    id_context: bytes | None,
    number: int,
    path: list[str],
    asked: bytes,
    answered: bytes,
) -> None:
    """Both ends seal the same bytes, and each opens what the other one sealed."""
    client = ours(secret, salt, *two, id_context)
    server = ours(secret, salt, *two[::-1], id_context)
    client.sequence = number
    inner = coap.Message(coap.POST, coap.path_options("/".join(path)), asked)
    outer, binding = client.protect_request(inner)

    with theirs(secret, salt, *two, id_context) as their_client:
        option = coapOption.ObjectSecurity(context=their_client)
        options = [option, *[coapOption.UriPath(each) for each in path]]
        code, _, sealed = openwsn.protectMessage(
            their_client, 1, defines.METHOD_POST, options, list(asked), wide(number)
        )
        assert (code, sealed) == (outer.code, outer.payload)
        assert bytes(option.getPayloadBytes()) == outer.option(coap.OSCORE)

        with theirs(secret, salt, *two[::-1], id_context) as their_server:
            at_server = coapOption.ObjectSecurity(context=their_server)
            code, _, payload = openwsn.unprotectMessage(
                their_server, 1, outer.code, [at_server], outer.payload, wide(number)
            )
            assert (code, bytes(payload)) == (coap.POST, asked)
            code, _, response = openwsn.protectMessage(
                their_server, 1, defines.COAP_RC_2_05_CONTENT, [at_server], list(answered),
                wide(number),
            )  # fmt: skip

        _, bound = server.unprotect_request(outer)
        reply = server.protect_response(coap.Message(coap.CONTENT, [], answered), bound)
        assert (code, response) == (reply.code, reply.payload)
        theirs_sealed = coap.Message(code, [(coap.OSCORE, b"")], response)
        assert client.unprotect_response(theirs_sealed, binding).payload == answered
        code, _, payload = openwsn.unprotectMessage(
            their_client, 1, reply.code, [option], reply.payload, wide(number)
        )
        assert (code, bytes(payload)) == (coap.CONTENT, answered)
