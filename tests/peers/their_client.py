"""aiocoap's OSCORE client."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiocoap
from peers.parts import Address, Context

Ask = Callable[..., Awaitable[aiocoap.Message]]


def in_session(
    address: Address, context: Context, folder: Path, steps: Callable[[Ask, Any], Awaitable[None]]
) -> None:
    """Run steps with a client of aiocoap's that holds this context for the peer at an address."""
    host, port = address
    credentials = {"oscore": {"basedir": str(folder)}}
    if not folder.exists():
        context.for_aiocoap("client", folder)

    async def run() -> None:
        client = await aiocoap.Context.create_client_context()
        client.client_credentials.load_from_dict({f"coap://{host}:{port}/*": credentials})

        async def ask(code: aiocoap.Code, path: str, **more: Any) -> aiocoap.Message:
            request = aiocoap.Message(code=code, uri=f"coap://{host}:{port}/{path}", **more)
            return await asyncio.wait_for(client.request(request).response, 10)

        try:
            await steps(ask, client)
        finally:
            await client.shutdown()
            for each in client.client_credentials.values():
                each._destroy()  # writes its sequence number and frees its folder

    asyncio.run(run())
