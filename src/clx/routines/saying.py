"""What workflows of one process write, each to the output of its own run: standard output, standard error, logging."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from typing import TextIO

from clx.artifacts.store import ArtifactStore
from clx.errors import ClxError
from clx.routines.context import RUNNING
from clx.routines.tasks.output import Output

log = logging.getLogger("clx.worker")


def output_of_run() -> Output | None:
    """That of the workflow whose code this is."""
    running = RUNNING.get()
    return None if running is None else running.output


def kept(output: Output, store: ArtifactStore) -> str | None:
    """What the row of a run is to hold of its output; where the store takes nothing, that it was lost."""
    try:
        return output.keep(store)
    except (OSError, ClxError) as error:  # what the workflow has given counts all the same
        log.warning("the output of a workflow was not kept: %s", error)
        return None


@contextlib.contextmanager
def told_apart() -> Iterator[None]:
    """While this is open, what workflows write goes to their runs, and all else where it went before."""
    streams, handler = (sys.stdout, sys.stderr), _Handler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    sys.stdout, sys.stderr = (_Split(each) for each in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        logging.getLogger().removeHandler(handler)


class _Split(io.TextIOBase):
    """A stream of the process, but for workflows.

    Args:
        others: where others write.
    """

    def __init__(self, others: TextIO) -> None:
        self._others = others

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def fileno(self) -> int:
        return self._others.fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        output = output_of_run()
        if output is None:
            return self._others.write(text)
        output.add(text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        self._others.flush()


class _Handler(logging.Handler):
    """Writes what workflows log, and nobody else; what the host says of them stays in its own log."""

    def emit(self, record: logging.LogRecord) -> None:
        output = output_of_run()
        if output is not None and record.name != log.name:
            try:
                output.add(f"{self.format(record)}\n".encode("utf-8", "replace"))
            except Exception:  # of whoever made the record; it must not be the end of the workflow
                self.handleError(record)
