"""Where the store is: a SQLite file in the data folder, or the PostgreSQL of the setting database.

Whatever opens a store, opens it here.
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from skerry_hub.config import Config
from skerry_hub.errors import ConfigError
from skerry_hub.store import Store

if TYPE_CHECKING:
    from skerry_hub.store.replacing import Held


def open_store(config: Config) -> Store:
    """Open the hub's store; raise NotInitialised, StoreError or ConfigError."""
    if config.server is None:
        from skerry_hub.store.sqlite import SqliteStore

        return SqliteStore(config.database)
    check_conninfo(config.server)
    from skerry_hub.store.postgres import PostgresStore

    return PostgresStore(config.server)


def create(config: Config, values: dict[str, bytes]) -> None:
    """Make a store with the hub's own values, as a whole or not at all; raise StoreError."""
    if config.server is None:
        from skerry_hub.store import database

        database.create(config.database, values)
        return
    check_conninfo(config.server)
    from skerry_hub.store import server

    server.create(config.server, values)


def held(config: Config) -> "AbstractContextManager[Held]":
    """Hold the hub's place, to put a backup there; it raises StoreError, also if a hub runs.

    Of a SQLite file the caller has to know that no hub runs.
    """
    if config.server is None:
        from skerry_hub.store import database, replacing

        database.refuse_moved(config.database)
        return replacing.held(config.database)
    check_conninfo(config.server)
    from skerry_hub.store import postgres

    return postgres.held(config.server)


def shown(config: Config) -> str:
    """Return the place as people may see it."""
    if config.server is None:
        return str(config.database)
    check_conninfo(config.server)
    from skerry_hub.store.server import place_of

    return f"database {place_of(config.server)}"


def check_conninfo(conninfo: str) -> None:
    """Raise ConfigError for what is no conninfo, or has a password in it."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise ConfigError("database: run pip install 'skerry[postgres]' first") from None
    try:
        said = conninfo_to_dict(conninfo)
    except psycopg.Error:  # its text may repeat a password
        raise ConfigError(
            "database: write it as postgresql://HOST/NAME, or as libpq's words: service=NAME"
        ) from None
    for secret in ("password", "sslpassword"):
        if secret in said:
            raise ConfigError(
                f"database: no {secret} here: put it into ~/.pgpass of the hub's user, or where"
                " PGPASSFILE says, and take it out of this setting"
            )
