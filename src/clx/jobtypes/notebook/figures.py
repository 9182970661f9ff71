"""Figures that a reader's browser draws, by libraries that a page carries once: plotly's and Vega's (altair)."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from html import escape
from pathlib import Path
from typing import Any

_ASSETS = Path(__file__).with_name("assets")
_PLOTLY = "application/vnd.plotly.v1+json"
_VEGA = re.compile(r"application/vnd\.vega(?P<lite>lite)?\.v\d+(?:\.json|\+json)")
PLOTLY_SCRIPT = "plotly/package_data/plotly.min.js"
"""Where the Python package has the library that draws its figures."""
_VEGA_SCRIPTS = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")
_MAPS = re.compile(r"scattergeo|choropleth|\w+map(?:box)?(?<!heatmap)(?<!treemap)")
_BEGIN, _END = "<!--figures-->", "<!--/figures-->"
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*\n?", re.MULTILINE)
_END_OF_SCRIPT = re.compile(r"</(script)", re.IGNORECASE)

PackagedFile = Callable[[str], Path | None]
"""Finds a file that a Python package of the cells' interpreter brings."""


class Figures:
    """The figures of one page.

    Args:
        packaged: finds plotly's library.
    """

    def __init__(self, packaged: PackagedFile) -> None:
        self._packaged = packaged
        self._needed: dict[str, None] = {}
        self.carried = ""
        """Names the libraries that the page carries; empty if none."""

    def clear(self) -> None:
        """Begin another page."""
        self._needed.clear()
        self.carried = ""

    def html(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], label: str, warn: Callable[[str], None]
    ) -> str | None:
        """The figure among the forms of an output; None where there is none, or its library is missing."""
        for mime, figure in data.items():
            if mime == _PLOTLY and isinstance(figure, Mapping) and self._plotly():
                return self._figure("plotly", _plotly_json(figure, warn), label)
            if (vega := _VEGA.fullmatch(mime)) and isinstance(figure, Mapping):
                options = (metadata.get(mime) or {}).get("embed_options") or {}
                options = {"mode": "vega-lite" if vega["lite"] else "vega", **options, "actions": False}
                return self._figure("vega", _json({"spec": figure, "options": options}), label)
        return None

    def scripts(self) -> str:
        """What draws the page's figures, to stand behind them; empty where there are none."""
        if not self._needed:
            return ""
        texts = [text for name in self._needed for text in self._libraries(name)]
        own = (_ASSETS / "figures.js").read_text(encoding="utf-8")
        scripts = "".join(f"\n<script>\n{inside_script(text)}\n</script>" for text in (*texts, own)) + "\n"
        self.carried = digest_of(scripts)
        return f"{_BEGIN}{scripts}{_END}\n"

    def _figure(self, library: str, figure: str, label: str) -> str:
        self._needed[library] = None
        inside = f'<script type="application/json">{figure}</script>'
        named = f'data-library="{library}" role="group" aria-label="{escape(label)}"'
        return f'<div class="figure plate" {named}>{inside}</div>\n'

    def _libraries(self, name: str) -> list[str]:
        return [self._plotly()] if name == "plotly" else _vega()

    def _plotly(self) -> str:
        found = self._packaged(PLOTLY_SCRIPT)
        return _text(found, found.stat().st_mtime_ns) if found else ""


def without_scripts(page: str) -> tuple[str, str]:
    """A page without what draws its figures, and that: nothing is to be looked for in megabytes of it."""
    head, begin, rest = page.rpartition(_BEGIN)
    if not begin:
        return page, ""
    scripts, _, tail = rest.partition(_END)
    return head + _BEGIN + tail, scripts + _END


def with_scripts(page: str, scripts: str) -> str:
    """The page that :func:`without_scripts` has taken apart."""
    head, begin, tail = page.rpartition(_BEGIN)
    return head + begin + scripts + tail


def digest_of(scripts: str) -> str:
    """What names the libraries of a page, as :func:`without_carried` is given it."""
    return hashlib.sha256(scripts.removesuffix(_END).encode("utf-8", "replace")).hexdigest()


def without_carried(page: bytes, digests: Collection[str]) -> bytes:
    """The bytes of a page without the libraries it carries, if these are as *digests* say."""
    head, begin, rest = page.rpartition(_BEGIN.encode())
    scripts, end, tail = rest.partition(_END.encode())
    is_known = begin and end and hashlib.sha256(scripts).hexdigest() in digests
    return head + begin + end + tail if is_known else page


def inside_script(text: str) -> str:
    """A program as it may stand in a ``script`` element."""
    return _END_OF_SCRIPT.sub(r"<\\/\1", _SOURCE_MAP.sub("", text))


def _plotly_json(figure: Mapping[str, Any], warn: Callable[[str], None]) -> str:
    shown = {name: figure[name] for name in ("data", "layout", "frames", "config") if figure.get(name)}
    kinds = [str(trace.get("type")) for trace in figure.get("data") or () if isinstance(trace, Mapping)]
    if found := next(filter(_MAPS.fullmatch, kinds), None):
        warn(f"its figure ({found}) takes the map from the network")
    return _json(shown)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@functools.lru_cache(maxsize=2)
def _text(path: Path, _modified: int) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _vega() -> list[str]:
    return [(_ASSETS / "vega" / name).read_text(encoding="utf-8") for name in _VEGA_SCRIPTS]
