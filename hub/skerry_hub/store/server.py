"""PostgreSQL itself: a connection that comes back, its errors with remedies, the schema's version.

Passwords are libpq's business (~/.pgpass, PGPASSFILE, a service file): none is ever here.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from skerry_hub.errors import NotInitialised, StoreError, StoreReplaced
from skerry_hub.store import RESTORED_AT

SCHEMA_VERSION = 1
MIGRATIONS = Path(__file__).parent / "migrations" / "postgres"
ARRIVING = "arriving"  # a value of the hub itself, while it is moved here: the move's number
_RETRY_S = 1.0  # at least, between two attempts to connect: callers are not held up by each
_SETTINGS = {
    "client_encoding": "utf8",  # a database of another encoding gives bytes otherwise
    "statement_timeout": "0",  # a backup takes its time, whatever the user's default is
    "lock_timeout": "5s",  # for another process's transaction
    "idle_in_transaction_session_timeout": "30s",  # what hangs holds nobody up for longer
    "default_transaction_isolation": "read committed",  # a second look sees who came first
    "tcp_keepalives_idle": "10",  # a machine that is gone holds no lock for longer than 20 s
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
}
_DEFAULTS: dict[str, Any] = {  # of libpq: a server that is gone is noticed
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "skerry",
}

# Advisory locks, in a range of numbers of our own.
_RANGE = 0x536B << 48
ORDER = _RANGE  # + a number of a reading: those above it may not be visible yet
ORDER_END = _RANGE + (1 << 44)
WRITING = ORDER_END + 1  # whoever writes into the audit log
KEYS = ORDER_END + 2  # shared by writers of sealed values
HUB = ORDER_END + 3  # shared by running hubs
LEAD = ORDER_END + 4  # the hub that delivers

_REMEDIES = {  # by SQLSTATE or its class
    "53100": "the disk of the server is full: make room and try again",
    "53200": "the server is out of memory: give it more and try again",
    "53300": "it has no connection left: raise max_connections",
    "55P03": "another process holds it: end that one or try again",
    "57014": "the server cut it off: try again",
    "40001": "others changed the same at the same time: try again",
    "40P01": "others changed the same at the same time: try again",
    "42501": "this user may not do that: grant it the tables, or have it own them",
    "25006": "it takes no writes, as a standby does: name the primary server",
    "42P01": "tables are missing: restore a backup into an empty database",
    "42703": "columns are missing: restore a backup into an empty database",
    "XX001": "it is damaged: restore it from a backup",
    "XX002": "it is damaged: restore it from a backup",
    "58": "the disk of the server fails: check it, then restore a backup if need be",
}
_LOST = "the connection was lost: what was not answered may or may not be stored"
_REFUSED = (  # libpq has no codes for them
    ("password", "it refuses the password: check ~/.pgpass, which only its owner may read"),
    ("pg_hba.conf", "it does not let this user in: check its pg_hba.conf"),
    ("authentication", "it does not let this user in: check its pg_hba.conf"),
    ("does not exist", "no such database or user: run createdb and createuser"),
    ("certificate", "TLS fails: check sslmode, sslrootcert and the server's certificate"),
    ("SSL", "TLS fails: check sslmode, sslrootcert and the server's certificate"),
    ("clients already", "it has no connection left: raise max_connections"),
    ("connection slots", "it has no connection left: raise max_connections"),
)


def place_of(conninfo: str) -> str:
    """Return what may be shown of a conninfo: the database's and the server's name."""
    said = conninfo_to_dict(conninfo)
    if "service" in said:
        return f"of service {said['service']}"
    host = said.get("host") or said.get("hostaddr")
    return f"{said.get('dbname') or 'of this user'}{f' on {host}' if host else ''}"


@contextmanager
def edge(place: str) -> Iterator[None]:
    """Turn psycopg's errors into StoreError, with a remedy and without what was stored."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreError(f"database {place}: {_remedy(error)}") from None


