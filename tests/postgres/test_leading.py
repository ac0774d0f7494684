"""Which of several hubs delivers, where a lost connection loses the place."""

import asyncio
import base64
import json
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cluster import Cluster, cluster
from ports import free_port
from postgres.test_hubs import Hubs, check
from stores import Place, enrol
from test_delivering import look, process, read

from skerry_hub.errors import StoreError
from skerry_hub.store import server
from skerry_hub.store.postgres import PostgresStore


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    with closing(made.open()) as store:
        enrol(store)
    return made


def cut_off(store):
    """End a store's connection at the server."""
    pid = store._db.opened.info.backend_pid
    cluster().sql(f"SELECT pg_terminate_backend({pid}, 5000)")


def test_a_lost_connection_loses_the_place(place):
    with closing(place.open()) as one, closing(place.open()) as two:
        assert one.lead()
        assert not two.lead()
        cut_off(one)
        assert two.lead()
        with pytest.raises(StoreError, match="lost"):
            one.get("hub")
        assert not one.lead()
        assert not one.lead()
        cut_off(two)
        assert one.lead()


def test_who_connects_anew_is_told_that_the_place_was_lost(place):
    """Even if nobody else has it: somebody may have had it meanwhile."""
    with closing(place.open()) as one:
        assert one.lead()
        cut_off(one)
        with pytest.raises(StoreError, match="lost"):
            one.get("hub")
        assert one.get("hub")  # connected
        assert not one.lead()
        assert one.lead()


def test_a_machine_that_is_gone_holds_the_place_for_seconds():
    """The server asks a connection over TCP whether it lives, whatever its own defaults are."""
    port = free_port()
    own = Cluster({"listen_addresses": "127.0.0.1", "port": str(port)})
    conninfo = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    server.create(conninfo, {"hub": b"h"})
    with closing(PostgresStore(conninfo)) as store:
        assert store.lead()
        said = {
            each: store._db.execute(f"SHOW tcp_{each}").fetchall()[0][0]
            for each in (
                "keepalives_idle",
                "keepalives_interval",
                "keepalives_count",
                "user_timeout",
            )
        }
    assert said == {
        "keepalives_idle": "10", "keepalives_interval": "3", "keepalives_count": "3",
        "user_timeout": "15000",
    }  # fmt: skip
    own.remove()


def test_another_process_goes_on_where_a_cut_off_one_was(place):
    asyncio.run(goes_on(place))


async def goes_on(place):
    async with process(place) as (one, first, store), process(place) as (two, other, beside):
        await read(beside, 3, one, two)
        assert (first.got, other.got) == ([1, 2, 3], [])
        one.followers[0]._keep()
        cut_off(store)
        await look(two)
        assert two.delivers
        await read(beside, 3, two, one)
        assert (first.got, other.got) == ([1, 2, 3], [4, 5, 6])
        await look(one)
        assert (one.delivers, first.open_now) == (False, False)
        two.followers[0]._keep()
        cut_off(beside)
        await look(one)
        assert one.delivers
        await read(store, 2, one)
        assert (first.got, other.got) == ([1, 2, 3, 7, 8], [4, 5, 6])


class Receiver(ThreadingHTTPServer):
    """Takes all items, and remembers them."""

    def __init__(self):
        self.items = []
        super().__init__(("127.0.0.1", 0), Taken)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Taken(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.items += body["data"]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *said):
        pass


def test_hubs_that_are_killed_under_load_deliver_all_in_order(tmp_path, monkeypatch):
    """Three hubs as on three machines; the one that delivers is killed, again and again."""
    monkeypatch.setenv("SKERRY_DATABASE", "")
    monkeypatch.setenv("SKERRY_SHARE_PORT", "")
    hubs, receiver = Hubs(tmp_path, cluster().new(), share=True), Receiver()
    secret = hubs.data / "secret"
    secret.touch(0o600)
    secret.write_text("whsec_" + base64.b64encode(bytes(32)).decode())
    (hubs.data / "skerry.toml").write_text(
        f'[[webhook]]\nname = "test"\nurl = "http://127.0.0.1:{receiver.server_port}/"\n'
        f'secret_file = "{secret}"\n'
    )
    places = []
    for _ in range(3):
        hubs.address = ("127.0.0.1", free_port())
        places.append((hubs.begin(), hubs.process))
    walkers = hubs.walkers(6, {place for place, _ in places})
    for number in range(3):  # the first one delivers, then another one
        time.sleep(2)
        hubs.address, hubs.process = places[number]
        hubs.kill()
        killed, came = time.monotonic(), len(receiver.items)
        while len(receiver.items) == came:
            assert time.monotonic() - killed < 5
            time.sleep(0.05)
        places[number] = (hubs.begin(), hubs.process)
    for each in walkers:
        each.end()
    check(hubs, walkers)
    with closing(PostgresStore(hubs.env["SKERRY_DATABASE"])) as store:
        last = store.last_reading_id()
        stored = [each.id for each in store.readings_after(0, limit=1_000_000)]
    deadline = time.monotonic() + 20
    while not receiver.items or numbers(receiver)[-1:] != [last]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert list(dict.fromkeys(numbers(receiver))) == stored
    assert len(numbers(receiver)) < 2 * len(stored)  # each of three would deliver all
    hubs.end()
    receiver.shutdown()
    receiver.server_close()


def numbers(receiver):
    return [each["number"] for each in receiver.items if each["type"] == "reading"]
