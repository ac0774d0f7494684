"""The floor: a uvloop process that sends every datagram back.

echo.py PORT        prints a line once it listens
"""

import asyncio
import sys

import uvloop


class Echo(asyncio.DatagramProtocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        """Remember the way back."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Send it back."""
        self.transport.sendto(data, address)


async def main(port: int) -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", port))
    print("ready", flush=True)
    await loop.create_future()


uvloop.run(main(int(sys.argv[1])))
