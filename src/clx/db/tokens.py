"""Tokens, by which programs and people show a server who they are: kept as digests, shown once."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from clx.db.database import Database
from clx.db.odd_rows import Reader
from clx.db.transaction import Transaction
from clx.db.validation import check_choice
from clx.errors import QueueError, UsageError

Role = Literal["read", "work", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What a token lets its bearer do; each role may do what those before it may."""
PREFIX = "clx_"
"""What every token begins with, so that one which lies in a file or a log is recognised."""
_NAMES = ("id", "name", "role", "created_at", "used_at", "expires_at", "revoked_at", "digest")
_READER = Reader.of("tokens", _NAMES)
_SELECT = f"SELECT {', '.join(_NAMES)} FROM tokens"
_VALID = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)"
_USE_NOTED_EVERY = 3600 * 1000
"""Milliseconds between two notes that a token was used."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token; times in milliseconds UTC. Its text is nowhere: who lost it makes another.

    Attributes:
        digest: SHA-256 of its text, in hexadecimal digits.
    """

    id: int
    name: str
    role: str
    created_at: int
    used_at: int | None
    expires_at: int | None
    revoked_at: int | None
    digest: str

    def state(self, now: int) -> str:
        """``valid``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def may(role: str, needed: str) -> bool:
    """Whether who has *role* may do what *needed* is needed for; a role that nobody knows may nothing."""
    return role in ROLES and needed in ROLES and ROLES.index(role) >= ROLES.index(needed)


def digest_of(text: str) -> str:
    """What the table keeps of a token. A token is random and long: a slow digest, as for passwords, adds nothing."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def find(tokens: Iterable[Token], text: str) -> Token | None:
    """The one of *tokens* whose text is *text*; takes as long whichever it is."""
    digest, found = digest_of(text), None
    for token in tokens:
        if hmac.compare_digest(token.digest.encode(), digest.encode()):
            found = token
    return found


class TokenTable:
    """The tokens of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, name: str, role: str, *, expires_at: int | None = None) -> str:
        """Make a token called *name* for *role*; returns its text, which nobody can be told again.

        Args:
            expires_at: milliseconds UTC, from when on it is not taken any more; None: never.

        Raises:
            QueueError: there is no such role.
            UsageError: the name is none, or a valid token has it.
        """
        check_choice("role", role, ROLES)
        if not name.strip() or not name.isprintable():
            raise UsageError(f"A token cannot be called {name!r}.", "Give a name that says who or what uses it.")
        if expires_at is not None and not 0 < expires_at < 1 << 47:
            raise QueueError(f"No token expires at {expires_at}.", "Give milliseconds UTC, or None.")
        text = PREFIX + secrets.token_urlsafe(32)

        def body(tx: Transaction) -> None:
            taken = f"SELECT 1 FROM tokens WHERE name = :name AND {_VALID}"
            if tx.execute(taken, {"name": name, "now": tx.now}).fetchall():
                raise UsageError(
                    f"There is a token called {name} already.",
                    f"Choose another name, or first type: clx server token revoke {name}",
                )
            tx.insert(
                "INSERT INTO tokens (name, role, digest, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
                (name, role, digest_of(text), tx.now, expires_at),
            )

        self.database.write("add_token", body)
        return text

    def list(self) -> list[Token]:
        """Every token there is or was, by id."""
        return [_from_row(row) for row in self.database.read(f"{_SELECT} ORDER BY id")]

    def valid(self) -> tuple[Token, ...]:
        """Those that are taken now, by id."""
        rows = self.database.read(f"{_SELECT} WHERE {_VALID} ORDER BY id", {"now": self.database.clock.now()})
        return tuple(_from_row(row) for row in rows)

    def revoke(self, name: str) -> int:
        """Let the valid tokens called *name* be taken no more; returns how many there were."""

        def body(tx: Transaction) -> int:
            sql = f"UPDATE tokens SET revoked_at = :now WHERE name = :name AND {_VALID} RETURNING id"
            return len(tx.execute(sql, {"name": name, "now": tx.now}).fetchall())

        return self.database.write("revoke_token", body)

    def note_use(self, token: Token) -> None:
        """Note that a token was used, once an hour."""
        if token.used_at is not None and self.database.clock.now() - token.used_at < _USE_NOTED_EVERY:
            return

        def body(tx: Transaction) -> None:
            tx.execute("UPDATE tokens SET used_at = ? WHERE id = ?", (tx.now, token.id))

        self.database.write("use_token", body)


def _from_row(row: Any) -> Token:
    return Token(*_READER.read(row)[0])
