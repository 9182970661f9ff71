"""The diagrams in a PlantUML source: everything from a line ``@start…`` to a line ``@end…``.

The pairs are checked here because a PlantUML that reads from a pipe never answers when ``@enduml`` is
missing: it waits, and takes the next diagram for a part of the unfinished one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from clx.errors import ConversionError
from clx.jobtypes.source import read_source

_LINE_END = re.compile(r"\r\n|\r|\n")
"""The line ends of Java, whose line numbers these are; ``str.splitlines`` knows more."""
_MARKER = re.compile(r"@(start|end)([a-z_]*)")
_COMMENT = re.compile(r"/'|^[ \t]*'[^\n]*", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One diagram."""

    kind: str
    """What follows ``@start``: ``uml``, ``mindmap``, …"""
    line: int
    """1-based line of ``@start…`` in the source."""
    text: str
    """From ``@start…`` to ``@end…``, every line ended by a line feed."""

    @property
    def body(self) -> str:
        """What stands between the two markers."""
        _, _, rest = self.text.partition("\n")
        return rest.rstrip("\n").rpartition("\n")[0]

    def shifted(self) -> Block:
        """The same diagram with one comment line more at its top, to see which errors move along."""
        first, _, rest = self.text.partition("\n")
        return Block(self.kind, self.line, f"{first}\n'\n{rest}")


def split_blocks(text: str) -> list[Block]:
    """Find the diagrams of a source; text outside them is ignored as PlantUML does.

    No diagram at all, an unpaired or an empty one is an error, with the line where it applies.
    """
    if not text.strip():
        raise ConversionError("The file is empty.", "Write a diagram between @startuml and @enduml.")
    blocks = _paired(_LINE_END.split(text))
    if not blocks:
        raise ConversionError("There is no diagram in the file.", "A diagram starts with @startuml.", line=1)
    for block in blocks:
        if not without_comments(block.body).strip():
            raise ConversionError(f"The diagram @start{block.kind} is empty.", line=block.line)
    return blocks


def read_blocks(root: Path, source: str) -> list[Block]:
    """As :func:`split_blocks`, of the file *source* below *root*."""
    return split_blocks(read_source(root, PurePosixPath(source)))


def without_comments(body: str) -> str:
    """A diagram without its comments; every line is where it was."""
    kept, position = [], 0
    while found := _COMMENT.search(body, position):
        end = body.find("'/", found.end()) + 2 if found[0] == "/'" else found.end()
        if end < found.end():  # it is never closed, and so no comment
            break
        kept += [body[position : found.start()], "\n" * body.count("\n", found.start(), end)]
        position = end
    return "".join([*kept, body[position:]])


def _paired(lines: list[str]) -> list[Block]:
    blocks: list[Block] = []
    kind, start = "", 0
    for number, line in enumerate(lines, 1):
        marker = _MARKER.match(line.strip())
        if marker is None:
            continue
        if marker[1] == "start":
            if start:
                raise _unfinished(kind, start, f" before the next diagram starts in line {number}")
            kind, start = marker[2], number
        elif start:
            if marker[2] != kind:
                raise ConversionError(f"@end{marker[2]} ends a diagram of @start{kind}.", line=number)
            blocks.append(Block(kind, start, "\n".join([*lines[start - 1 : number], ""])))
            start = 0
    if start:
        raise _unfinished(kind, start, "")
    return blocks


def _unfinished(kind: str, line: int, where: str) -> ConversionError:
    return ConversionError(f"@start{kind} has no @end{kind}{where}.", f"Add a line @end{kind}.", line=line)
