"""The web interface's thread, and bundles handed over."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from desk import ADDRESS, made

from skerry_hub import enrolment, handover, tokens
from skerry_hub.errors import BundleGone, NotAllowed, Overloaded, UnknownDevice
from skerry_hub.store.ledger import acting, acting_as
from skerry_hub.web.auth import Auth, Refused
from skerry_hub.web.worker import MAX_WAITING, Worker


def test_the_thread_has_a_store_of_its_own_and_knows_who_acts(tmp_path):
    config = made(tmp_path)
    with enrolment.opened(config) as hub:

        async def use():
            worker = Worker(hub, config)
            with acting_as("ada"):
                found = await worker.do(lambda own: (own.store is hub.store, acting()))
                await worker.do(lambda own: own.store.note("anything"))
            assert found == (False, "ada")
            assert (
                await worker.do(lambda own: threading.current_thread()) != threading.main_thread()
            )
            with pytest.raises(UnknownDevice):
                await worker.do(lambda own: own.store.revoke("nobody"))
            await worker.close()

        asyncio.run(use())
        assert hub.store.last_audit().who == "ada"


def test_what_waits_is_bounded_and_the_loop_goes_on(tmp_path):
    config = made(tmp_path)
    with enrolment.opened(config) as hub:

        async def use():
            worker, free = Worker(hub, config), threading.Event()
            waiting = [
                asyncio.create_task(worker.do(lambda own: free.wait(10)))
                for _ in range(MAX_WAITING)
            ]
            await asyncio.sleep(0.05)  # the loop turns although the thread does not
            with pytest.raises(Overloaded, match="try again"):
                await worker.do(lambda own: None)
            free.set()
            assert await asyncio.gather(*waiting) == [True] * MAX_WAITING
            assert await worker.do(lambda own: own.id) == hub.id
            await worker.close()

        asyncio.run(use())


def test_a_flood_of_wrong_tokens_leaves_the_thread_to_right_ones(tmp_path):
    """Of its own address, too, once it is over."""
    config = made(tmp_path)
    with enrolment.opened(config) as hub:
        _, right = tokens.new(hub.store, "ops", ["read"])
        wrong = right[:-4] + "AAAA"

        async def use():
            worker, free = Worker(hub, config), threading.Event()
            auth = Auth(worker, secure=False, cookie="skerry")

            async def status(text, remote):
                try:
                    return (await auth.check(SimpleNamespace(remote=remote), text)).name
                except Refused as refused:
                    return refused.response.status

            assert [await status(wrong, "192.0.2.1") for _ in range(11)] == [401] * 10 + [429]
            held = asyncio.create_task(worker.do(lambda own: free.wait(10)))
            flood = [
                asyncio.create_task(status(wrong, "192.0.2.1")) for _ in range(2 * MAX_WAITING)
            ]
            await asyncio.sleep(0.05)
            assert sum(each.done() for each in flood) > 2 * MAX_WAITING - 10
            others = asyncio.create_task(status(right, "192.0.2.2"))
            await asyncio.sleep(0.05)
            free.set()
            assert await others == "ops"
            assert set(await asyncio.gather(*flood)) == {429}
            assert await held
            assert await status(right, "192.0.2.1") == "ops"
            await worker.close()

        asyncio.run(use())


@pytest.fixture
def hall(opened):
    """A hub in which Ada enrolled a device."""
    with acting_as("ada"):
        enrolment.enroll(opened, "hall", address=ADDRESS)
    return opened


def test_a_bundle_that_was_not_sent_to_its_end_is_still_there(hall):
    with acting_as("ada"):
        files = handover.take(hall, "hall", 0)
        assert set(files) == {"skerry.json", "skerry.0"}
        assert handover.take(hall, "hall", 0) == files
        handover.done(hall, "hall")
        handover.done(hall, "hall")
        with pytest.raises(BundleGone, match="revoke and undelete"):
            handover.take(hall, "hall", 0)
    actions = [each.action for each in hall.store.audit_after(0, subject="hall")]
    assert actions == ["enrol", "bundle", "bundle"]


def test_a_bundle_is_for_whoever_enrolled_last(hall):
    with acting_as("bob"), pytest.raises(NotAllowed):
        handover.take(hall, "hall", 0)
    later = hall.store.last_audit().at + 1
    with acting_as("ada"), pytest.raises(NotAllowed):
        handover.take(hall, "hall", later)
    hall.store.revoke("hall")
    with acting_as("bob"):
        enrolment.undelete(hall, "hall", ADDRESS)
        handover.take(hall, "hall", 0)
    with acting_as("ada"), pytest.raises(NotAllowed):
        handover.take(hall, "hall", 0)
    hall.store.revoke("hall")
    with acting_as("bob"), pytest.raises(BundleGone):
        handover.take(hall, "hall", 0)
    with acting_as("bob"), pytest.raises(UnknownDevice):
        handover.take(hall, "nobody", 0)
