"""Tokens of the web interface in the database, inside a transaction of the owner's."""

import sqlite3
from collections.abc import Mapping

from skerry_hub.store import Token

_TOKENS = "SELECT name, hash, scopes, created_at, expires_at, used_at FROM token "


class Tokens:
    """The table of tokens."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, token: Token) -> None:
        """Add one."""
        self._db.execute(
            "INSERT INTO token (name, hash, scopes, created_at, expires_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (token.name, token.hash, token.scopes, token.created_at, token.expires_at),
        )

    def all(self) -> list[Token]:
        """Return all, by name."""
        return [Token(*row) for row in self._db.execute(_TOKENS + "ORDER BY name")]

    def get(self, name: str) -> Token | None:
        """Return one."""
        row = self._db.execute(_TOKENS + "WHERE name = ?", (name,)).fetchone()
        return None if row is None else Token(*row)

    def remove(self, name: str) -> bool:
        """Remove one; False if there is none."""
        return self._db.execute("DELETE FROM token WHERE name = ?", (name,)).rowcount == 1

    def used(self, when: Mapping[str, float]) -> None:
        """Note when tokens were used last."""
        self._db.executemany(
            "UPDATE token SET used_at = ? WHERE name = ?",
            [(at, name) for name, at in when.items()],
        )
