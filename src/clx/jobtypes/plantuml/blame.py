"""Finding the line that an error of PlantUML is about.

PlantUML tells a line number but not in which file. A number that grows when a comment line is put at the
top of a file belongs to that file: the diagram is tried first, then everything it includes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clx.errors import ConversionError
from clx.jobtypes.plantuml.blocks import Block
from clx.jobtypes.plantuml.includes import closure, including_line
from clx.jobtypes.plantuml.jvm import JvmPicture, Refusal
from clx.jobtypes.plantuml.jvm_supervisor import Renderer
from clx.jobtypes.plantuml.launch import Look


@dataclass(frozen=True)
class DiagramJob:
    """What drawing one source needs to know."""

    renderer: Renderer
    inputs: Path
    source: PurePosixPath
    look: Look
    """Of the first page of each diagram."""
    timeout: float
    """Seconds per diagram."""

    def render(self, block: Block, look: Look | None = None) -> JvmPicture | Refusal:
        """Draw one diagram of the source."""
        return self.renderer.render(block.text, look or self.look, self.timeout)


def explain(job: DiagramJob, block: Block, refusal: Refusal) -> ConversionError:
    """The error for the author: what PlantUML says, and where."""
    message = refusal.message.splitlines()[0] if refusal.message else "PlantUML refuses the diagram"
    if message.startswith("cannot include"):
        step = "A name is relative to the file it stands in, and must lie inside the course."
    elif message.startswith("Cannot open URL"):
        step = "Diagrams do not read from the network: put a copy into the course."
    else:
        step = ""
    if "!include" not in block.text or _moves(job.render(block.shifted()), refusal):
        return ConversionError(message, step, line=block.line + refusal.line)
    for file in closure(job.inputs / job.source, job.inputs):
        job.renderer.stage.replace(job.inputs, job.source, file, b"'\n" + file.read_bytes())
        if _moves(job.render(block), refusal):
            name = file.relative_to(job.inputs).as_posix()
            line = including_line(block.text, file.name)
            fact = f"{name}, line {refusal.line + 1}: {message}"
            return ConversionError(fact, step, line=block.line + (line or 0))
    return ConversionError(f"{message} (in a file that the diagram includes)", step, line=block.line)


def _moves(answer: JvmPicture | Refusal, before: Refusal) -> bool:
    return isinstance(answer, Refusal) and answer.line == before.line + 1
