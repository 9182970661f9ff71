"""The page: its sections in one frame, the files it consists of, and the form that asks for a token."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from clx import __version__
from clx.errors import ClxError
from clx.server.access import Access, Caller, csrf_of, nobody
from clx.server.answers import Refusal, answer_to, refusal_of
from clx.server.guard import BodyGuard, RoleGuard
from clx.server.mounts import Mount
from clx.server.threads import DatabaseThreads
from clx.server.views.rendering import Renderer, Shown
from clx.server.views.sections import Parts

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("page.js", "idiomorph.js")
_LARGEST_FORM = 4096
_PATIENCE = 0.5
"""Seconds that a view waits for a table that others have locked; then it comes when it can."""
COOKIE_LIVES = 90 * 24 * 3600
"""Seconds for which a browser keeps the token."""


def policy(style: str) -> str:
    """What a page may load and do: its own scripts and data, this style sheet, and nothing inline beside."""
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
        renderer: what there is to be shown.
        threads: what asks the table.
    """

    def __init__(self, database: str, mounts: Sequence[Mount], renderer: Renderer, threads: DatabaseThreads) -> None:
        self._database = database
        self._links = [(mount.path + "/", mount.title) for mount in mounts if mount.title]
        self._renderer = renderer
        self._threads = threads

    def routes(self, parts: Parts) -> list[BaseRoute]:
        """What is where."""
        looks = [Middleware(RoleGuard, role="read"), Middleware(BodyGuard, largest=0)]
        form = [Middleware(BodyGuard, largest=_LARGEST_FORM)]
        sections = self._renderer.sections
        return [
            Route("/", self._home),  # which looks itself who asks
            *(Route(f"/{name}", self._script, middleware=looks) for name in _SCRIPTS),
            Route("/login", self._login, methods=["POST"], middleware=form),
            Route("/logout", self._logout, methods=["POST"], middleware=looks),
            *(route for section in sections for route in section.routes(parts)),
            *(
                Route(view.path, self._show, middleware=looks)
                for section in sections
                for view in section.views
                if view.path != "/"
            ),
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
        return await self._show(request)

    async def _show(self, request: Request) -> Response:
        """A view in its frame; a browser is told in the frame, too, why it is refused one."""
        caller: Caller = request.user
        url = quote(request.scope["path"]) + (f"?{request.url.query}" if request.url.query else "")
        try:
            shown = await self._threads.read(partial(self._renderer.show, url, caller.role), patience=_PATIENCE)
        except (Refusal, ClxError) as error:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            refusal = refusal_of(error)
            if refusal.status == 503:
                return self._answer("frame.html", 503, refusal.headers, **self._frame(caller, self._busy(refusal, url)))
            return self._answer(
                "refused.html", refusal.status, refusal.headers, **self._frame(caller), fact=refusal.fact,
                next_step=refusal.next_step,
            )  # fmt: skip
        return self._answer("frame.html", **self._frame(caller, shown))

    def _busy(self, refusal: Refusal, url: str) -> Shown:
        """What stands in place of a view while the table does not answer; the stream tells the view when it does."""
        main = self._renderer.templates.get_template("busy.html").render(fact=refusal.fact)
        return Shown(main, "", "The table does not answer", url)

    def _frame(self, caller: Caller, shown: Shown | None = None) -> dict[str, Any]:
        return {
            "database": self._database, "links": self._links, "version": __version__, "role": caller.role,
            "name": caller.name, "csrf": csrf_of(caller.secret) if caller.secret else "",
            "sections": self._renderer.sections, "shown": shown,
        }  # fmt: skip

    def _answer(
        self, template: str, status: int = 200, headers: dict[str, str] | None = None, **context: Any
    ) -> Response:
        told = {**(headers or {}), "content-security-policy": policy(_style())}
        text = self._renderer.templates.get_template(template).render(style=_style(), **context)
        return HTMLResponse(text.encode("utf-8", "replace"), status, told)

    async def _script(self, request: Request) -> Response:
        return FileResponse(_ASSETS / request.scope["path"].lstrip("/"), media_type="text/javascript")

    async def _login(self, request: Request) -> Response:
        fields: dict[str, list[str]] = parse_qs((await request.body()).decode("latin-1"))
        given = fields.get("token", [""])[0].strip()
        if given and await _access(request).takes(given):
            return _with_cookie(request, given)
        return self._ask(wrong=bool(given))

    async def _logout(self, request: Request) -> Response:
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(_access(request).cookie, httponly=True, samesite="strict")
        return answer

    def _ask(self, *, wrong: bool) -> Response:
        return self._answer("login.html", 401, wrong=wrong, database=self._database)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """The answer that tells of *error*; a browser without a token is asked for one."""
        is_unknown = isinstance(error, Refusal) and error.status == 401
        if is_unknown and "text/html" in request.headers.get("accept", ""):
            return self._ask(wrong="token" in request.query_params)
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


@cache
def _style() -> str:
    return (_ASSETS / "page.css").read_text(encoding="utf-8")
