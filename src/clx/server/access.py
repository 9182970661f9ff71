"""Who may call: tokens and what they let their bearer do, the name of the host, and what a browser says of a request.

Every call has a token, by ``Authorization: Bearer`` or ``Basic``, or by the cookie of the page. Where none is wanted
(``--no-token``, on this machine only) the name of the host is looked at, for a page of the web may reach this machine
by a name of its own that leads here; and so is what a browser says of where a request comes from.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import time
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser
from starlette.requests import HTTPConnection

from clx.db.tokens import ROLES, Token, TokenTable, find, may
from clx.errors import ClxError
from clx.server.answers import Refusal
from clx.server.threads import DatabaseThreads

log = logging.getLogger("clx.server")

FRESH = 1.0
"""Seconds after which the tokens are read anew: as long one that was revoked may still be taken."""
_PATIENCE = 0.5
"""Seconds a call waits for them; while the table is locked those that were known hold."""
_LONG_PATIENCE = 5.0
"""The same for a call with a token that is not known."""
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_KNOWN = 256
"""Sets of headers of which is remembered how they are read."""
CSRF_HEADER = "x-csrf-token"
ACCESS_HEADER = "x-access-token"
"""By which clients of Workflow show their token."""
_ONCE = ("host", "authorization", ACCESS_HEADER, "content-length", "origin")
"""Headers that a request has once: two could be read in two ways."""
_ANYBODY = frozenset({("GET", "/healthz"), ("HEAD", "/healthz")})
_WHO_BRINGS_A_TOKEN = frozenset({("GET", "/"), ("POST", "/login")})
"""Where nobody is refused for having no token: these take one, or ask for it."""


@dataclass(frozen=True, slots=True)
class Caller(BaseUser):
    """Who calls.

    Attributes:
        name: of its token; empty where none is wanted.
        role: what it may do.
        by: ``bearer``, ``basic``, ``cookie``, or ``open`` where no token is wanted.
        secret: the text of its token.
    """

    name: str
    role: str
    by: str
    secret: str = ""

    @property
    def is_authenticated(self) -> bool:
        """That he may be here."""
        return True

    @property
    def display_name(self) -> str:
        """The name of the token."""
        return self.name

    @property
    def identity(self) -> str:
        """The same."""
        return self.name


_ANYBODY_HERE = Caller("", "admin", "open")
"""Who calls where no token is wanted."""


class TokenBook:
    """The valid tokens, read from the table once a second at most.

    Args:
        tokens: those of the table.
        threads: what asks it.
    """

    def __init__(self, tokens: TokenTable, threads: DatabaseThreads) -> None:
        self._tokens = tokens
        self._threads = threads
        self._known: tuple[Token, ...] = ()
        self._found: dict[str, Token] = {}  # of these, by their texts
        self._noted: set[int] = set()  # of these, those whose use is noted behind them
        self._read_at = -1e9
        self._reading: asyncio.Task[None] | None = None
        self._asked_at = 0.0
        self._noting: set[asyncio.Task[None]] = set()

    async def find(self, text: str) -> Token | None:
        """The valid token with that text.

        Raises:
            Refusal: 503, it is none that was known, and the table does not answer.
        """
        await self._refresh(FRESH, _PATIENCE)
        token = find(self._known, text)
        if token is None:  # it may just have been made; who guesses makes nobody read more often than this
            if not await self._refresh(FRESH / 10, _LONG_PATIENCE):
                raise Refusal(503, "The tokens cannot be read now.", "Try again in 5 s.", retry_after="5")
            token = find(self._known, text)
        return self._taken(token)

    def known(self, text: str) -> Token | None:
        """The valid token with that text, where it is known without looking; None: :meth:`find` tells."""
        if time.monotonic() - self._read_at >= FRESH:
            return None
        token = self._found.get(text) or find(self._known, text)
        if token is not None:
            self._found[text] = token
        return self._taken(token)

    def _taken(self, token: Token | None) -> Token | None:
        if token is None or (token.expires_at is not None and token.expires_at <= self._tokens.database.clock.now()):
            return None
        self._note(token)
        return token

    async def _refresh(self, age: float, patience: float) -> bool:
        """Read them unless that was done within *age* seconds; false where it was not done in time."""
        now = time.monotonic()
        if now - self._read_at < age:
            return True
        if self._reading is None or self._reading.done():
            self._asked_at = now
            self._reading = asyncio.create_task(self._read())
        asked_at, left = self._asked_at, self._asked_at + patience - now
        if left > 0:
            await asyncio.wait([self._reading], timeout=left)
        return self._read_at >= asked_at

    async def _read(self) -> None:
        try:
            self._known = await self._threads.read(self._tokens.valid)
            self._found, self._noted = {}, set()
            self._read_at = time.monotonic()
        except (Refusal, ClxError) as error:
            log.warning("the tokens cannot be read: %s", error, extra={"action": "tokens_unread"})

    def _note(self, token: Token) -> None:
        """Note that it was used, behind the caller's back."""
        if token.id in self._noted or self._noting:
            return
        if (token.used_at or 0) > self._tokens.database.clock.now() - 3600_000:
            return
        self._noted.add(token.id)
        task = asyncio.create_task(self._write(token))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write(self, token: Token) -> None:
        try:
            await self._threads.write(lambda: self._tokens.note_use(token))
        except (Refusal, ClxError) as error:
            log.info("that a token was used is not noted: %s", error, extra={"action": "token_use_unnoted"})


