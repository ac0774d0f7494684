"""HTTP that is held open: bounds on connections, with and without TLS, on the desk."""

import asyncio
import logging
import resource
import socket
import ssl
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from certificates import Authority

from skerry_hub import listening
from skerry_hub.listening import Site

MOST = 3
WITHIN_S = 0.4
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(listening, "WITHIN_S", WITHIN_S)
    monkeypatch.setattr(listening, "_LOOK_S", 0.05)


@pytest.fixture(params=["clear", "TLS"])
def contexts(request):
    """The server's and the client's half of TLS, or nothing of either."""
    return request.getfixturevalue("tls") if request.param == "TLS" else (None, None)


@pytest.fixture
def tls(tmp_path):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*Authority(tmp_path).certificate("127.0.0.1"))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return server, client


class Desk:
    """A site with a short page, a long one, and one that is slow; and its callers."""

    def __init__(self, contexts):
        server, self.tls = contexts
        app = web.Application()
        app.router.add_get("/", self._short)
        app.router.add_get("/long", self._long)
        app.router.add_get("/slow", self._slow)
        self.site = Site("the desk", app, MOST, server)
        self._writers = []

    async def _short(self, _):
        return web.Response(text="short")

    async def _long(self, _):
        return web.Response(body=bytes(8_000_000))

    async def _slow(self, _):
        await asyncio.sleep(3 * WITHIN_S)
        return web.Response(text="slow")

    async def __aenter__(self):
        self.where = await self.site.start(("127.0.0.1", 0))
        return self

    async def __aexit__(self, *_):
        for each in self._writers:
            each.transport.abort()
        await self.site.stop()

    async def call(self, said=b""):
        reader, writer = await asyncio.open_connection(*self.where, ssl=self.tls)
        self._writers.append(writer)
        writer.write(said)
        return reader, writer

    async def get(self, path="/"):
        reader, _ = await self.call(ASK.replace(b"/ ", path.encode() + b" ", 1))
        return await answer(reader)


async def answer(reader):
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def ended(reader):
    """Wait for the end of a connection; return how long it took."""
    began = time.monotonic()
    try:
        while await asyncio.wait_for(reader.read(1 << 16), 5):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - began


def run(contexts, use):
    async def with_desk():
        async with Desk(contexts) as desk:
            await use(desk)

    asyncio.run(with_desk())


async def refused(desk):
    """Tell whether one more connection is closed at once, before TLS as well."""
    try:
        reader, _ = await desk.call()
    except OSError:
        return True
    return desk.tls is None and await ended(reader) < WITHIN_S / 2


def test_connections_are_bounded_and_it_is_said_once(contexts, caplog):
    async def use(desk):
        held = [await desk.call() for _ in range(MOST)]
        for _ in range(5):
            assert await refused(desk)
        held[0][1].transport.abort()
        await asyncio.sleep(0.1)
        assert await desk.get() == b"short"

    with caplog.at_level(logging.WARNING):
        run(contexts, use)
    said = [each.getMessage() for each in caplog.records if each.name == listening.__name__]
    assert said == ["the desk: 3 connections are open: further ones are refused"]


def test_what_agrees_on_tls_counts_and_has_to_be_done_in_time(tls):
    """As what is no TLS at all does, and both leave their places free."""

    async def use(desk):
        plain = [await asyncio.open_connection(*desk.where) for _ in range(MOST)]
        assert await refused(desk)
        for reader, _ in plain:
            assert await ended(reader) < 3 * WITHIN_S
        for _ in range(2 * MOST):
            reader, writer = await asyncio.open_connection(*desk.where)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await ended(reader)
            writer.close()
        assert await desk.get() == b"short"
        for _, writer in plain:
            writer.close()

    run(tls, use)


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nX: ", ASK + b"GET / HT"])
def test_a_request_has_to_be_whole_in_time(contexts, head):
    async def use(desk):
        reader, writer = await desk.call(head[: len(ASK)] if head.startswith(ASK) else head)
        if head.startswith(ASK):
            assert await answer(reader) == b"short"
            writer.write(head[len(ASK) :])
        for _ in range(3):  # a byte now and then makes no request
            await asyncio.sleep(WITHIN_S / 4)
            writer.write(b"x" if head else b"")
        assert await ended(reader) < WITHIN_S

    run(contexts, use)


def test_whoever_takes_nothing_is_cut_off(contexts):
    async def use(desk):
        reader, _ = await desk.call(ASK.replace(b"/ ", b"/long ", 1))
        await asyncio.sleep(WITHIN_S / 2)
        assert desk.site._open
        await asyncio.sleep(2 * WITHIN_S)
        assert not desk.site._open
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await answer(reader)

    run(contexts, use)


def test_whoever_waits_or_takes_it_slowly_or_comes_again_is_not(contexts):
    async def use(desk):
        assert await desk.get("/slow") == b"slow"
        reader, writer = await desk.call(ASK)
        assert await answer(reader) == b"short"
        await asyncio.sleep(2 * WITHIN_S)  # between two requests
        writer.write(ASK)
        assert await answer(reader) == b"short"
        writer.write(ASK.replace(b"/ ", b"/long ", 1))
        await reader.readuntil(b"\r\n\r\n")
        began = time.monotonic()
        for _ in range(8_000_000 // 500_000):
            await reader.readexactly(500_000)
            await asyncio.sleep(WITHIN_S / 5)
        assert time.monotonic() - began > 2 * WITHIN_S

    run(contexts, use)


@contextmanager
def no_descriptor_left():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 5, hard))
    with ExitStack() as spare:
        with suppress(OSError):
            while True:
                spare.enter_context(open("/dev/null"))
        yield
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_descriptors_that_are_used_up_are_one_line_and_no_traceback(caplog):
    async def use(desk):
        with socket.socket() as caller:
            caller.setblocking(False)
            with no_descriptor_left():
                await asyncio.get_running_loop().sock_connect(caller, desk.where)
                await asyncio.sleep(0.3)
        assert await desk.get() == b"short"

    with caplog.at_level(logging.WARNING):
        run((None, None), use)
    said = [each.getMessage() for each in caplog.records]
    assert said == ["the desk: cannot accept connections: Too many open files"]


def test_connections_may_have_a_quarter_of_the_descriptors(monkeypatch):
    for soft, room in ((64, 16), (4096, 1024)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert listening._room() == room
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert listening._room() > 10_000
