"""What a worker runs: a converter turns input files into output files and knows nothing of the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol


class Converter(Protocol):
    """One kind of work. A worker makes one converter, keeps it warm and feeds it jobs, one at a time.

    Made with the settings and a scratch directory that its owner removes, whatever becomes of the worker.

    A converter is usable without a database: give it a directory of inputs, an empty directory for
    outputs and a payload. It may start helpers (a JVM, a browser, a kernel parent) on first use; they
    must end when :meth:`close` is called and also when this process is killed with SIGKILL.
    """

    def convert(
        self, payload: Mapping[str, Any], inputs: Path, outputs: Path, warn: Callable[[str], None]
    ) -> dict[str, Any]:
        """Do one job.

        Args:
            payload: the job's options; the room of each converter documents its keys.
            inputs: directory with the job's input closure at course-root-relative paths.
            outputs: empty directory; every file found in it afterwards is an output of the job,
                named by its POSIX path relative to this directory.
            warn: called with one line for each thing the author should know.

        Returns:
            JSON-serialisable facts about the conversion, may be empty.

        Raises:
            ConversionError: the inputs cannot be converted (or, ``retryable``, a tool crashed).
            ToolMissingError: a tool is not there.
        """
        ...

    def close(self) -> None:
        """End every helper process, where it has any. Idempotent."""
        return

    def abandon(self) -> None:
        """Remove files outside the scratch directory: the process ends in the middle of a job.

        Called from another thread than the one that converts, once every helper was killed.
        """
        return
