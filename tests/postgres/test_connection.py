"""A server that goes, refuses, or is cut off at a COMMIT: nothing is answered that is not stored."""

import asyncio
import logging
import time
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from cluster import Cluster, cluster
from desk import DeskHub, enrolled, made
from postgres.wire import Wire
from stores import Place, enrol

from skerry import coap
from skerry_hub import enrolment
from skerry_hub.config import Config
from skerry_hub.errors import AlreadyInitialised, ConfigError, NotInitialised, StoreError
from skerry_hub.store import places, server
from skerry_hub.store.postgres import PostgresStore


def rows(store):
    return [vars(each) for each in store.devices()]


@pytest.fixture
def config(tmp_path):
    return made(tmp_path)


@pytest.fixture
def wired(config, tmp_path):
    """The same hub, behind a wire."""
    folder = tmp_path / "wire"
    folder.mkdir()
    wire = Wire(folder, cluster().folder)
    yield wire, replace(config, server=config.server.replace(str(cluster().folder), str(folder)))
    wire.close()


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_commit_that_nobody_knows_the_end_of(wired, where):
    """At every step of a device: nothing is answered, and it always ends in a session."""
    asyncio.run(commits_cut(*wired, where))


async def commits_cut(wire, config, where):
    with enrolment.opened(config) as opened:
        hub, device = DeskHub(opened), enrolled(opened, "d-1")
        secrets = []
        for recover in (False, False, True):
            attempt = device.attempt(recover)
            before = rows(opened.store)
            wire.cut = where
            assert await hub.ask(attempt) == []
            assert (rows(opened.store) == before) == (where == "before")
            device.accept(await hub.ask(attempt))  # it repeats its message 1
            request = device.request(b"first")
            wire.cut = where
            assert await hub.ask(request) == []
            answers = await hub.ask(request)
            if where == "after":  # stored, but this hub does not know: the device connects anew
                assert coap.decode(answers[0]).code == coap.UNAUTHORIZED
                await device.connect(hub)
                request = device.request(b"first")
                answers = await hub.ask(request)
            assert device.response(answers).code == coap.CHANGED
            secrets.append(device.session.secret)
            reading = device.request(b"second")
            wire.cut = where
            assert await hub.ask(reading) == []
            assert device.response(await hub.ask(reading)).code == coap.CHANGED
        assert wire.cuts == 9
        assert len(set(secrets)) == 3
        assert hub.handshakes.counts["bad tag"] == 0
        stored = [each.payload for each in opened.store.readings_after(0)]
        # Once at least: a device whose answer was lost says it again.
        assert stored == [b"first", b"second"] * 3 or where == "after"
        assert stored.count(b"first") >= 3 <= stored.count(b"second")


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_operators_commit_that_nobody_knows_the_end_of(wired, where):
    wire, config = wired
    with enrolment.opened(config) as hub:
        enrolled(hub, "d-1")
        wire.cut = where
        with pytest.raises(StoreError, match="may or may not be stored"):
            hub.store.revoke("d-1")
        assert hub.store.device("d-1").state == ("active" if where == "before" else "revoked")
        assert hub.store.revoke("d-1") == (where == "before")
        wire.cut = where
        with pytest.raises(StoreError):
            enrolled(hub, "d-2")
        enrolment.enroll(hub, "d-2", address=("127.0.0.1", 1))  # is made, or made good
        assert (hub.bundles / "d-2").is_dir()
        assert len(hub.store.devices()) == 2


def test_a_server_that_went_and_came_back(tmp_path):
    own = Cluster()
    server.create(own.url("postgres"), {"hub": b"h"})
    with closing(PostgresStore(own.url("postgres"))) as store:
        store.put("x", b"1")
        own.stop("immediate")
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(StoreError, match=r"lost|not reachable"):
                store.get("x")
            assert time.monotonic() - began < 1  # a hub goes on to do what it can
        own.start()
        time.sleep(1.1)
        assert store.get("x") == b"1"
        store.put("x", b"2")
        own.stop()
        own.start()
        with pytest.raises(StoreError, match="lost"):
            store.put("x", b"3")
        store.put("x", b"4")
        assert store.get("x") == b"4"
    own.remove()


def test_errors_say_what_to_do_and_show_nothing_else(tmp_path, monkeypatch):
    for conninfo, said in (
        (cluster().url("nobodys"), "createdb"),
        (cluster().url("postgres", "nobody"), "createuser"),
        ("postgresql://127.0.0.1:1/x", "not reachable"),
        ("service=nowhere", "not reachable"),
    ):
        with pytest.raises(StoreError, match=said) as failed:
            PostgresStore(conninfo)
        assert "nobody " not in str(failed.value)
    with pytest.raises(NotInitialised, match="skerry init"):
        PostgresStore(cluster().new())