class Access(AuthenticationBackend):
    """Decides who a request comes from.

    Args:
        book: the tokens; None: none is wanted.
        hosts: the names that this server is called by, without ports; None: whichever.
        behind_proxy: whether what a proxy says of the host is believed.
        cookie: the name of the page's cookie.
    """

    def __init__(
        self, book: TokenBook | None, *, hosts: frozenset[str] | None, behind_proxy: bool = False, cookie: str = "clx"
    ) -> None:
        self.book = book
        self.cookie = cookie
        self._hosts = hosts
        self._behind_proxy = behind_proxy
        self._secret_in = lru_cache(_MOST_KNOWN)(self._secret_of)

    def known(self, method: str, headers: tuple[tuple[bytes, bytes], ...]) -> Caller | None:
        """Who calls, where nothing is wrong with that, and it is known without looking; None: :meth:`authenticate`
        tells.

        Args:
            headers: all but the length of the body.
        """
        try:
            text, by = self._secret_in(method, headers)
        except Refusal:
            return None
        if self.book is None:
            return _ANYBODY_HERE
        token = self.book.known(text) if text and by != "cookie" else None
        return None if token is None else Caller(token.name, token.role, by, text)

    def _secret_of(self, method: str, headers: tuple[tuple[bytes, bytes], ...]) -> tuple[str, str]:
        conn = HTTPConnection({"type": "http", "method": method, "path": "", "headers": headers})
        self._check_origin(conn)
        return _secret(conn, self.cookie)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """Who calls; None for nobody who is known, where anybody may call.

        Raises:
            Refusal: nobody who may.
        """
        conn.scope.setdefault("state", {})["access"] = self
        asked = (conn.scope["method"], conn.scope["path"])
        if asked in _ANYBODY:
            return None
        self._check_origin(conn)
        try:
            caller = await self._caller(conn)
        except Refusal as refusal:
            if refusal.status == 401 and asked in _WHO_BRINGS_A_TOKEN:
                return None
            raise
        return AuthCredentials([role for role in ROLES if may(caller.role, role)]), caller

    async def _caller(self, conn: HTTPConnection) -> Caller:
        if self.book is None:
            return _ANYBODY_HERE
        text, by = _secret(conn, self.cookie)
        if not text:
            raise nobody("A token is needed.")
        token = await self.book.find(text)
        if token is None:
            raise nobody("That token is none that is taken.")
        if by == "cookie" and conn.scope["method"] not in _CHANGES_NOTHING:
            sent = conn.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(sent.encode(), csrf_of(text).encode()):
                raise Refusal(403, "The page did not say that it was meant.", "Load the page anew.")
        return Caller(token.name, token.role, by, text)

    async def takes(self, text: str) -> bool:
        """Whether that is the text of a valid token."""
        return self.book is not None and await self.book.find(text) is not None

    async def still_takes(self, caller: Caller) -> bool:
        """Whether the token of somebody who was let in is valid yet: what lasts asks now and then."""
        return self.book is None or await self.book.find(caller.secret) is not None

    def _check_origin(self, conn: HTTPConnection) -> None:
        """See that a request can be read in one way, names this server, and does not come from another site."""
        headers = conn.headers
        there = [name for name, _ in conn.scope["headers"]]
        for name in _ONCE:
            if there.count(name.encode()) > 1:
                raise Refusal(400, f"The header {name} is there twice.", "Send it once.")
        host = headers.get("host", "")
        if self._behind_proxy:
            host = headers.get("x-forwarded-host", host)
        if self._hosts is not None and _without_port(host) not in self._hosts:
            raise Refusal(403, "This server is not called by that name.", "Use the address that it printed.")
        site, is_visit = headers.get("sec-fetch-site", ""), headers.get("sec-fetch-mode") == "navigate"
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if foreign or (site in ("cross-site", "same-site") and not (is_visit and conn.scope["method"] == "GET")):
            raise Refusal(403, "The request comes from another site.", "Call from a program, or from the page itself.")


def csrf_of(secret: str) -> str:
    """What the page sends with whatever changes something: only who could read the page knows it."""
    return hmac.new(secret.encode("utf-8", "surrogatepass"), b"clx page", hashlib.sha256).hexdigest()


def nobody(fact: str) -> Refusal:
    """What is answered to somebody who is not known."""
    return Refusal(
        401,
        fact,
        "Send Authorization: Bearer TOKEN; `clx server token add NAME --role R` makes one.",
        www_authenticate='Bearer realm="clx"',
    )


def _secret(conn: HTTPConnection, cookie: str) -> tuple[str, str]:
    """The text of a request's token, and how it came."""
    kind, _, value = conn.headers.get("authorization", "").partition(" ")
    value = value.strip()
    if kind.lower() == "bearer":
        return value, "bearer"
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2], "basic"
        except (binascii.Error, ValueError):
            return "", "basic"
    if value := conn.headers.get(ACCESS_HEADER, ""):
        return value.strip(), "bearer"
    if kind and not value:  # clients of Workflow send the token alone
        return kind, "bearer"
    return conn.cookies.get(cookie, ""), "cookie"


def _without_port(host: str) -> str:
    name = host.lower()
    return name[: name.index("]") + 1] if name.startswith("[") and "]" in name else name.partition(":")[0]
