"""Errors as problem documents (RFC 9457): each HubError with its status."""

import msgspec
from aiohttp import web

from skerry_hub import errors
from skerry_hub.web.schema import Problem

_STATUS: dict[type[errors.HubError], int] = {
    errors.UnknownDevice: 404,
    errors.DuplicateDevice: 409,
    errors.BundleGone: 410,
    errors.BundleError: 409,
    errors.NotAllowed: 403,
    errors.NoAddress: 409,
    errors.DeviceSilent: 504,
    errors.DeviceBusy: 503,
    errors.DeviceError: 409,
    errors.Overloaded: 503,
    errors.StoreError: 503,
    errors.VaultError: 500,
    errors.HubError: 400,
}
MEDIA_TYPE = "application/problem+json"


def of(error: errors.HubError) -> web.Response:
    """Return the answer for an error of the hub."""
    kind = next(each for each in type(error).__mro__ if each in _STATUS)
    if type(error) is errors.HubError:
        return problem(_STATUS[kind], "bad request", str(error))
    words = "".join(f" {each}" if each.isupper() else each for each in type(error).__name__)
    return problem(_STATUS[kind], words.strip().lower(), str(error))


def problem(status: int, title: str, detail: str, **headers: str) -> web.Response:
    """Return an answer; `title` is always the same for one kind of problem."""
    said = Problem(f"urn:skerry:problem:{title.replace(' ', '-')}", title, status, detail)
    return web.Response(
        body=msgspec.json.encode(said),
        status=status,
        content_type=MEDIA_TYPE,
        headers={each.replace("_", "-"): value for each, value in headers.items()},
    )
