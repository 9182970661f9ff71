"""Serving the pages of a course on this machine while they are written: ``clx build --watch --serve``.

Pages are served as they are published, with one script more, which hears of each build: it reloads the page when its
file, or one that it showed, is another than the one that was served, and shows what keeps a deck from being built.
Nothing of that is in the files.

Only this machine is answered, only under its own name (so that no page of the web reaches it by a name that leads
here), and only with files of the targets.
"""

from __future__ import annotations

import contextlib
import functools
import mimetypes
import os
import queue
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

import msgspec

from clx.course.pages.places import INDEX
from clx.errors import UsageError
from clx.regular import open_regular

USUAL_PORT = 8642
"""What is tried first where no port is named."""
_HOST = "127.0.0.1"
_OWN = "/.clx/"
"""Below it lies what is served and no file of the output: names of published files begin with no dot."""
_LIVE = Path(__file__).with_name("assets") / "live.js"
_ALIVE_SECONDS = 15.0
"""After which a page that hears nothing is written to, so that one that has gone is noticed."""
_SCRIPTS = ("course.js", "search.js")
"""Files that change with every deck: a page is not reloaded for them."""
_TYPES = {".js": "text/javascript", ".ipynb": "application/json", ".webp": "image/webp", ".svg": "image/svg+xml"}


class Listener:
    """One open page: what it was made of, and what it is still to be told."""

    def __init__(self, url: str, stamp: str) -> None:
        self.url = url
        self.stamp = stamp
        self.events: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()