def test_a_password_is_refused_and_never_repeated(tmp_path):
    for text in (
        "postgresql://ada:s3cret@db/x",
        "host=db password=s3cret",
        "host=db PASSWORD = 's3cret'",
        "postgresql://db/x?password=s3cret",
    ):
        with pytest.raises(ConfigError, match=r"\.pgpass") as failed:
            Config.of(environ={"SKERRY_DATABASE": text, "SKERRY_DATA": str(tmp_path)})
        assert "s3cret" not in str(failed.value)
    for text in ("host=db sslpassword=s3cret", "postgresql://db/x?sslpassword=s3cret"):
        with pytest.raises(ConfigError, match="pgpass") as failed:
            places.check_conninfo(text)
        assert "s3cret" not in str(failed.value)
    for text in ("db.example", "sqlite:x", "postgresql://[/x", "a=b"):
        with pytest.raises(ConfigError, match="postgresql://HOST/NAME"):
            places.check_conninfo(Config.of(environ={"SKERRY_DATABASE": text}).server)


def test_passwords_come_from_where_libpq_has_them(tmp_path, monkeypatch):
    own = Cluster({"listen_addresses": ""})
    own.sql("CREATE USER ada PASSWORD 's3cret'")
    own.sql("CREATE DATABASE skerry OWNER ada")
    hba = own.data / "pg_hba.conf"
    hba.write_text("local all postgres trust\nlocal all ada scram-sha-256\n")
    own.sql("SELECT pg_reload_conf()")
    conninfo = own.url("skerry", "ada")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="pgpass"):
        server.create(conninfo, {"hub": b"h"})
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:skerry:ada:s3cret\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    server.create(conninfo, {"hub": b"h"})
    with closing(PostgresStore(conninfo)) as store:
        assert store.get("hub") == b"h"
        assert "s3cret" not in repr(store) + repr(store._db)
        assert "ada" not in repr(store)
        assert store.check() == "sound"
    own.remove()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("code", "said"),
    [("53100", "disk of the server is full"), ("42501", "grant it"), ("XX001", "damaged")],
)
def test_what_the_server_complains_of(place, code, said):
    """Its own errors, raised by a trigger of ours: all of the transaction is undone."""
    with closing(place.open()) as store:
        enrol(store)
        place.sql(
            "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$"
        )
        place.sql("CREATE TRIGGER fails BEFORE INSERT ON reading EXECUTE FUNCTION fails()")
        with pytest.raises(StoreError, match=said):
            store.add_reading(1, 1.0, "r", None, b"x")
        assert store.device("lamp").readings == 0
        place.sql("DROP TRIGGER fails ON reading")
        assert store.add_reading(1, 1.0, "r", None, b"x")


def test_a_standby_or_a_table_that_is_held(place):
    with closing(place.open()) as store:
        enrol(store)
        store._db.execute("SET default_transaction_read_only = on")
        with pytest.raises(StoreError, match="name the primary"):
            store.put("x", b"")
        store._db.execute("SET default_transaction_read_only = off")
        store._db.execute("SET lock_timeout = '100ms'")
        with psycopg.connect(place.conninfo) as other:
            other.execute("LOCK TABLE device")
            with pytest.raises(StoreError, match="another process holds it"):
                store.add_reading(1, 1.0, "r", None, b"x")
        assert store.add_reading(1, 1.0, "r", None, b"x")


def test_what_is_answered_is_durable_whatever_the_servers_default(place):
    place.sql(
        f"ALTER DATABASE {place.conninfo.split('/')[3].split('?')[0]} SET synchronous_commit = off"
    )
    with closing(place.open()) as store:
        assert store._db.execute("SHOW synchronous_commit").fetchall() == [("on",)]


def test_another_schema(place, tmp_path, monkeypatch):
    """An older one is brought up, as a whole; a newer one is refused."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "0002.sql").write_text("ALTER TABLE device ADD COLUMN colour text; SELECT 1;")
    (scripts / "0003.sql").write_text("ALTER TABLE none ADD COLUMN x text;")
    monkeypatch.setattr(server, "MIGRATIONS", scripts)
    monkeypatch.setattr(server, "SCHEMA_VERSION", 3)
    with pytest.raises(StoreError):
        place.open()
    assert place.sql("SELECT version FROM skerry") == [(1,)]
    monkeypatch.setattr(server, "SCHEMA_VERSION", 2)
    for _ in range(2):
        with closing(place.open()) as store:
            enrol(store, f"d-{len(store.devices())}")
    assert place.sql("SELECT version FROM skerry") == [(2,)]
    assert place.sql("SELECT count(colour) FROM device") == [(0,)]
    monkeypatch.setattr(server, "SCHEMA_VERSION", 1)
    with pytest.raises(StoreError, match="newer skerry"):
        place.open()


def test_init_joins_nothing_and_replaces_nothing(config, tmp_path):
    other = replace(config, data=tmp_path / "other")
    with pytest.raises(AlreadyInitialised, match="copy its key-encryption key"):
        enrolment.init(other)
    with pytest.raises(StoreError):
        server.create(config.server, {"hub": b"other"})
    with enrolment.opened(config) as hub:
        assert hub.id.startswith("h-")


def test_a_lost_connection_is_logged_without_more_than_the_place(wired, caplog):
    wire, config = wired
    caplog.set_level(logging.DEBUG)
    with enrolment.opened(config) as hub:
        wire.cut = "before"
        with pytest.raises(StoreError) as failed:
            hub.store.put("x", b"s3cret")
    assert "s3cret" not in str(failed.value) + caplog.text
