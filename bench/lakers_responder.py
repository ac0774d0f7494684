"""EDHOC with lakers: the processor time of the responder's side, without sockets or a request.

lakers_responder.py COUNT      prints seconds a handshake, once for each line on stdin
"""

import sys
import time

import cbor2
import lakers

_IN_REFERENCE = lakers.CredentialTransfer.ByReference


def _credential(name: str) -> tuple[bytes, lakers.Credential]:
    """Return a private key and its CCS (RFC 9528 section 3.5.2)."""
    private, public = lakers.p256_generate_key_pair()
    key = {1: 2, 2: name.encode()[:1], -1: 1, -2: public, -3: bytes(32)}
    return private, lakers.Credential(cbor2.dumps({2: name, 8: {1: key}}))


def cost(count: int) -> float:
    """Return seconds a handshake."""
    (private_i, public_i), (private_r, public_r) = _credential("i"), _credential("r")
    spent = 0.0
    for _ in range(count):
        initiator = lakers.EdhocInitiator()
        message_1 = initiator.prepare_message_1(c_i=None)
        begun = time.thread_time()
        responder = lakers.EdhocResponder(private_r, public_r)
        responder.process_message_1(message_1)
        message_2 = responder.prepare_message_2(_IN_REFERENCE, None, None)
        spent += time.thread_time() - begun
        _, who, _ = initiator.parse_message_2(message_2)
        initiator.verify_message_2(
            private_i, public_i, lakers.credential_check_or_fetch(who, public_r)
        )
        message_3, secret = initiator.prepare_message_3(_IN_REFERENCE, None)
        begun = time.thread_time()
        who, _ = responder.parse_message_3(message_3)
        found = lakers.credential_check_or_fetch(who, public_i)
        ours = responder.verify_message_3(found)
        responder.completed_without_message_4()
        responder.edhoc_exporter(0, b"", 16)  # OSCORE's Master Secret and Salt
        responder.edhoc_exporter(1, b"", 8)
        spent += time.thread_time() - begun
        assert ours == secret
    return spent / count


for _ in iter(sys.stdin.readline, ""):
    print(cost(int(sys.argv[1])), flush=True)
