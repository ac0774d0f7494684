"""A node with asyncio: posts every second, obeys what it observes, answers the hub's requests."""

import asyncio

from skerry_device import aio
from skerry_device.errors import HubSilent

state = {"led": "off", "posted": 0}


async def post_readings(hub):
    """Post as long as the program runs; while the hub is silent, try again and again."""
    while True:
        try:
            await hub.post("readings", {"n": state["posted"]})
            state["posted"] += 1
        except HubSilent as error:
            print(error)
        await asyncio.sleep(1)


async def main():
    """Connect, then do three things at once."""
    hub = await aio.connect()
    hub.serve("state", get=lambda request: state)
    posting = asyncio.create_task(post_readings(hub))
    async for message in hub.observe("config/led"):
        if message.ok:
            state["led"] = message.text() or "off"
            print("led", state["led"])
    posting.cancel()


asyncio.run(main())
