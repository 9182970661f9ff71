"""Pages in a real browser: looked at, typed into, and checked by axe-core for what shuts readers out."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from tests.support.tools import require

from clx.jobtypes.browser_page import SitePage
from clx.settings.schema import Settings
from clx.tools.finding import locate

ORIGIN = "http://pages.invalid"
_SECONDS = 60.0
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
Mode = Literal["light", "dark"]


class Reader:
    """A browser that shows pages below a directory, and has no network."""

    def __init__(self, root: Path, browser: Path) -> None:
        self._root = root
        self.page = SitePage(browser, None, "about:blank", self._answer)

    def open(
        self, path: str, *, mode: Mode = "light", width: int = 1280, height: int = 800, media: str = "screen"
    ) -> None:
        """Show the page at *path*, relative to the directory; a fragment may follow it."""
        features = [{"name": "prefers-color-scheme", "value": mode}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.page.go("about:blank", time.monotonic() + _SECONDS)
        self.page.go(f"{ORIGIN}/{path}", time.monotonic() + _SECONDS)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol."""
        return self.page.call(method, params, time.monotonic() + _SECONDS)

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is awaited."""
        return self.page.evaluate(expression, time.monotonic() + _SECONDS)

    def press(self, key: str, *, modifiers: int = 0) -> None:
        """Press a key: a character, or what ``KeyboardEvent.key`` calls it."""
        codes = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}
        event: dict[str, Any] = {"key": key, "modifiers": modifiers}
        if key in codes:
            event["windowsVirtualKeyCode"] = codes[key]
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else None)
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """Write what is shown to a PNG file, for a person to look at."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def barriers(self, *, but: Sequence[str] = ()) -> list[str]:
        """What axe-core calls serious or critical on the page: rule, impact, and the elements.

        Args:
            but: names of rules that are not asked for; say why where you name one.
        """
        if self.value("typeof axe") == "undefined":
            self.value(_axe() + "; 0")
        rules = {name: {"enabled": False} for name in but}
        options = json.dumps({"resultTypes": ["violations"], "rules": rules})
        found: list[Mapping[str, Any]] = self.value(f"axe.run(document, {options}).then(all => all.violations)")
        return [
            f"{each['id']} ({each['impact']}): "
            + "; ".join(f"{node['target'][-1]} {node['html'][:90]} {_why(node)}" for node in each["nodes"][:6])
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]

    def _answer(self, url: str) -> tuple[Mapping[str, str], bytes] | None:
        if url == "about:blank":
            return {"Content-Type": "text/html"}, b""
        path = self._root / unquote(url.removeprefix(f"{ORIGIN}/").partition("#")[0].partition("?")[0])
        if not url.startswith(f"{ORIGIN}/") or not path.is_file():
            return None
        return {"Content-Type": _TYPES.get(path.suffix, "application/octet-stream")}, path.read_bytes()


RED = (192, 32, 32)


def png(
    width: int = 2, height: int = 2, colour: Callable[[int, int], tuple[int, int, int]] = lambda _x, _y: RED
) -> bytes:
    """A picture whose *colour* at each place from the left and the top is red, green and blue, each up to 255."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    rows = b"".join(b"\x00" + b"".join(bytes(colour(x, y)) for x in range(width)) for y in range(height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@contextmanager
def reader(root: Path) -> Iterator[Reader]:
    """A browser for the pages below *root*; the calling test is skipped where there is none."""
    require("browser")
    browser = locate("browser", Settings())
    assert browser is not None
    made = Reader(root, browser.path)
    try:
        yield made
    finally:
        made.page.close()


def _axe() -> str:
    # the package's own modules import drivers that are not needed
    spec = find_spec("axe_core_python")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def _why(node: Mapping[str, Any]) -> str:
    data = [check.get("data") for check in (*node["any"], *node["all"], *node["none"])]
    return " ".join(
        f"{each['fgColor']} on {each['bgColor']}: {each['contrastRatio']}"
        for each in data
        if isinstance(each, dict) and "contrastRatio" in each
    )
