"""Converts a PlantUML source into one picture per diagram it holds."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.converter import Converter
from clx.jobtypes.glyphs import numbered_lines, warn_of_boxes
from clx.jobtypes.plantuml.blame import DiagramJob, explain
from clx.jobtypes.plantuml.blocks import Block, split_blocks, without_comments
from clx.jobtypes.plantuml.includes import closure
from clx.jobtypes.plantuml.jvm import Refusal
from clx.jobtypes.plantuml.jvm_supervisor import Renderer
from clx.jobtypes.plantuml.launch import PICTURE_LIMIT_PX, Look
from clx.jobtypes.source import read_source
from clx.settings.schema import Settings
from clx.tools.catalog import install_hint

FORMATS = ("png", "svg")
DEFAULT_TIMEOUT_S = 60.0
MAX_PAGES = 50
"""Pages of one diagram that are drawn: each needs a JVM of its own."""
_NEW_PAGE = re.compile(r"^\s*newpage\b", re.MULTILINE | re.IGNORECASE)
_START_OF_PNG = b"\x89PNG\r\n\x1a\n"


class PlantUmlConverter(Converter):
    """For ``.pu``, ``.puml`` and ``.plantuml``.

    Payload keys: ``source`` (POSIX path of the source below the inputs), ``format`` (``png`` or ``svg``),
    ``scale`` (of PNG files; default 1), ``timeout`` (seconds per diagram, default 60). The outputs are ``1.png``,
    ``2.png``, … in the order of the diagrams in the source; one that ``newpage`` divides is several of them.

    A diagram reads the job's inputs and PlantUML's own library, no other file, not the network and not the
    environment; it can only tell whether a file exists. That holds for the PlantUML that ``clx tools install``
    fetches. Old versions know no security profile, and 1.2026.8 follows ``..`` out of an allow-list: any other
    jar is tried once, and a warning says when it leaks.

    Args:
        settings: where the tools are.
        work_dir: existing directory for the converter's own files; unset: the system's temporary one.
    """

    def __init__(self, settings: Settings, work_dir: Path | None = None) -> None:
        self._settings = settings
        self._work_dir = work_dir
        self._renderer: Renderer | None = None

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        """Draw every diagram of the source; see :class:`clx.jobtypes.converter.Converter`."""
        source, picture_format = PurePosixPath(payload["source"]), str(payload["format"])
        if picture_format not in FORMATS:
            raise ConversionError(f"PlantUML makes no {picture_format!r} here, only {' and '.join(FORMATS)}.")
        text = read_source(inputs, source)
        blocks = split_blocks(text)
        look = Look(picture_format, float(payload.get("scale", 1)) if picture_format == "png" else 1.0)
        renderer = self._started(look, warn)
        renderer.stage.fill(inputs, source)
        job = DiagramJob(renderer, inputs, source, look, float(payload.get("timeout", DEFAULT_TIMEOUT_S)))
        try:
            pictures = [picture for block in blocks for picture in _draw(job, block)]
        finally:
            renderer.end_pages()
        for number, picture in enumerate(pictures, 1):
            (outputs / f"{number}.{picture_format}").write_bytes(picture)
        for lost in _lost_pictures(text, inputs / source.parent):
            warn(f"the picture {lost} is not among the files of the diagram")
        if picture_format == "png":
            drawn = (line for block in blocks for line in numbered_lines(without_comments(block.text), block.line))
            warn_of_boxes(drawn, warn, outlines_only=True)
        return {"pictures": len(pictures), "layout": "graphviz" if renderer.tools.dot else "smetana"}

    def close(self) -> None:
        """End the JVMs; the first one ever on a machine leaves an archive of its classes behind."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def pids(self) -> list[int]:
        """Process ids of the helpers that are running now."""
        return self._renderer.pids() if self._renderer else []

    def _started(self, look: Look, warn: Callable[[str], None]) -> Renderer:
        if self._renderer is None:
            self._renderer = Renderer(self._settings, self._work_dir)
            if self._renderer.leaks(look):
                jar, hint = self._renderer.tools.jar, install_hint("plantuml")
                warn(f"{jar} lets diagrams read files outside the course; a PlantUML that does not: {hint}")
        return self._renderer


