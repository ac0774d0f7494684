"""Code, straight-line oracle and frozen vectors say the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st
from properties import oracle

from skerry import coap, provisioning, schedule
from skerry.initiator import Start
from skerry.primitives import hkdf_expand
from skerry.responder import Known, identify
from skerry.session import Session

VECTORS = Path(__file__).parents[1] / "vectors" / "handshake_v1.json"


def by_the_code(
    suite: int,
    timed: bool,
    master_key: bytes,
    device_id: bytes,
    hub_id: bytes,
    era: int,
    step: int,
    n_d: bytes,
    n_h: bytes,
    time: int,
) -> dict[str, bytes]:
    """The same as oracle.handshake, by a device and a hub of ours."""
    ctx = schedule.context(suite, device_id, hub_id)
    chain = provisioning.first_epoch(master_key, ctx)
    for _ in range(era):
        chain = chain.next_era()
    for _ in range(step):
        chain = chain.next_step()
    message_1, waiting = Start(ctx, suite, chain).send(n_d, timed)
    hello = identify(message_1)
    verified = Known(ctx, suite, chain, None).verify(hello, era)
    message_2, at_hub = verified.answer(n_h, time)
    accepted = waiting.receive(message_2)
    secret = accepted.persisted(accepted.record)
    assert secret == at_hub
    assert accepted.time == (time if timed else None)
    assert verified.chain is not None
    assert verified.chain.pack() == accepted.record
    session = Session(secret, suite)
    get = coap.Message(coap.GET, [(coap.URI_PATH, b"a")], mid=0x1234, token=b"\x77")
    outer, _ = session.oscore.protect_request(get)
    key, salt, kid = schedule.oscore_secrets(secret)
    return {
        "ctx": ctx,
        "chain_key": chain.chain_key,
        "next_root": chain.pack()[40:],
        "epoch_key": verified.pending.ek,
        "pid": hello.pid,
        "message_1": message_1,
        "message_2": message_2,
        "session_secret": secret,
        "record": accepted.record,
        "oscore_master_secret": key,
        "oscore_master_salt": salt,
        "oscore_kid": kid,
        "fingerprint": bytes.fromhex(session.fingerprint),
        "first_get": coap.encode(outer),
    }


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text()))
def test_vectors(vector: dict[str, Any]) -> None:
    given = {k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in vector["given"].items()}
    made = {name: value.hex() for name, value in by_the_code(**given).items()}
    assert made == vector["expected"]
    assert oracle.solve(vector["given"]) == vector["expected"]


def test_the_vectors_are_the_oracles() -> None:
    made = [{"given": each, "expected": oracle.solve(each)} for each in oracle.inputs()]
    assert json.loads(VECTORS.read_text()) == made


keys, nonces = st.binary(min_size=32, max_size=32), st.binary(min_size=8, max_size=8)
ids = st.binary(min_size=1, max_size=255)
arguments = st.fixed_dictionaries(
    {
        "suite": st.integers(0, 1),
        "timed": st.booleans(),
        "master_key": keys,
        "device_id": ids,
        "hub_id": ids,
        "era": st.integers(0, 5),
        "step": st.integers(0, 5),
        "n_d": nonces,
        "n_h": nonces,
        "time": st.integers(0, 2**40 - 1),
    }
)


@given(arguments)
def test_any_handshake(given: dict[str, Any]) -> None:
    assert by_the_code(**given) == oracle.handshake(**given)


@given(keys, st.binary(max_size=60), st.integers(1, 300))
def test_hkdf_expand(key: bytes, info: bytes, length: int) -> None:
    assert hkdf_expand(key, info, length) == HKDFExpand(SHA256(), length, info).derive(key)
