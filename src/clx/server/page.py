"""The page: what the table holds, live, with a place for what others mount; and the form that asks for a token."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from clx import __version__
from clx.server.access import Access, csrf_of
from clx.server.answers import Refusal, send_bytes
from clx.server.mounts import Mount, Receive, Scope, Send

if TYPE_CHECKING:
    import jinja2

_HERE = Path(__file__).parent
_HTML = "text/html; charset=utf-8"
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
    """The page as an ASGI application, for the mount of ``""``.

    Args:
        database: how the table is called, for people.
        mounts: what is mounted besides; those with a title are linked.
    """

    def __init__(self, database: str, mounts: Sequence[Mount]) -> None:
        self._database = database
        self._links = [(mount.path + "/", mount.title) for mount in mounts if mount.title]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """One request of somebody who is known."""
        path, method, access = scope["path"], scope["method"], scope["state"]["access"]
        if method not in ("GET", "HEAD"):
            if path == "/logout" and method == "POST":
                await _moved(send, "/", f"{access.cookie}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
                return
            raise Refusal(405, "This address does not take that method.", "It takes GET.", allow="GET, HEAD")
        if path == "/" and b"token=" in scope["query_string"]:  # it need not stay in the address
            await _moved(send, "/")
        elif path == "/":
            caller = scope["state"]["caller"]
            text = _template("page.html").render(
                database=self._database, links=self._links, version=__version__, role=caller.role, name=caller.name,
                csrf=csrf_of(caller.secret) if caller.secret else "", style=_style(),
            )  # fmt: skip
            await _send_page(send, 200, text, method)
        elif path == "/page.js":
            script = (_HERE / "assets" / "page.js").read_bytes()
            await send_bytes(send, 200, script if method == "GET" else b"", media="text/javascript; charset=utf-8")
        else:
            raise Refusal(404, "There is nothing at this address.", "The page is at /.")

    async def refuse(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> bool:
        """Take the token of somebody who brings one by the address or the form, ask a browser for it; false if neither.

        The address that ``clx server`` prints has the token once; from then on the browser has it as a cookie, which no
        script can read and no other site can send.
        """
        access: Access = scope["state"]["access"]
        path, method = scope["path"], scope["method"]
        if path == "/login" and method == "POST":
            given = await _form(receive)
        elif path == "/" and method == "GET" and scope["query_string"]:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        else:
            given = ""
        if given and access.book is not None and await access.book.find(given) is not None:
            secure = "; Secure" if scope["scheme"] == "https" else ""
            cookie = f"{access.cookie}={given}; Path=/; Max-Age={COOKIE_LIVES}; HttpOnly; SameSite=Strict{secure}"
            await _moved(send, "/", cookie)
            return True
        if "text/html" not in headers.get("accept", "") and path != "/login":
            return False
        text = _template("login.html").render(style=_style(), wrong=bool(given), database=self._database)
        await _send_page(send, 401, text, method)
        return True


async def _form(receive: Receive) -> str:
    """The token in a form, whose size is bounded already."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            break
    fields: dict[str, list[str]] = parse_qs(body.decode("latin-1"))
    return fields.get("token", [""])[0].strip()


async def _moved(send: Send, where: str, cookie: str = "") -> None:
    headers = {"location": where} | ({"set-cookie": cookie} if cookie else {})
    await send_bytes(send, 303, b"", media=_HTML, headers=headers)


async def _send_page(send: Send, status: int, text: str, method: str) -> None:
    headers = {"content-security-policy": policy(_style())}
    await send_bytes(
        send, status, text.encode() if method == "GET" or status != 200 else b"", media=_HTML, headers=headers
    )


@cache
def _style() -> str:
    return (_HERE / "assets" / "page.css").read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)
