"""The asynchronous driver, in real time: tasks that share a session."""

import asyncio
from time import ticks_add, ticks_diff, ticks_ms

from air import real_time
from fake_hub import FOLDER, FakeHub, provision

from skerry import coap
from skerry_device import aio
from skerry_device.errors import HubSilent, NotProvisioned


class Air:
    """A link to a hub in memory; what arrives takes 5 ms."""

    def __init__(self, hub):
        self.hub = hub
        self.sent = self.received = 0
        self.sends = []
        self.coming = []
        self.silent = False
        self.closed = False

    def deliver(self, delay, datagram):
        self.coming.append((ticks_add(ticks_ms(), delay), datagram))

    def send(self, datagram):
        self.sends.append(datagram)
        if not self.silent:
            for _, answer in self.hub.receive(datagram):
                self.deliver(5, answer)

    def receive(self, timeout_ms):
        assert timeout_ms == 0
        for each in self.coming:
            if ticks_diff(each[0], ticks_ms()) <= 0:
                self.coming.remove(each)
                return each[1]
        return None

    def close(self):
        self.closed = True


def within(steps):
    """Run a test's coroutine in a device with its hub."""

    async def main():
        real_time()
        provision()
        air = Air(FakeHub())
        hub = await aio.connect(FOLDER, link=air, ack_timeout_ms=50, timeout_ms=800)
        try:
            await asyncio.wait_for(steps(hub, air), 10)
        finally:
            hub.close()
        assert air.closed

    asyncio.run(main())
    asyncio.new_event_loop()


def test_requests():
    async def steps(hub, air):
        assert (await hub.post("readings", {"c": 1})).ok
        assert (await hub.get("readings")).code == coap.CHANGED
        assert (await hub.put("a", "b")).ok
        assert (await hub.delete("a")).ok
        assert hub.fingerprint == air.hub.last.fingerprint
        assert [each.code for each in air.hub.served] == [2, 1, 3, 4]
        first = hub.fingerprint
        await hub.rekey()
        assert hub.fingerprint != first
        assert len(await hub.export_key("x")) == 32
        assert hub.status()["confirmed"]
        assert hub.time() is not None

    within(steps)


def test_tasks_take_turns():
    """NSTART 1: ten tasks ask at once, and one request is out at a time."""

    async def steps(hub, air):
        out = [0, 0]
        receive = air.hub.receive

        def counting(datagram):
            out[0] += 1
            out[1] = max(out)
            return receive(datagram)

        async def ask(i):
            assert (await hub.post("readings", b"%d" % i)).ok
            out[0] -= 1

        air.hub.receive = counting
        await asyncio.gather(*[ask(i) for i in range(10)])
        assert out == [0, 1]
        assert sorted([each.payload for each in air.hub.served]) == [b"%d" % i for i in range(10)]

    within(steps)


def test_other_tasks_run_meanwhile():
    async def steps(hub, air):
        ticks = []

        async def blink():
            while True:
                ticks.append(1)
                await asyncio.sleep_ms(10)

        task = asyncio.create_task(blink())
        air.silent = True
        try:
            await hub.get("a")
            raise AssertionError
        except HubSilent:
            pass
        task.cancel()
        assert len(ticks) > 50

    within(steps)


def test_observe():
    async def steps(hub, air):
        found = []

        async def watch():
            async for message in hub.observe("cmd"):
                found.append(message.payload)
                if message.payload == b"end":
                    return

        air.hub.answer = lambda inner: coap.Message(coap.CONTENT, [], b"first")
        task = asyncio.create_task(watch())
        await asyncio.sleep_ms(200)
        (token,) = air.hub.watched
        for payload in (b"1", b"2", b"end"):
            air.deliver(1, air.hub.notify(token, payload))
            assert (await hub.post("readings", b"x")).ok
            await asyncio.sleep_ms(80)
        await task
        assert found == [b"first", b"1", b"2", b"end"]

    within(steps)


def test_observe_ends():
    async def steps(hub, air):
        for payload, timeout_ms, code in ((b"first", 100, coap.CONTENT), (b"", None, 0x84)):
            found = []
            air.hub.answer = lambda inner: coap.Message(code, [], payload)
            async for message in hub.observe("cmd", timeout_ms):
                found.append((message.code, message.payload))
            assert found == [(code, payload)]

    within(steps)


def test_cancel():
    async def steps(hub, air):
        observation = hub.observe("cmd")
        await observation.__anext__()
        await observation.cancel()
        assert air.hub.watched == {}

    within(steps)


def test_serving_while_idle_and_while_busy():
    async def steps(hub, air):
        calls = []
        hub.serve("led", put=lambda request: calls.append(request.payload))
        await hub.post("readings", b"confirms")
        air.deliver(1, air.hub.ask(coap.PUT, "led", b"idle")[0])
        await asyncio.sleep_ms(150)
        assert calls == [b"idle"]
        air.deliver(1, air.hub.ask(coap.PUT, "led", b"busy")[0])
        await hub.post("readings", b"x")
        await hub.listen(100)
        assert calls == [b"idle", b"busy"]

    within(steps)


def test_poke_while_idle():
    async def steps(hub, air):
        await hub.post("readings", b"confirms")
        first = hub.fingerprint
        air.deliver(1, air.hub.poke())
        await asyncio.sleep_ms(1500)
        assert hub.fingerprint == air.hub.last.fingerprint != first
        assert hub.confirmed

    within(steps)


def test_queue():
    async def steps(hub, air):
        assert await hub.queue("readings", b"1") == 0
        air.silent = True
        assert await hub.queue("readings", b"2") == 1
        air.silent = False
        await asyncio.sleep_ms(10)
        while hub.status()["waiting"]:
            await asyncio.sleep_ms(100)
        assert [each.payload for each in air.hub.served][-2:] == [b"1", b"2"]

    within(steps)


def test_failures_to_connect():
    async def main():
        real_time()
        flash = provision()
        air = Air(FakeHub())
        air.silent = True
        for expected in (HubSilent, NotProvisioned):
            try:
                await aio.connect(FOLDER, link=air, timeout_ms=200)
                raise AssertionError
            except expected:
                pass
            assert air.closed
            flash.slots[:] = [b"", b""]

    asyncio.run(main())
    asyncio.new_event_loop()


def test_a_flood():
    """Junk while idle and while busy: bounded memory, and requests get through."""

    async def steps(hub, air):
        for i in range(300):
            air.deliver(i // 4, b"\x50\x45\0\0\xff")
        assert (await hub.post("readings", b"x")).ok
        for i in range(300):
            air.deliver(i // 4, b"\x50\x02\0\1\x91\0")
        await asyncio.sleep_ms(200)
        assert (await hub.post("readings", b"x")).ok

    within(steps)
