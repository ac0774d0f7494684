"""A webhook's receiver, as somebody else would write it: aiohttp and the standardwebhooks package.

    receiver.py FOLDER PORT [CERTIFICATE KEY]

FOLDER/secret is the secret, FOLDER/mode says how to behave, read anew for each request:

    ok              verify, write all items to FOLDER/items, answer 204
    slow SECONDS    the same, later
    hang            never answer
    garbage         answer what is no HTTP
    flood           the same as ok, with a body that never ends
    STATUS [PLACE]  answer that, with a Location

FOLDER/requests gets a line for each request.
"""

import asyncio
import json
import os
import ssl
import sys
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

FOLDER = Path(sys.argv[1])


def write(name, *lines):
    with (FOLDER / name).open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in lines)
        file.flush()
        os.fsync(file.fileno())


async def receive(request):
    body = await request.read()
    mode, *more = (FOLDER / "mode").read_text().split()
    told = {"mode": mode, "id": request.headers.get("webhook-id"), "size": len(body)}
    if mode.isdigit():
        write("requests", told)
        return web.Response(status=int(mode), headers={"Location": more[0]} if more else {})
    if mode == "garbage":
        write("requests", told)
        request.transport.write(b"no HTTP at all\r\n\r\n")
        request.transport.close()
        await asyncio.sleep(3600)
    if mode == "hang":
        write("requests", told)
        await asyncio.sleep(3600)
    try:
        said = Webhook((FOLDER / "secret").read_text().strip()).verify(body, dict(request.headers))
    except WebhookVerificationError as error:
        write("requests", {**told, "refused": str(error)})
        return web.Response(status=400)
    if mode == "slow":
        await asyncio.sleep(float(more[0]))
    write("items", *[{"log": said["log"], "hub": said["hub"], **each} for each in said["data"]])
    write("requests", told)
    if mode == "flood":
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(bytes(1 << 16))
    return web.Response(status=204)


async def main():
    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = None
    if len(sys.argv) > 3:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[3], sys.argv[4])
    site = web.TCPSite(
        runner, "127.0.0.1", int(sys.argv[2]), ssl_context=context, reuse_address=True
    )
    await site.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