def _remedy(error: psycopg.Error) -> str:
    state = error.sqlstate or ""
    if not state and isinstance(error, psycopg.OperationalError):
        return _LOST
    if state.startswith(("08", "57P")):
        return _LOST
    remedy = _REMEDIES.get(state) or _REMEDIES.get(state[:2])
    return remedy or error.diag.message_primary or type(error).__name__


@lru_cache(512)
def _translated(sql: str) -> str:
    return sql.replace("?", "%s")


class Session:
    """One connection, opened when it is needed and anew after it was lost.

    SQL has `?` for values, as SQLite's. What is read comes in PostgreSQL's binary format.
    """

    def __init__(self, conninfo: str) -> None:
        """Connect; raise StoreError."""
        self.place = place_of(conninfo)
        said = conninfo_to_dict(conninfo)
        self._said = {**_DEFAULTS, **said}
        self._open: psycopg.Connection | None = None
        self._retry_at = 0.0
        self._why = ""
        self._claimed: int | None = None
        self._leads: psycopg.Connection | None = None  # the one that holds the lock of `lead`
        self.restored: list[Any] = []  # when it last was when this process opened it
        self.connection()

    def __repr__(self) -> str:
        return f"<Session {self.place}>"

    def connection(self) -> psycopg.Connection:
        """Return the connection, with no transaction open; raise StoreError."""
        if self._open is not None and not self._open.closed:
            if self._open.info.transaction_status == TransactionStatus.IDLE:
                return self._open
            self._open.close()  # cut off in the middle: the server rolls it back
        now = time.monotonic()
        if now < self._retry_at:
            raise StoreError(self._why)
        try:
            self._open = self._connected()
        except psycopg.Error as error:
            self._why = f"database {self.place}: {self._unreachable(error)}"
            self._retry_at = time.monotonic() + max(_RETRY_S, time.monotonic() - now)
            raise StoreError(self._why) from None
        return self._open

    def _connected(self) -> psycopg.Connection:
        new = psycopg.connect(**self._said, autocommit=True)
        try:
            for name, value in _SETTINGS.items():
                new.execute("SELECT set_config(%s, %s, false)", (name, value))
            # Durable is what is answered, whatever the server's default is.
            new.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
            )
            if self._claimed is not None:
                self._hold(new, self._claimed)
        except (psycopg.Error, StoreReplaced):
            new.close()
            raise
        return new

    @staticmethod
    def _unreachable(error: psycopg.Error) -> str:
        if error.sqlstate:
            return _remedy(error)
        return next(
            (remedy for sign, remedy in _REFUSED if sign in str(error)),
            "it is not reachable: check that the server runs, and the setting database",
        )

    @property
    def opened(self) -> psycopg.Connection:
        """The connection, with the transaction that is open on it."""
        assert self._open is not None  # noqa: S101 - for the type checker
        return self._open

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> psycopg.Cursor[Any]:
        """Do a statement, in the transaction that is open, if there is one."""
        if not self.in_transaction:
            self.connection()
        return self.opened.execute(_translated(sql), values, binary=True)

    def executemany(self, sql: str, values: Iterable[Sequence[Any]], /) -> None:
        """Do a statement for each, in one round trip; a transaction has to be open."""
        with self.opened.cursor() as cursor:
            cursor.executemany(_translated(sql), values)

    in_transaction = False

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """One transaction: committed at the end, or as if it never was.

        If it is lost while it commits, psycopg.Error says so, and nobody knows what happened.
        """
        with self._whole() as opened:
            opened.execute("BEGIN", prepare=False)
            yield opened
            opened.execute("COMMIT", prepare=False)

    @contextmanager
    def pipelined(self) -> Iterator[psycopg.Connection]:
        """Do the same for who says BEGIN and COMMIT, in as few round trips as can be."""
        with self._whole() as opened, opened.pipeline():
            yield opened

    @contextmanager
    def _whole(self) -> Iterator[psycopg.Connection]:
        opened = self.connection()
        self.in_transaction = True
        try:
            yield opened
        finally:
            self.in_transaction = False
            if not opened.closed and opened.info.transaction_status != TransactionStatus.IDLE:
                try:
                    opened.execute("ROLLBACK", prepare=False)
                except psycopg.Error:
                    opened.close()

    def claim(self, lock: int) -> None:
        """Hold an advisory lock, shared with others that do, whenever there is a connection.

        Raises StoreReplaced, now or when it connects anew, if a backup was put in its place.
        """
        self._hold(self.connection(), lock)
        self._claimed = lock

    def _hold(self, db: psycopg.Connection, lock: int) -> None:
        db.execute("SELECT pg_advisory_lock_shared(%s)", (lock,))
        if restored(db) != self.restored:
            raise StoreReplaced(self.place)

    def lead(self, lock: int) -> bool:
        """Hold an advisory lock alone, if nobody else does; tell whether it is held.

        It is lost with the connection. After that the first answer is False, whoever has it.
        """
        db = self.connection()
        if self._leads is None:
            ((held,),) = db.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchall()
            self._leads = db if held else None
        elif self._leads is not db:
            self._leads = None
        return self._leads is not None

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()