class PageServer:
    """Serves the targets of one output directory.

    Args:
        output: the output directory; URLs are paths below it.
        port: to listen at; 0: any; None: the usual one, or any if that is taken.

    Raises:
        UsageError: the port is taken.
    """

    def __init__(self, output: str, port: int | None = None) -> None:
        self.output = os.path.realpath(output)
        self.targets: Sequence[str] = ()
        self._errors: list[dict[str, str]] = []
        self._listeners: set[Listener] = set()
        self._shown: dict[str, dict[str, str]] = {}
        self._lock = threading.Lock()
        self._server = _bound(port, functools.partial(_Handler, self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="clx serve", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{_HOST}:{self.port}/"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop; pages that are open are let go."""
        with self._lock:
            for listener in self._listeners:
                listener.events.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # -- what a build tells -----------------------------------------------------------------------

    def look(self) -> None:
        """Reload the pages whose files are others now."""
        with self._lock:
            for listener in list(self._listeners):
                if self._is_outdated(listener):
                    listener.events.put(("reload", ""))
                    self._listeners.discard(listener)

    def tell(self, errors: Iterable[Mapping[str, str]]) -> None:
        """What keeps the course from being as it is written: shown on every page until told otherwise."""
        with self._lock:
            self._errors = [dict(each) for each in errors]
            for listener in self._listeners:
                listener.events.put(("errors", self._errors))

    # -- pages that are open ----------------------------------------------------------------------

    def listen(self, url: str, stamp: str) -> Listener:
        """A page that is open, to be told what comes."""
        listener = Listener(url, stamp)
        with self._lock:
            if self._is_outdated(listener):
                listener.events.put(("reload", ""))
            else:
                listener.events.put(("errors", self._errors))
                self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """It is not open any more."""
        with self._lock:
            self._listeners.discard(listener)

    def _is_outdated(self, listener: Listener) -> bool:
        if self.stamp(listener.url) != listener.stamp:
            return True
        return any(self.stamp(url) != stamp for url, stamp in self._shown.get(listener.url, {}).items())

    def note(self, page: str, url: str) -> None:
        """Note that a page shows the file of *url*."""
        if not url.endswith(_SCRIPTS):
            with self._lock:
                self._shown.setdefault(page, {})[url] = self.stamp(url)

    def begin(self, page: str) -> None:
        """Note that a page is being served: what it shows is asked for next."""
        with self._lock:
            self._shown.pop(page, None)

    # -- files ------------------------------------------------------------------------------------

    def stamp(self, url: str) -> str:
        """What tells whether the file of a URL is still the same; empty if there is none."""
        path = self.file(url)
        if path is None:
            return ""
        with contextlib.suppress(OSError):
            found = path.stat()
            return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"
        return ""

    def file(self, url: str) -> Path | None:
        """The published file of a URL's path; None for anything else."""
        parts = unquote(url, errors="surrogateescape").split("/")[1:]
        if parts[-1:] == [""]:
            parts[-1] = INDEX
        if not parts or any(not part or part.startswith(".") or "\0" in part or "\\" in part for part in parts):
            return None
        try:
            path = Path(os.path.realpath(Path(self.output, *parts)))
            inside = any(path.is_relative_to(target) for target in map(os.path.realpath, self.targets))
            return path if inside and path.is_file() else None
        except (OSError, ValueError):  # a name that no file can have, or one that may not be looked at
            return None

    def is_directory(self, url: str) -> bool:
        """Whether a directory with an index is meant, without the slash at its end."""
        return not url.endswith("/") and self.file(f"{url}/") is not None

    def indexes(self) -> list[str]:
        """URLs of the tops of all targets."""
        relative = (os.path.relpath(os.path.realpath(target), self.output) for target in self.targets)
        urls = ("/" if each == "." else f"/{quote(each)}/" for each in relative)
        return [url for url in urls if self.file(url)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "CLX"
    sys_version = ""

    def __init__(self, pages: PageServer, *args: Any) -> None:
        self._pages = pages
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Nothing: the terminal shows the build."""

    def do_HEAD(self) -> None:
        """As :meth:`do_GET`, without the body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer, if it is asked for by a page of its own."""
        with contextlib.suppress(ConnectionError):
            self._answer()

    def _answer(self) -> None:
        url = _parts_of(self.path)
        if url is None:
            self._send(HTTPStatus.BAD_REQUEST, b"This is no address.\n", "text/plain")
        elif not self._is_own_page():
            self._send(HTTPStatus.FORBIDDEN, b"Only for pages of this server.\n", "text/plain")
        elif url.path == f"{_OWN}events":
            self._events(parse_qs(url.query))
        elif url.path == f"{_OWN}live.js":
            self._send(HTTPStatus.OK, _LIVE.read_bytes(), "text/javascript")
        elif url.path == "/" and self._pages.file("/") is None:
            self._home()
        elif self._pages.is_directory(url.path):
            self._send(HTTPStatus.FOUND, b"", "text/plain", Location=f"{url.path}/")
        else:
            self._file(url.path)

    def _is_own_page(self) -> bool:
        """Whether the request is for this server by its own name, and not made by a page of somebody else."""
        if self.headers.get("Host") not in {f"{name}:{self._pages.port}" for name in (_HOST, "localhost")}:
            return False
        site, mode = self.headers.get("Sec-Fetch-Site", "none"), self.headers.get("Sec-Fetch-Mode", "")
        return site in ("none", "same-origin") or mode == "navigate"

    def _file(self, url: str) -> None:
        path = self._pages.file(url)
        type_ = _type_of(path) if path else "text/html"
        came_from = _parts_of(self.headers.get("Referer", ""))
        referrer = came_from.path if came_from else ""
        if type_ == "text/html":
            self._pages.begin(url)
        elif referrer and referrer != url:
            self._pages.note(referrer, url)
        stamp = self._pages.stamp(url)
        try:
            data = _read(path) if path else None
        except OSError:
            data = None
        if data is None:
            text = "There is no such page, or it is not built yet."
            self._send(HTTPStatus.NOT_FOUND, _with_script(_plain_page(f"<p>{text}</p>"), stamp), "text/html")
        else:
            self._send(HTTPStatus.OK, _with_script(data, stamp) if type_ == "text/html" else data, type_)

    def _home(self) -> None:
        indexes = self._pages.indexes()
        if len(indexes) == 1:
            self._send(HTTPStatus.FOUND, b"", "text/plain", Location=indexes[0])
            return
        links = "".join(f'<li><a href="{url}">{escape(unquote(url).strip("/"))}</a></li>' for url in indexes)
        text = f"<ul>{links}</ul>" if indexes else "<p>Nothing is built yet.</p>"
        self._send(HTTPStatus.OK, _with_script(_plain_page(text), ""), "text/html")

    def _events(self, query: Mapping[str, Sequence[str]]) -> None:
        page, stamp = query.get("page", [""])[0], query.get("stamp", [""])[0]
        self.send_response(HTTPStatus.OK)
        self._headers("text/event-stream", {})
        self.end_headers()
        self.close_connection = True
        listener = self._pages.listen(page, stamp)
        try:
            while True:
                self.wfile.write(_next_of(listener))
                self.wfile.flush()
        except (_EndError, OSError):
            pass
        finally:
            self._pages.leave(listener)

    def _send(self, status: HTTPStatus, data: bytes, type_: str, **more: str) -> None:
        self.send_response(status)
        self._headers(type_, more)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _headers(self, type_: str, more: Mapping[str, str]) -> None:
        text = type_.startswith("text/") or type_ == "application/json"
        self.send_header("Content-Type", f"{type_}; charset=utf-8" if text else type_)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        for name, value in more.items():
            self.send_header(name, value)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing for a browser that has gone: the terminal shows the build."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def _parts_of(address: str) -> SplitResult | None:
    """The parts of an address; ``None`` where it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return None


class _EndError(Exception):
    """The server stops."""


def _next_of(listener: Listener) -> bytes:
    """What a page is told next; a comment where that takes long."""
    try:
        event = listener.events.get(timeout=_ALIVE_SECONDS)
    except queue.Empty:
        return b":\n\n"
    if event is None:
        raise _EndError
    name, data = event
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


def _bound(port: int | None, handler: Any) -> ThreadingHTTPServer:
    try:
        return _Server((_HOST, USUAL_PORT if port is None else port), handler)
    except OSError as error:
        if port is None:
            return _Server((_HOST, 0), handler)
        fact = f"Pages cannot be served at port {port}: {error.strerror}."
        raise UsageError(fact, "Name another port, or none: --serve takes one that is free.") from error


def _type_of(path: Path) -> str:
    known = _TYPES.get(path.suffix.lower())
    return known or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def _read(path: Path) -> bytes:
    with open_regular(path) as stream:
        return stream.read()


def _plain_page(inside: str) -> bytes:
    head = '<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>CLX</title>'
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body><main>{inside}</main></body></html>'.encode()


def _with_script(page: bytes, stamp: str) -> bytes:
    script = f'<script src="{_OWN}live.js" data-stamp="{stamp}" defer></script>\n'.encode()
    before, end, after = page.rpartition(b"</body>")
    return before + script + end + after if end else page + script
