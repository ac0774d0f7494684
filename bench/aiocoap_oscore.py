"""aiocoap's own OSCORE server: a resource that takes POSTs, and contexts found in a dictionary.

aiocoap_oscore.py PORT CONTEXTS     prints a line once it listens
"""

import asyncio
import logging
import sys

import aiocoap
from aiocoap import credentials, oscore, resource
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper

SALT = bytes(8)


def contexts(count: int) -> dict[bytes, bytes]:
    """Return Master Secrets by the client's Sender ID."""
    return {number.to_bytes(3, "big"): number.to_bytes(16, "big") for number in range(count)}


class Context(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):
    """A security context in memory."""

    echo_recovery = None
    id_context = None

    def __init__(self, kid: bytes, secret: bytes) -> None:
        self.alg_aead = oscore.AES_CCM_16_64_128()
        self.hashfun = oscore.hashfunctions["sha256"]
        self.sender_id, self.recipient_id = b"", kid
        self.derive_keys(SALT, secret)
        self.sender_sequence_number = 0
        self.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
        self.recipient_replay_window.initialize_empty()
        self.authenticated_claims = [kid.hex()]

    def post_seqnoincrease(self) -> None:
        """Nothing is stored."""


class Contexts(credentials.CredentialsMap):
    """Finds contexts in one step, which is faster than what aiocoap does."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.by_kid = {kid: Context(kid, secret) for kid, secret in contexts(count).items()}

    def find_oscore(self, unprotected: dict) -> Context:
        """Return the context of a kid, or raise KeyError."""
        return self.by_kid[unprotected[oscore.COSE_KID]]


class Sink(resource.Resource):
    """Takes a payload and stores nothing."""

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        """Say that it was taken."""
        return aiocoap.Message(code=aiocoap.CHANGED)


async def main(port: int, count: int) -> None:
    """Serve so many contexts for ever."""
    logging.disable(logging.CRITICAL)
    site = resource.Site()
    site.add_resource(["readings"], Sink())
    found = Contexts(count)
    await aiocoap.Context.create_server_context(
        OscoreSiteWrapper(site, found),
        bind=("127.0.0.1", port),
        transports=["udp6"],
        server_credentials=found,
    )
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
