"""The listening of the web interface: TLS, headers, errors, and each route of the table."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from skerry_hub.config import Config
from skerry_hub.control import Handler
from skerry_hub.endpoints import is_loopback, show
from skerry_hub.enrolment import Hub
from skerry_hub.errors import ConfigError, HubError, StoreError
from skerry_hub.listening import Site
from skerry_hub.running import Running
from skerry_hub.store import Token
from skerry_hub.store.ledger import acting_as
from skerry_hub.web import openapi, problems
from skerry_hub.web.auth import Auth, Refused, cookie_name
from skerry_hub.web.problems import problem
from skerry_hub.web.rates import MINUTE_S
from skerry_hub.web.routes import BASE, ROUTES, Route
from skerry_hub.web.schema import encode
from skerry_hub.web.service import Call, Service
from skerry_hub.web.worker import Worker

_STATIC = Path(__file__).with_name("static")
_MAX_BODY = 64 * 1024  # bytes
_MAX_CONNECTIONS = 256
_BODY_WITHIN_S = 10.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'",
    "Server": "skerry",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

log = logging.getLogger(__name__)


class Server:
    """Serves from `start` to `stop`; `url` is where."""

    def __init__(
        self, running: Running, hub: Hub, config: Config, orders: dict[str, Handler]
    ) -> None:
        """Raise ConfigError if the settings do not allow it: see `_tls`."""
        assert config.web is not None  # noqa: S101 - for the type checker
        self._endpoint = config.web
        self._tls = _tls(config)
        worker = Worker(hub, config)
        auth = Auth(worker, bool(self._tls), cookie_name(hub.id, config.web[1]))
        self.service = Service(running, config, orders, worker, auth)
        app = _application(self.service)
        self._site = Site("the web interface", app, _MAX_CONNECTIONS, self._tls)
        self._task: asyncio.Task[None] | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen; raise HubError if the address cannot be had."""
        try:
            bound = await self._site.start(self._endpoint)
        except OSError as error:
            await self.stop()
            raise HubError(
                f"cannot serve the web interface on {show(self._endpoint)}:"
                f" {error.strerror or error}; choose another address in the settings"
            ) from None
        self.url = f"{'https' if self._tls else 'http'}://{show(bound)}/"
        self._task = asyncio.create_task(self._every_minute())

    async def stop(self) -> None:
        """Serve no more."""
        if self._task is not None:
            self._task.cancel()
        await self._site.stop()
        with suppress(StoreError):  # a hint
            await self.service.auth.write_down()
        await self.service.worker.close()

    async def _every_minute(self) -> None:
        while True:
            await asyncio.sleep(MINUTE_S)
            self.service.rates.tick()
            try:
                await self.service.auth.write_down()
            except StoreError as error:
                log.error("%s", error)


def _tls(config: Config) -> ssl.SSLContext | None:
    """Return what TLS needs; None on a loopback address without it, elsewhere ConfigError."""
    if config.web_cert is None or config.web_key is None:
        if config.web_cert is not config.web_key:
            raise ConfigError("web_cert and web_key: say both of them, or none")
        if not is_loopback(config.web[0] if config.web else ""):
            raise ConfigError(
                "tokens would cross the network in clear: say web_cert and web_key, or listen on"
                " 127.0.0.1 behind a reverse proxy (docs/web.md)"
            )
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.web_cert, config.web_key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"web_cert {config.web_cert} with web_key {config.web_key}:"
            f" {error.strerror or error}; both are PEM files without a password"
        ) from None
    return context


def _no_password() -> str:
    raise OSError("the key has a password")


def _application(service: Service) -> web.Application:
    app = web.Application(client_max_size=_MAX_BODY, middlewares=[_problems])
    for route in ROUTES:
        path = BASE + route.path.replace("{path}", "{path:.+}")
        app.router.add_route(route.method, path, _handler(service, route))
    described = msgspec.json.format(
        msgspec.json.encode(openapi.document(service.auth.cookie)), indent=1
    )

    async def document(_: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json")

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(_STATIC / "index.html")

    app.router.add_get(BASE + "/openapi.json", document)
    app.router.add_get("/", page)
    app.router.add_static("/static", _STATIC)
    app.on_response_prepare.append(_add_headers)
    return app


def _handler(service: Service, route: Route) -> Callable[[web.Request], Awaitable[Any]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        token = None
        if route.scope is not None:
            token = await service.auth.whoever(request, route.scope or None)
        call = await _call(request, route, token)
        with acting_as(f"token {token.name}" if token else "nobody"):
            answer = await route.call(service, call)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(
            body=encode(answer), status=route.status, content_type="application/json"
        )

    return handle


async def _call(request: web.Request, route: Route, token: Token | None) -> Call:
    """Read what a route takes; raise msgspec.ValidationError, or Refused."""
    query = body = None
    if route.query is not None:
        query = msgspec.convert(dict(request.query), route.query, strict=False)
    if route.body is not None:
        if request.can_read_body and request.content_type != "application/json":
            raise Refused(problem(
                415, "not json", "send JSON, with Content-Type: application/json",
            ))  # fmt: skip
        try:
            async with asyncio.timeout(_BODY_WITHIN_S):
                said = await request.read()
        except TimeoutError:
            raise Refused(problem(408, "request timeout", "the body came too late")) from None
        body = msgspec.json.decode(said or b"{}", type=route.body)
    where = request.match_info
    return Call(request, token, where.get("id", ""), where.get("path", ""), query, body)


@web.middleware
async def _problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn errors into problem documents."""
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response
    except HubError as error:
        return problems.of(error)
    except msgspec.DecodeError as error:  # a ValidationError is one
        return problem(400, "bad request", f"{error}; {BASE}/openapi.json says what fits")
    except web.HTTPException as error:
        return _refused(request, error)
    except Exception:
        log.exception("the web interface failed at %s %s", request.method, request.path)
        return problem(500, "internal error", "the hub's log says what failed: report it")


def _refused(request: web.Request, error: web.HTTPException) -> web.Response:
    """Turn aiohttp's own errors into problem documents."""
    if error.status < 400:
        raise error
    detail = f"{request.method} {request.path}: {BASE}/openapi.json lists all there is"
    if error.status == 413:
        detail = f"a body has at most {_MAX_BODY:,} bytes"
    allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return problem(error.status, (error.reason or "error").lower(), detail, **allowed)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    if request.path.startswith(BASE):
        response.headers["Cache-Control"] = "no-store"
    else:
        response.headers["Cache-Control"] = "no-cache"