def _draw(job: DiagramJob, block: Block) -> list[bytes]:
    """The pictures of one diagram, checked: one for each of its pages."""
    if block.kind == "dot" and job.renderer.tools.dot is None:
        raise ToolMissingError("A @startdot diagram needs Graphviz.", f"Type: {install_hint('graphviz')}")
    first = _drawn(job, block, 0)
    if isinstance(first, Refusal):
        raise explain(job, block, first)
    pages = [first]
    while _has_pages(job, block) and len(pages) < MAX_PAGES:
        further = _drawn(job, block, len(pages))
        if isinstance(further, Refusal) or not further:
            break
        pages.append(further)
    return pages


def _drawn(job: DiagramJob, block: Block, page: int) -> bytes | Refusal:
    """One page; empty if there are not so many. What is too large at the scale that is asked for has its usual size."""
    for scale in (job.look.scale, 1.0):
        look = job.look._replace(scale=scale, page=page)
        try:
            answer = job.render(block, look)
            if isinstance(answer, Refusal):
                return answer
            if answer.trouble:
                raise _drawing_failed(block, answer.trouble)
            if page and not answer.data.strip():
                return b""
            _check_picture(job, block, look, answer.data)
        except ConversionError as error:
            error.line = error.line or block.line
            if scale <= 1:
                raise
        else:
            return answer.data
    raise AssertionError("the second scale is 1")


def _has_pages(job: DiagramJob, block: Block) -> bool:
    """Whether something in a diagram, or in what it includes, may divide it."""
    if _NEW_PAGE.search(block.text):
        return True
    if "!include" not in block.text:
        return False
    files = closure(job.inputs / job.source, job.inputs)
    return any(_NEW_PAGE.search(file.read_bytes().decode("utf-8", "replace")) for file in files)


def _drawing_failed(block: Block, told: str) -> ConversionError:
    """PlantUML met an exception, or Graphviz failed, and the picture tells of it instead of the diagram."""
    causes = re.findall(r"^(?:Caused by: )?([\w.$]+(?:Exception|Error)\b.*)$", told, re.MULTILINE)
    reason = causes[-1] if causes else told.splitlines()[0]
    place = re.search(r"in line (\d+)", told) if block.kind == "dot" else None
    fact = f"PlantUML or Graphviz failed while laying out the diagram: {reason}"
    return ConversionError(fact, line=block.line + (int(place[1]) if place else 0), traceback=told)


def _check_picture(job: DiagramJob, block: Block, look: Look, data: bytes) -> None:
    """Refuse what is not a whole picture of what the author drew."""
    is_png = data.startswith(_START_OF_PNG)
    if is_png != (look.format == "png") or not (is_png or b"<svg" in data[:1000]):
        raise ConversionError(
            f"PlantUML cannot draw @start{block.kind} as {look.format}.",
            "Choose the other picture format.",
            line=block.line,
        )
    # Only the preprocessor can make a diagram empty that does not look it.
    if "!" in block.text and not look.page and job.renderer.is_welcome(data, look):
        raise ConversionError("The diagram is empty once its includes are in.", line=block.line)
    if is_png and max(struct.unpack(">II", data[16:24])) >= PICTURE_LIMIT_PX:
        raise ConversionError(
            f"The picture would be larger than {PICTURE_LIMIT_PX} pixels.",
            "Split the diagram, lower its scale or choose svg.",
            line=block.line,
        )


def _lost_pictures(text: str, folder: Path) -> list[str]:
    """Pictures in labels that are not there: PlantUML draws "(Cannot decode)" for them."""
    named = re.findall(r"<img:([^>{\s$]+)", text)
    return [name for name in dict.fromkeys(named) if not (folder / name).is_file()]
