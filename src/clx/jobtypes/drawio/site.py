"""The made-up web site that the browser sees: the application, MathJax, and nothing else at all.

The application is not opened from ``file:``, because a page there may show other files of the machine.
The content security policy is the first of three walls around what a diagram's author writes: no script
but the application's own files, no frames, no requests but to this site. The second is that every request
is answered here or refused (:mod:`clx.jobtypes.drawio.exporter`), the third a browser that resolves no name.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from clx.errors import ToolMissingError
from clx.tools.catalog import install_hint

ORIGIN = "https://drawio.invalid"
"""Top-level domain ``.invalid`` never exists (RFC 2606)."""
START_PAGE = f"{ORIGIN}/clx-application.html"

_HERE = Path(__file__).parent
_OWN_FILES = {
    "clx-application.html": _HERE / "application.html",
    "clx-exporter.js": _HERE / "exporter.js",
}
_NEEDED = ("js/app.min.js", "js/export.js", "js/stencils.min.js", "js/shapes-14-6-5.min.js")
_MATH = "math/es5/"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "text/xml; charset=utf-8",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)


class Site:
    """Answers the browser's requests from the application's directory.

    Args:
        application: directory of the draw.io web application.
        math: directory of MathJax (its ``es5``), or ``None``.

    Raises:
        ToolMissingError: the directory is not the application.
    """

    def __init__(self, application: Path, math: Path | None) -> None:
        self._application = application.resolve()
        self._math = math.resolve() if math else None
        for name in _NEEDED:
            if not (self._application / name).is_file():
                raise ToolMissingError(
                    f"{application} is not a complete draw.io application: {name} is missing.",
                    f"Type: {install_hint('drawio')}",
                )

    def answer(self, url: str) -> tuple[dict[str, str], bytes] | None:
        """Headers and body for *url*; ``None`` when there is no such file on this site."""
        path = self._file(url)
        if path is None or not path.is_file():
            return None
        headers = {
            "Content-Type": _TYPES.get(path.suffix.lower(), "application/octet-stream"),
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
        }
        return headers, path.read_bytes()

    @staticmethod
    def name(url: str) -> str:
        """*url* as the author of a diagram wrote it: relative addresses lie on this site."""
        return url.removeprefix(f"{ORIGIN}/")

    def _file(self, url: str) -> Path | None:
        if not url.startswith(f"{ORIGIN}/"):
            return None
        name = unquote(urlsplit(url).path).lstrip("/")
        if name in _OWN_FILES:
            return _OWN_FILES[name]
        root, inside = self._application, name
        if name.startswith(_MATH):
            if self._math is None:
                return None
            root, inside = self._math, name.removeprefix(_MATH)
        if "\0" in inside:
            return None
        path = (root / inside).resolve()
        return path if path.is_relative_to(root) else None
