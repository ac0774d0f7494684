"""What the interface does: the services of the commands, as whoever's token it is."""

import io
import zipfile
from typing import cast

from aiohttp import web

from skerry_hub import device_config, enrolment, handover, policy
from skerry_hub.endpoints import parse_reachable, show
from skerry_hub.enrolment import Hub
from skerry_hub.errors import BundleError, HubError
from skerry_hub.store import named
from skerry_hub.web import schema
from skerry_hub.web.reads import rules, text
from skerry_hub.web.service import Call, Service

_BINARY = ("bytes", "cbor")


async def login(service: Service, call: Call) -> web.Response:
    """Begin a session of the page."""
    token = await service.auth.check(call.request, call.body.token)
    said = schema.Whoever(token.name, token.scopes.split(), token.expires_at)
    response = web.Response(body=schema.encode(said), content_type="application/json")
    service.auth.begin(token, response)
    return response


async def whoever(_: Service, call: Call) -> schema.Whoever:
    """Return whose token it is, and what it may do."""
    return schema.Whoever(call.who.name, call.who.scopes.split(), call.who.expires_at)


async def logout(service: Service, call: Call) -> web.Response:
    """End the session of the page."""
    response = web.Response(status=204)
    service.auth.end(call.request, response)
    return response


async def enrol(service: Service, call: Call) -> schema.Enrolled:
    """Enrol a device; its bundle is fetched once, with `bundle`."""
    asked: schema.Enrol = call.body
    address = parse_reachable(asked.address) if asked.address else service.config.advertised
    tags = enrolment.checked_tags(asked.tags)

    done = await service.worker.do(
        lambda hub: enrolment.enroll(
            hub, asked.id or None, label=asked.label, address=address, suite=asked.suite, tags=tags
        )
    )
    return _enrolled(done, show(address))


async def undelete(service: Service, call: Call) -> schema.Enrolled:
    """Give a revoked device a new key."""
    address = service.config.advertised
    done = await service.worker.do(lambda hub: enrolment.undelete(hub, call.id, address))
    return _enrolled(done, show(address))


def _enrolled(done: enrolment.Enrolled, address: str) -> schema.Enrolled:
    where = f"/api/v1/devices/{done.name}/bundle"
    return schema.Enrolled(done.name, done.label, done.fingerprint, address, where)


async def bundle(service: Service, call: Call) -> web.StreamResponse:
    """Hand a bundle over, then erase the hub's own copy of it."""
    if call.id in service.handing_over:
        raise BundleError(f"the bundle of {call.id} is being handed over to somebody else")
    service.handing_over.add(call.id)
    try:
        since = call.who.created_at
        files = await service.worker.do(lambda hub: handover.take(hub, call.id, since))
        response = web.StreamResponse()
        response.content_type = "application/zip"
        response.headers["Content-Disposition"] = f'attachment; filename="{call.id}.zip"'
        response.enable_chunked_encoding()  # its end tells that the hub's copy is gone
        await response.prepare(call.request)
        await response.write(_zipped(call.id, files))
        await service.worker.do(lambda hub: handover.done(hub, call.id))
        await response.write_eof()
    finally:
        service.handing_over.discard(call.id)
    return response


def _zipped(name: str, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for file, content in files.items():
            said = zipfile.ZipInfo(f"{name}/{file}")
            said.external_attr = 0o600 << 16
            archive.writestr(said, content)
    return out.getvalue()


async def revoke(service: Service, call: Call) -> schema.Changed:
    """Erase a device's keys and end its session."""
    return await _changed(service, call, lambda hub: hub.store.revoke(call.id))


async def quarantine(service: Service, call: Call) -> schema.Changed:
    """Cut a device off and keep its keys."""
    reason: str = call.body.reason
    enrolment.check_reason(reason)
    return await _changed(service, call, lambda hub: hub.store.quarantine(call.id, reason))


async def release(service: Service, call: Call) -> schema.Changed:
    """Let a device out of quarantine."""
    return await _changed(service, call, lambda hub: hub.store.release(call.id))


async def _changed(service: Service, call: Call, act: "handover.Act") -> schema.Changed:
    def change(hub: Hub) -> schema.Changed:
        changed = act(hub)
        state = named(hub.store, call.id).state
        return schema.Changed(call.id, cast(schema.State, state), changed)

    return await service.worker.do(change)


async def set_tags(service: Service, call: Call) -> schema.Tags:
    """Set all tags of a device."""
    tags = enrolment.checked_tags(call.body.tags)

    def act(hub: Hub) -> schema.Tags:
        hub.store.set_tags(call.id, tags)
        return schema.Tags(named(hub.store, call.id).tags.split())

    return await service.worker.do(act)


async def set_value(service: Service, call: Call) -> web.Response:
    """Set a value, which the device fetches or observes."""
    asked: schema.Value = call.body
    await _set(service, call, asked.format, payload_of(asked))
    return web.Response(status=204)


async def unset_value(service: Service, call: Call) -> web.Response:
    """Unset a value."""
    await _set(service, call, "text", None)
    return web.Response(status=204)


async def _set(service: Service, call: Call, format: str, payload: bytes | None) -> None:
    await service.worker.do(
        lambda hub: device_config.set_value(
            hub.store, hub.vault, call.id, call.path, format, payload
        )
    )


def payload_of(said: schema.Value) -> bytes:
    """Return the payload that a value is; raise HubError."""
    if (said.text is None) == (said.hex is None):
        raise HubError("say the value as text, or as hex")
    if said.text is not None and said.format not in _BINARY:
        return said.text.encode()
    try:
        return bytes.fromhex(said.hex or "")
    except ValueError:
        raise HubError("hex is an even number of hexadecimal digits") from None


async def poke(service: Service, call: Call) -> schema.Poked:
    """Ask a device for a new session."""
    done = await service.orders["poke"]({"device": call.id})
    return schema.Poked(call.id, done["address"])


async def request(service: Service, call: Call) -> schema.Response:
    """Send a request to a device in its session and wait for the response."""
    asked: schema.Request = call.body
    empty = asked.text is None and asked.hex is None
    answer = await service.orders["request"]({
        "device": call.id, "method": asked.method, "path": asked.path, "timeout": asked.timeout,
        "payload": "" if empty else payload_of(asked).hex(),
        "format": None if empty else device_config.FORMATS[asked.format],
    })  # fmt: skip
    payload = bytes.fromhex(answer["payload"])
    return schema.Response(
        answer["code"], answer["ok"], answer["format"], text(payload), payload.hex()
    )


async def set_rules(service: Service, call: Call) -> schema.Policy:
    """Set all rules of who may talk to whom."""
    parsed = policy.parse("\n".join(call.body.rules))
    await service.worker.do(lambda hub: policy.put(hub.store, parsed))
    return await rules(service, call)
