"""Converts a PlantUML source into one picture per diagram it holds."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from clx.errors import ConversionError, ToolMissingError
from clx.jobtypes.converter import Converter
from clx.jobtypes.plantuml.blame import DiagramJob, explain
from clx.jobtypes.plantuml.blocks import Block, split_blocks
from clx.jobtypes.plantuml.jvm import Refusal
from clx.jobtypes.plantuml.jvm_supervisor import Renderer
from clx.jobtypes.plantuml.launch import PICTURE_LIMIT_PX
from clx.jobtypes.source import read_source
from clx.settings.schema import Settings
from clx.tools.catalog import install_hint

FORMATS = ("png", "svg")
DEFAULT_TIMEOUT_S = 60.0
_START_OF_PNG = b"\x89PNG\r\n\x1a\n"


class PlantUmlConverter(Converter):
    """For ``.pu``, ``.puml`` and ``.plantuml``.

    Payload keys: ``source`` (POSIX path of the source below the inputs), ``format`` (``png`` or ``svg``),
    ``timeout`` (seconds per diagram, default 60). The outputs are ``1.png``, ``2.png``, … in the order of
    the diagrams in the source.

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
        renderer = self._started(picture_format, warn)
        renderer.stage.fill(inputs, source)
        job = DiagramJob(renderer, inputs, source, picture_format, float(payload.get("timeout", DEFAULT_TIMEOUT_S)))
        for number, block in enumerate(blocks, 1):
            (outputs / f"{number}.{picture_format}").write_bytes(_draw(job, block))
        for picture in _lost_pictures(text, inputs / source.parent):
            warn(f"the picture {picture} is not among the files of the diagram")
        return {"pictures": len(blocks), "layout": "graphviz" if renderer.tools.dot else "smetana"}

    def close(self) -> None:
        """End the JVMs; the first one ever on a machine leaves an archive of its classes behind."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def pids(self) -> list[int]:
        """Process ids of the helpers that are running now."""
        return self._renderer.pids() if self._renderer else []

    def _started(self, picture_format: str, warn: Callable[[str], None]) -> Renderer:
        if self._renderer is None:
            self._renderer = Renderer(self._settings, self._work_dir)
            if self._renderer.leaks(picture_format):
                jar, hint = self._renderer.tools.jar, install_hint("plantuml")
                warn(f"{jar} lets diagrams read files outside the course; a PlantUML that does not: {hint}")
        return self._renderer


def _draw(job: DiagramJob, block: Block) -> bytes:
    """The picture of one diagram, checked."""
    if block.kind == "dot" and job.renderer.tools.dot is None:
        raise ToolMissingError("A @startdot diagram needs Graphviz.", f"Type: {install_hint('graphviz')}")
    try:
        answer = job.render(block)
    except ConversionError as error:
        error.line = block.line
        raise
    if isinstance(answer, Refusal):
        raise explain(job, block, answer)
    if answer.trouble:
        raise _drawing_failed(block, answer.trouble)
    _check_picture(job, block, answer.data)
    return answer.data


def _drawing_failed(block: Block, told: str) -> ConversionError:
    """PlantUML met an exception, or Graphviz failed, and the picture tells of it instead of the diagram."""
    causes = re.findall(r"^(?:Caused by: )?([\w.$]+(?:Exception|Error)\b.*)$", told, re.MULTILINE)
    reason = causes[-1] if causes else told.splitlines()[0]
    place = re.search(r"in line (\d+)", told) if block.kind == "dot" else None
    fact = f"PlantUML or Graphviz failed while laying out the diagram: {reason}"
    return ConversionError(fact, line=block.line + (int(place[1]) if place else 0), traceback=told)


def _check_picture(job: DiagramJob, block: Block, data: bytes) -> None:
    """Refuse what is not a whole picture of what the author drew."""
    is_png = data.startswith(_START_OF_PNG)
    if is_png != (job.picture_format == "png") or not (is_png or b"<svg" in data[:1000]):
        raise ConversionError(
            f"PlantUML cannot draw @start{block.kind} as {job.picture_format}.",
            "Choose the other picture format.",
            line=block.line,
        )
    # Only the preprocessor can make a diagram empty that does not look it.
    if "!" in block.text and job.renderer.is_welcome(data, job.picture_format):
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
