"""Tokens are kept as digests, are taken until they expire or are revoked, and say what their bearer may do."""

from __future__ import annotations

import pytest
from tests.support.clock import at

from clx.db.jobs import Queue
from clx.db.tokens import PREFIX, TokenTable, digest_of, find, may
from clx.errors import QueueError, UsageError


@pytest.fixture
def tokens(queue: Queue) -> TokenTable:
    return TokenTable(queue.database)


def test_a_token_is_found_by_its_text_which_is_nowhere(tokens: TokenTable) -> None:
    text = tokens.add("ci", "work")
    assert text.startswith(PREFIX)
    assert len(text) > 40
    found = find(tokens.valid(), text)
    assert found is not None
    assert (found.name, found.role, found.digest) == ("ci", "work", digest_of(text))
    assert text not in str(tokens.database.read("SELECT name, role, digest FROM tokens"))
    assert find(tokens.valid(), f"{text}x") is None
    assert find(tokens.valid(), "") is None


def test_two_tokens_are_never_the_same(tokens: TokenTable) -> None:
    assert tokens.add("a", "read") != tokens.add("b", "read")


def test_a_revoked_token_is_taken_no_more_and_stays_in_the_list(tokens: TokenTable) -> None:
    text = tokens.add("ci", "admin")
    assert tokens.revoke("ci") == 1
    assert find(tokens.valid(), text) is None
    (row,) = tokens.list()
    assert row.state(row.created_at) == "revoked"
    assert tokens.revoke("ci") == 0
    assert tokens.revoke("nobody") == 0


def test_a_name_is_free_again_once_its_token_is_revoked(tokens: TokenTable) -> None:
    tokens.add("ci", "read")
    with pytest.raises(UsageError, match="called ci already"):
        tokens.add("ci", "read")
    tokens.revoke("ci")
    tokens.add("ci", "read")
    assert len(tokens.valid()) == 1


def test_a_token_expires(tokens: TokenTable) -> None:
    text = at(tokens, 1000).add("guest", "read", expires_at=2000)
    assert find(at(tokens, 1999).valid(), text) is not None
    assert find(at(tokens, 2000).valid(), text) is None
    (row,) = tokens.list()
    assert (row.state(1999), row.state(2000)) == ("valid", "expired")


def test_a_use_is_noted_once_an_hour(tokens: TokenTable) -> None:
    tokens.add("ci", "read")
    for now in (10_000_000, 10_000_001, 10_000_000 + 3_600_000):
        at(tokens, now).note_use(tokens.list()[0])
    assert tokens.list()[0].used_at == 13_600_000


@pytest.mark.parametrize(("name", "role", "expires_at"), [("x", "root", None), ("", "read", None), ("x", "read", -1)])
def test_what_no_token_can_be_is_refused(tokens: TokenTable, name: str, role: str, expires_at: int | None) -> None:
    with pytest.raises((UsageError, QueueError)):
        tokens.add(name, role, expires_at=expires_at)
    assert tokens.list() == []


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("read", ["read"]), ("work", ["read", "work"]), ("admin", ["read", "work", "admin"]), ("odd", [])],
)
def test_a_role_may_what_those_before_it_may(role: str, allowed: list[str]) -> None:
    assert [needed for needed in ("read", "work", "admin", "odd") if may(role, needed)] == allowed
