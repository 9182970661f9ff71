"""Converts a Graphviz source into one picture per graph it holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.converter import Converter
from clx.jobtypes.glyphs import numbered_lines, warn_of_boxes
from clx.jobtypes.graphviz.settings import GraphvizSettings
from clx.jobtypes.source import read_source
from clx.regular import open_regular
from clx.settings.schema import Settings
from clx.tools.catalog import install_hint
from clx.tools.finding import require
from clx.tools.program import at_most, dies_with_parent, run, small_environment

DEFAULT_TIMEOUT_S = 60.0
_MEMORY = 2 << 30
"""Bytes that Graphviz may take about: a picture of 16,000 pixels a side takes half of it."""
_NOT_STARTED = (126, 127)  # what a program ends with that could not start another one
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|^#[^\n]*', re.DOTALL | re.MULTILINE)
"""A comment, or a text in quotes, in which there are none."""
_NAMES_A_FILE = re.compile(r"\b(?:image|shapefile)\s*=\s*[^\s\]>]+|<img\b[^>]*>", re.IGNORECASE)


def is_graph(path: Path) -> bool:
    """Whether a ``.dot`` is text: templates of Word are called so, too."""
    if path.suffix.lower() != ".dot":
        return True
    try:
        with open_regular(path) as stream:
            return b"\0" not in stream.read(1 << 16)
    except OSError:  # a pipe, or nothing: told as with every other source
        return True


class GraphvizConverter(Converter):
    """For ``.dot`` and ``.gv``. A graph reads no file (``image=``, ``shapefile=``, ``<IMG>``): to name one is an error.

    Payload keys: ``source`` (path below the inputs), ``format`` (``png`` or ``svg``), ``dpi`` (PNG only), ``timeout``
    (seconds per file, default 60). The outputs are ``1.png``, ``2.png``, … in the order of the graphs.
    """

    def __init__(self, settings: Settings, work_dir: Path | None = None) -> None:
        self._settings = settings
        self._work_dir = work_dir

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        """Draw every graph of the source; see :class:`clx.jobtypes.converter.Converter`."""
        if payload["format"] not in ("png", "svg"):
            raise ConversionError(f"Graphviz makes no {payload['format']!r} here, only png and svg.")
        text = read_source(inputs, PurePosixPath(payload["source"]))
        with TemporaryDirectory(prefix="graphviz-", dir=self._work_dir) as scratch:
            (Path(scratch) / "graph").write_text(text, "utf-8")
            said = self._run(payload, text, Path(scratch))
            pictures = sorted(Path(scratch).glob("graph.*"), key=_number)
            for number, picture in enumerate(pictures, 1):
                (outputs / f"{number}{picture.suffix}").write_bytes(picture.read_bytes())
        if not pictures:
            raise ConversionError("There is no graph in the file.", "A graph starts with graph { or digraph {.", line=1)
        for line in dict.fromkeys(said.splitlines()):
            warn(line.removeprefix("Warning: "))
        if payload["format"] == "png":
            warn_of_boxes(numbered_lines(_COMMENT.sub(_blank, text)), warn)
        return {"pictures": len(pictures)}

    def _run(self, payload: Mapping[str, Any], text: str, scratch: Path) -> str:
        """Let Graphviz draw the file ``graph`` in *scratch*; what it remarked."""
        dot = require("graphviz", self._settings).path
        dpi = payload.get("dpi", self._settings.section(GraphvizSettings).dpi)
        options = [f"-T{payload['format']}", *([f"-Gdpi={dpi:g}"] if payload["format"] == "png" else [])]
        command = [*at_most(_MEMORY), *dies_with_parent(), str(dot), *options, "-O", "graph"]
        timeout = float(payload.get("timeout", DEFAULT_TIMEOUT_S))
        try:
            code, said = run(command, scratch, timeout, small_environment())
        except TimeoutError:
            fact = f"Graphviz did not finish the file within {timeout:g} s."
            raise ConversionError(fact, "Split the graph, or choose another layout.") from None
        except OSError as error:
            code, said = _NOT_STARTED[0], str(error.strerror)
        if code in _NOT_STARTED:
            raise ToolMissingError(f"Graphviz does not run ({dot}): {said}", f"Type: {install_hint('graphviz')}")
        if "file loading is disabled" in said:
            raise _reads_a_file(text)
        if "too large for cairo" in said or "out of memory" in said:
            step = "Split the graph, lower its size or graphviz.dpi, or choose svg."
            raise ConversionError("The picture would be too large.", step)
        if code:
            raise _refusal(code, said)
        return said


def _number(picture: Path) -> int:
    """The place of a graph in its file: Graphviz writes ``graph.png``, ``graph.2.png``, …"""
    return int(picture.name.split(".")[1]) if picture.name.count(".") > 1 else 1


def _blank(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith('"') else "\n" * found[0].count("\n")


def _reads_a_file(text: str) -> ConversionError:
    found = _NAMES_A_FILE.search(text)
    line = text.count("\n", 0, found.start()) + 1 if found else None
    return ConversionError(f"A graph may read no file{f': {found[0]}' if found else ''}", "Draw it without.", line=line)


def _refusal(code: int, said: str) -> ConversionError:
    """What Graphviz says is wrong; a negative *code* is the signal that ended it, perhaps for its memory."""
    message = next((line for line in said.splitlines() if line.startswith("Error: ")), said.partition("\n")[0])
    place = re.match(r"Error: graph: syntax error in line (\d+)", message)  # those of labels count from their start
    fact = re.sub(r"^Error: (graph: (syntax error) in line \d+)?", r"\2", message).strip()
    fact = fact or f"Graphviz ended with code {code}"
    return ConversionError(fact, line=int(place[1]) if place else None, traceback=said or None, retryable=code < 0)