def create(conninfo: str, values: dict[str, bytes]) -> None:
    """Make the tables with the hub's own values, as a whole or not at all; raise StoreError."""
    session = Session(conninfo)
    try:
        with edge(session.place), session.transaction() as db:
            db.execute("SELECT pg_advisory_xact_lock(%s)", (WRITING,))
            make_tables(db)
            for row in values.items():
                db.execute("INSERT INTO meta VALUES (%s, %s)", row)
    finally:
        session.close()


def make_tables(db: psycopg.Connection) -> None:
    """Make all tables, in the transaction that is open."""
    db.execute(Path(__file__).with_name("postgres.sql").read_bytes())


def version_of(session: Session) -> int:
    """Return the version of the schema, 0 if there is none."""
    with edge(session.place):
        if session.execute("SELECT to_regclass('skerry')").fetchall() == [(None,)]:
            return 0
        return int(session.execute("SELECT version FROM skerry").fetchall()[0][0])


def opened(conninfo: str) -> Session:
    """Connect and bring the tables to the schema of today; raise NotInitialised or StoreError."""
    session = Session(conninfo)
    try:
        version = version_of(session)
        if 0 < version < SCHEMA_VERSION:
            version = _migrated(session)
        if version == 0:
            raise NotInitialised(f"no hub in database {session.place}: run skerry init")
        if version > SCHEMA_VERSION:
            raise StoreError(f"database {session.place}: made by a newer skerry: upgrade this one")
        session.restored = restored(session)
        arriving = session.execute("SELECT 1 FROM meta WHERE key = ?", (ARRIVING,)).fetchall()
        if arriving:
            raise StoreError(
                f"database {session.place}: moving a hub into it did not finish: run skerry"
                " migrate again"
            )
    except BaseException:
        session.close()
        raise
    return session


def restored(db: Session | psycopg.Connection) -> list[Any]:
    """Return when a backup was put in its place last, as rows."""
    return db.execute(f"SELECT value FROM meta WHERE key = '{RESTORED_AT}'").fetchall()  # noqa: S608 - ours


def _migrated(session: Session) -> int:
    """Do the scripts of all versions that are missing, as a whole or not at all."""
    with edge(session.place), session.transaction() as db:
        db.execute("SELECT pg_advisory_xact_lock(%s)", (WRITING,))
        version = version_of(session)  # another process may have been faster
        for number in range(version + 1, SCHEMA_VERSION + 1):
            db.execute((MIGRATIONS / f"{number:04}.sql").read_bytes())
        db.execute("UPDATE skerry SET version = %s", (max(version, SCHEMA_VERSION),))
    return max(version, SCHEMA_VERSION)
