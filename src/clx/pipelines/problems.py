"""What is wrong in a pipeline file, all of it in one go."""

from __future__ import annotations

from collections.abc import Sequence

from clx.errors import UsageError
from clx.settings.problems import Problem


class PipelineProblems(UsageError):
    """A pipeline file cannot be used as it is written.

    Attributes:
        problems: everything that is wrong, each with its place and what to write instead.
        warnings: what may be a mistake.
    """

    def __init__(
        self, fact: str, next_step: str = "", problems: Sequence[Problem] = (), warnings: Sequence[Problem] = ()
    ) -> None:
        super().__init__(fact, next_step)
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
