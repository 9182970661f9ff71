"""What the command of a build ends with."""

from __future__ import annotations

from collections.abc import Sequence

from clx.errors import EXIT_DONE, EXIT_JOB_FAILED


def exit_code(failures: Sequence[object]) -> int:
    """0, or 1 where an output failed; a build that could not go on has an error of its own, and its exit code."""
    return EXIT_JOB_FAILED if failures else EXIT_DONE
