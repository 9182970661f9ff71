"""What a build did: for the closing summary and for ``--report FILE.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clx.course.exit_code import exit_code
from clx.course.names import job_label
from clx.course.source_files import FETCH
from clx.visible import visible_line

PRIVATE_TEXT = "PrivateTextError"
"""The type of the error of a deck whose hidden text a public file has, or would have."""

_NAMED = 10
"""Files of one kind of failure that are named."""


class FailedOutput(msgspec.Struct):
    """A job that failed, as the author needs to know it.

    Attributes:
        type: job type; ``file`` for one that is copied.
        source: the file, below the course root.
        task: what of it was done, e.g. ``execute de``.
        error: the stored error: message, next_step, cell, line, traceback.
        kept: output files of an earlier build that stay although they are stale.
    """

    type: str
    source: str
    task: str
    error: dict[str, Any]
    kept: list[str] = []

    @property
    def label(self) -> str:
        """What a person calls the job."""
        return job_label(self.source, self.task)

    @property
    def line(self) -> str:
        """The failure in one line: where, in which job, what; two languages fail with the same words."""
        where = f"{self.place}, {self.task}" if self.task else self.place
        return visible_line(f"{where}: {self.error.get('message', 'failed')}")

    @property
    def place(self) -> str:
        """Where the author has to look: source and its line, or cell and line within it."""
        if "source_line" in self.error:
            cell = f" (cell {self.error['cell']})" if "cell" in self.error else ""
            return f"{self.source}:{self.error['source_line']}{cell}"
        parts = [self.source]
        if "cell" in self.error:
            parts.append(f"cell {self.error['cell']}")
        if "line" in self.error:
            parts.append(f"line {self.error['line']}")
        return ", ".join(parts)


def of_pointers(paths: Sequence[str]) -> FailedOutput:
    """The failure of files that Git LFS keeps elsewhere: they are neither copied nor converted."""
    more = f", and so are {len(paths) - 1} more: {', '.join(paths[1:_NAMED])}" if len(paths) > 1 else ""
    more += ", …" if len(paths) > _NAMED else ""
    message = f"This is a Git LFS pointer, not the file itself{more}"
    return FailedOutput("file", paths[0], "", {"type": "PointerError", "message": message, "next_step": FETCH})


class Report(msgspec.Struct):
    """The outcome of one build. Keys of :meth:`as_dict` are documented and only ever added to."""

    course: str = ""
    output: str = ""
    targets: list[str] = []
    decks: int = 0
    jobs: int = 0
    to_run: int = 0
    ran: int = 0
    reused: int = 0
    files: int = 0
    written: int = 0
    removed: list[str] = []
    kept: list[str] = []
    failures: list[FailedOutput] = []
    warnings: list[str] = []
    reasons: list[tuple[str, str]] = []
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return exit_code(self.failures)

    def as_dict(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "exit_code": self.exit_code,
            "dry_run": self.dry_run,
            "course": self.course,
            "output": self.output,
            "targets": self.targets,
            "decks": self.decks,
            "outputs": {"files": self.files, "written": self.written, "removed": self.removed, "kept": self.kept},
            "jobs": {
                "planned": self.jobs,
                "to_run": self.to_run,
                "ran": self.ran,
                "failed": len(self.failures),
            },
            "reused": self.reused,
            "failures": [
                {"type": each.type, "source": each.source, "task": each.task, **each.error, "stale": each.kept}
                for each in self.failures
            ],
            "warnings": self.warnings,
            "reasons": [{"job": job, "reason": reason} for job, reason in self.reasons],
            "seconds": round(self.seconds, 3),
        }
