"""The page: what the table holds, live, with a place for what others mount; and the form that asks for a token."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from clx import __version__
from clx.server.access import Access, Caller, csrf_of, nobody
from clx.server.answers import Refusal, answer_to
from clx.server.guard import BodyGuard, RoleGuard
from clx.server.mounts import Mount

if TYPE_CHECKING:
    from starlette.templating import Jinja2Templates

_HERE = Path(__file__).parent
_LARGEST_FORM = 4096
COOKIE_LIVES = 90 * 24 * 3600
"""Seconds for which a browser keeps the token."""


def policy(style: str) -> str:
    """What a page may load and do: its own script and data, this style sheet, and nothing inline beside."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{digest}'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


class Pages:
    """The page, and the form that asks for a token.

    Args:
        database: how the table is called, for people.
        mounts: what is mounted besides; those with a title are linked.
    """

    def __init__(self, database: str, mounts: Sequence[Mount]) -> None:
        self._database = database
        self._links = [(mount.path + "/", mount.title) for mount in mounts if mount.title]

    def routes(self) -> list[Route]:
        """What is where."""
        looks = [Middleware(RoleGuard, role="read"), Middleware(BodyGuard, largest=0)]
        form = [Middleware(BodyGuard, largest=_LARGEST_FORM)]
        return [
            Route("/", self._home),  # which looks itself who asks
            Route("/page.js", self._script, middleware=looks),
            Route("/login", self._login, methods=["POST"], middleware=form),
            Route("/logout", self._logout, methods=["POST"], middleware=looks),
        ]

    async def _home(self, request: Request) -> Response:
        """The page; the address that ``clx server`` prints has the token once, which need not stay in it.

        From then on the browser has it as a cookie, which no script can read and no other site can send.
        """
        given = request.query_params.get("token", "")
        if not request.user.is_authenticated:
            if given and await _access(request).takes(given):
                return _with_cookie(request, given)
            raise nobody("That token is none that is taken." if given else "A token is needed.")
        if given:
            return RedirectResponse("/", 303)
        caller: Caller = request.user
        return _page(
            request, "page.html", database=self._database, links=self._links, version=__version__, role=caller.role,
            name=caller.name, csrf=csrf_of(caller.secret) if caller.secret else "",
        )  # fmt: skip

    async def _script(self, _request: Request) -> Response:
        return FileResponse(_HERE / "assets" / "page.js", media_type="text/javascript")

    async def _login(self, request: Request) -> Response:
        fields: dict[str, list[str]] = parse_qs((await request.body()).decode("latin-1"))
        given = fields.get("token", [""])[0].strip()
        if given and await _access(request).takes(given):
            return _with_cookie(request, given)
        return self._ask(request, wrong=bool(given))

    async def _logout(self, request: Request) -> Response:
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(_access(request).cookie, httponly=True, samesite="strict")
        return answer

    def _ask(self, request: Request, *, wrong: bool) -> Response:
        return _page(request, "login.html", 401, wrong=wrong, database=self._database)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """The answer that tells of *error*; a browser without a token is asked for one."""
        is_unknown = isinstance(error, Refusal) and error.status == 401
        if is_unknown and "text/html" in request.headers.get("accept", ""):
            return self._ask(request, wrong="token" in request.query_params)
        return answer_to(error)


def _access(request: Request) -> Access:
    found: Access = request.scope["state"]["access"]
    return found


def _with_cookie(request: Request, secret: str) -> Response:
    answer = RedirectResponse("/", 303)
    is_secure = request.url.scheme == "https"
    name = _access(request).cookie
    answer.set_cookie(name, secret, COOKIE_LIVES, httponly=True, samesite="strict", secure=is_secure)
    return answer


def _page(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    headers = {"content-security-policy": policy(_style())}
    return _templates().TemplateResponse(request, template, {"style": _style(), **context}, status, headers)


@cache
def _style() -> str:
    return (_HERE / "assets" / "page.css").read_text(encoding="utf-8")


@cache
def _templates() -> Jinja2Templates:
    import jinja2
    from starlette.templating import Jinja2Templates

    loader = jinja2.FileSystemLoader(_HERE / "templates")
    return Jinja2Templates(env=jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined))
