"""What the interface tells: the hub, its devices and their histories."""

import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import cast

from aiohttp import web

from skerry_hub import device_config, explain, policy, store
from skerry_hub.bulk import label
from skerry_hub.bulk.label_text import LabelText
from skerry_hub.enrolment import Hub
from skerry_hub.store import Wanted, named
from skerry_hub.store.ledger import Entry
from skerry_hub.web import schema
from skerry_hub.web.service import Call, Service

_STEPS_S = {1: 60, 6: 300, 24: 900}  # of so many hours


async def status(service: Service, _: Call) -> schema.Status:
    """Return the hub at a glance."""
    running = service.running
    devices = await service.worker.do(lambda hub: dict(hub.store.population()))
    return schema.Status(
        running.id, version("skerry"), running.started, time.time(), len(running.sessions),
        devices, dict(running.handshakes.counts), dict(running.front.counts), service.failures(),
    )  # fmt: skip


async def rates(service: Service, call: Call) -> schema.Rates:
    """Return what was counted lately."""
    hours: int = call.query.hours
    step_s = _STEPS_S[hours]
    begun_at, series = service.rates.last(hours * 60, step_s // 60)
    return schema.Rates(begun_at, step_s, series)


async def devices(service: Service, call: Call) -> schema.Devices:
    """Return a page of devices."""
    asked: schema.DevicesAsked = call.query
    wanted = Wanted(asked.state, asked.tag, asked.text)
    page = await service.worker.do(lambda hub: hub.store.page(asked.after, asked.limit, wanted))
    return schema.Devices([_device(service, each) for each in page.devices], page.next)


def _device(service: Service, row: store.Device) -> schema.Device:
    session = service.running.session(row.name)
    seen_at = row.seen_at if session is None else time.time() - session["heard_s"]
    return schema.Device(
        row.name, row.label, cast(schema.State, row.state), row.tags.split(), row.suite, row.era,
        row.step, row.fingerprint, row.session_fingerprint, row.enrolled_at, seen_at,
        row.readings, row.chip, row.board, session is not None,
    )  # fmt: skip


async def device(service: Service, call: Call) -> schema.Detail:
    """Return a device, its session and its last reading."""

    def read(hub: Hub) -> tuple[store.Device, store.Reading | None]:
        found = named(hub.store, call.id)
        return found, hub.store.last_reading(found.id)

    found, last = await service.worker.do(read)
    session = service.running.session(call.id)
    return schema.Detail(
        _device(service, found),
        None if session is None else schema.Session(**session),
        None if last is None else _reading(last),
    )


async def readings(service: Service, call: Call) -> schema.Readings:
    """Return some of a device's readings."""
    asked: schema.PieceAsked = call.query
    found = await service.worker.do(
        lambda hub: hub.store.readings_before(
            named(hub.store, call.id).id, asked.before, asked.limit
        )
    )
    return schema.Readings([_reading(each) for each in found], _next(found, asked.limit))


async def device_audit(service: Service, call: Call) -> schema.Entries:
    """Return some of the entries about a device."""
    asked: schema.PieceAsked = call.query
    await service.worker.do(lambda hub: named(hub.store, call.id))
    return await _entries(service, asked, call.id)


async def audit(service: Service, call: Call) -> schema.Entries:
    """Return some of the audit log."""
    asked: schema.AuditAsked = call.query
    return await _entries(service, asked, asked.device or None)


async def _entries(
    service: Service, asked: schema.PieceAsked, subject: str | None
) -> schema.Entries:
    found = await service.worker.do(
        lambda hub: hub.store.audit_before(asked.before, asked.limit, subject)
    )
    entries = [
        schema.Entry(
            each.id, each.at, each.who, each.action, each.subject, dict(each.said),
            each.hash.hex(),
        )
        for each in found
    ]  # fmt: skip
    return schema.Entries(entries, _next(found, asked.limit))


def _next(found: Sequence[store.Reading] | Sequence[Entry], limit: int) -> int | None:
    return found[-1].id if len(found) == limit else None


async def explained(service: Service, call: Call) -> schema.Findings:
    """Return why nothing arrives from a device."""
    seen = await service.running.seen({"device": call.id})
    found = await service.worker.do(lambda hub: explain.explain(hub.store, call.id, seen))
    return schema.Findings([schema.Finding(**vars(each)) for each in found])


async def values(service: Service, call: Call) -> schema.SetValues:
    """Return what is set for a device."""
    found = await service.worker.do(
        lambda hub: device_config.values(hub.store, hub.vault, call.id)
    )
    said = [
        schema.SetValue(each.path, each.format, text(each.payload), each.payload.hex())
        for each in found
    ]
    return schema.SetValues(said)


async def rules(service: Service, _: Call) -> schema.Policy:
    """Return who may talk to whom."""
    found = await service.worker.do(lambda hub: policy.rules(hub.store))
    return schema.Policy([str(each) for each in found])


async def label_svg(service: Service, call: Call) -> web.Response:
    """Return the code of a device's label; no key is in it."""
    found = await service.worker.do(lambda hub: named(hub.store, call.id))
    said = LabelText(found.name, service.running.id, found.fingerprint)
    return web.Response(body=label.svg(said), content_type="image/svg+xml")


def text(payload: bytes) -> str | None:
    """Return a payload as text, if it is one."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def _reading(found: store.Reading) -> schema.Reading:
    payload = found.payload
    return schema.Reading(
        found.id, found.at, found.path, found.format, text(payload), payload.hex()
    )
