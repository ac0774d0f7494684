"""Who asks: a token in the header, or the page's session in a cookie.

    Authorization: Bearer skerry.NAME.SECRET
    Cookie: skerry-HUB-PORT=...    from POST /api/v1/session; HttpOnly, SameSite=Strict

A session lives in memory, and ends with its token. Other sites cannot use the cookie: it is not
sent from there, and what changes something has to come from the page's own origin.
"""

import secrets
import time
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from skerry_hub import tokens
from skerry_hub.store import Token
from skerry_hub.web.problems import problem
from skerry_hub.web.worker import Worker

SESSION_S = 12 * 3600.0
_MAX_SESSIONS = 256
_FAILURES = 10  # of an address, until it has to wait
_FAILURES_S = 60.0  # that long
_MAX_CHECKS = 4  # at once, of an address that has to wait: the places of the worker are for all
_MAX_ADDRESSES = 1024
_SAFE = ("GET", "HEAD")


class Refused(Exception):
    """Who asks may not; `response` says why."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


class _Session(NamedTuple):
    token: Token
    ends_at: float  # monotonic


def cookie_name(hub: str, port: int) -> str:
    """Name a hub's cookie: a browser gives all ports of a host the same ones.

    An id has only letters that the name of a cookie may have.
    """
    return f"skerry-{hub}-{port}"


class Auth:
    """Finds out who asks. `used` are tokens and when they were used last, not written down yet."""

    def __init__(self, worker: Worker, secure: bool, cookie: str) -> None:
        """`secure`: cookies are for TLS alone; `cookie` is their name."""
        self._worker = worker
        self.cookie = cookie
        self._secure = secure
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._checks: dict[str, int] = {}  # under way, by address
        self.used: dict[str, float] = {}

    async def whoever(self, request: web.Request, scope: str | None) -> Token:
        """Return the token of whoever asks; raise Refused unless it has the scopes, or none is."""
        said = request.headers.get(hdrs.AUTHORIZATION)
        if said is not None:
            kind, _, text = said.partition(" ")
            token = await self.check(request, text.strip() if kind.lower() == "bearer" else "")
        else:
            token = await self._of_session(request)
        for each in (scope or "").split():
            if each not in token.scopes.split():
                said = f"the token {token.name} lacks the scope {each}"
                raise Refused(
                    problem(403, "scope missing", f"{said}: make one with skerry token new")
                )
        self.used[token.name] = time.time()
        return token

    async def check(self, request: web.Request, text: str) -> Token:
        """Return the token that a text is; raise Refused.

        Raises Overloaded, and StoreError.
        """
        address = _network(request.remote or "")
        waiting = self._checks.get(address, 0)
        left = self._has_to_wait(address)
        if left and waiting >= _MAX_CHECKS:
            raise Refused(_too_many(left))
        self._checks[address] = waiting + 1
        try:
            token = await self._worker.do(lambda hub: tokens.check(hub.store, text))
        finally:
            self._checks[address] -= 1
            if not self._checks[address]:
                del self._checks[address]
        if token is None:
            raise Refused(self._wrong(address))
        return token  # of whatever address: behind a proxy, all have one

    def _has_to_wait(self, address: str) -> float:
        """Return for how many seconds an address's wrong tokens are answered with 429."""
        count, since = self._failures.get(address, (0, 0.0))
        left = _FAILURES_S - (time.monotonic() - since)
        return left if count >= _FAILURES and left > 0 else 0.0

    def _wrong(self, address: str) -> web.Response:
        """Count a wrong token and return what to say."""
        if wait := self._has_to_wait(address):
            return _too_many(wait)
        count, since = self._failures.get(address, (0, 0.0))
        fresh = time.monotonic() - since < _FAILURES_S
        self._failures[address] = (count + 1, since) if fresh else (1, time.monotonic())
        self._failures.move_to_end(address)
        if len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)
        return _nobody("this is no valid token: it is mistyped, expired or revoked").response

    async def _of_session(self, request: web.Request) -> Token:
        number = request.cookies.get(self.cookie, "")
        session = self._sessions.get(number)
        if session is None:
            raise _nobody("send a token as Authorization: Bearer; skerry token new makes one")
        if request.method not in _SAFE and not _own_origin(request):
            raise Refused(problem(
                403, "other origin",
                "a session is for the page itself: send a token as Authorization: Bearer",
            ))  # fmt: skip
        token = await self._worker.do(lambda hub: hub.store.token(session.token.name))
        ended = time.monotonic() > session.ends_at
        if ended or token is None or token.hash != session.token.hash or tokens.expired(token):
            self._sessions.pop(number, None)
            raise _nobody("the session has ended: log in again")
        return token

    def begin(self, token: Token, response: web.Response) -> None:
        """Begin a session of a token; its cookie is in the response."""
        number = secrets.token_urlsafe(32)
        self._sessions[number] = _Session(token, time.monotonic() + SESSION_S)
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        response.set_cookie(
            self.cookie, number, max_age=int(SESSION_S), path="/", httponly=True,
            samesite="Strict", secure=self._secure,
        )  # fmt: skip

    def end(self, request: web.Request, response: web.Response) -> None:
        """End the session of a request, if there is one."""
        self._sessions.pop(request.cookies.get(self.cookie, ""), None)
        response.del_cookie(
            self.cookie, path="/", httponly=True, samesite="Strict", secure=self._secure
        )

    async def write_down(self) -> None:
        """Make durable when tokens were used; raise StoreError."""
        if self.used:
            used, self.used = self.used, {}
            await self._worker.do(lambda hub: hub.store.note_tokens_used(used))


def _nobody(detail: str) -> Refused:
    return Refused(problem(401, "not authenticated", detail, WWW_Authenticate="Bearer"))


def _too_many(left: float) -> web.Response:
    return problem(
        429, "too many failures", f"too many wrong tokens: wait {left:.0f} seconds",
        Retry_After=str(int(left) + 1),
    )  # fmt: skip


def _own_origin(request: web.Request) -> bool:
    origin = request.headers.get(hdrs.ORIGIN)
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    return origin is not None and urlsplit(origin).netloc == request.host


def _network(address: str) -> str:
    """Return who counts as one: an IPv4 address, or all of an IPv6 /64."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return found.exploded[:19] if isinstance(found, IPv6Address) else address
