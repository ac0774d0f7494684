"""Tokens of the web interface, in SQL for both databases."""

# ruff: noqa: D102 - what the methods do is said once, in `Store`.

from collections.abc import Mapping

from skerry_hub.errors import DuplicateToken
from skerry_hub.store import Token
from skerry_hub.store.portable import Portable

_TOKENS = "SELECT name, hash, scopes, created_at, expires_at, used_at FROM token "


class Tokens(Portable):
    """Part of a `Store`: see there for what the methods do."""

    def add_token(self, token: Token) -> None:
        with self._writing() as db:
            if self.token(token.name) is not None:
                raise DuplicateToken(f"there is a token {token.name}: revoke it, or choose a name")
            db.execute(
                "INSERT INTO token (name, hash, scopes, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (token.name, token.hash, token.scopes, token.created_at, token.expires_at),
            )
            said = {"name": token.name, "scopes": token.scopes, "expires_at": token.expires_at}
            self._ledger.note("token", "", said)

    def revoke_token(self, name: str) -> bool:
        with self._writing() as db:
            if db.execute("DELETE FROM token WHERE name = ?", (name,)).rowcount != 1:
                return False
            self._ledger.note("revoke token", "", {"name": name})
        return True

    def token(self, name: str) -> Token | None:
        return next((Token(*row) for row in self._read(_TOKENS + "WHERE name = ?", name)), None)

    def tokens(self) -> list[Token]:
        return [Token(*row) for row in self._read(_TOKENS + "ORDER BY name")]

    def note_tokens_used(self, when: Mapping[str, float]) -> None:
        with self._writing() as db:
            db.executemany(
                "UPDATE token SET used_at = ? WHERE name = ?",
                [(at, name) for name, at in when.items()],
            )
