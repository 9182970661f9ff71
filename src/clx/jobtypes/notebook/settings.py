"""What can be set for decks."""

from __future__ import annotations

from clx.settings.section import JobTypeSection, Program, Seconds


class NotebookSettings(JobTypeSection, frozen=True):
    """``[notebook]``: how decks are executed."""

    rank = 1

    cell_timeout: Seconds = 300.0
    """Seconds one cell may take."""
    python: Program | None = None
    """Interpreter whose packages the cells see; unset: the one CLX runs in."""


SETTINGS = NotebookSettings
