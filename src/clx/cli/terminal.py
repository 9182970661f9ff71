"""The one way from CLX to a terminal: whatever text says, it shows and commands nothing."""

from __future__ import annotations

import os
from typing import Any

import click

from clx.visible import visible

_LABELS: dict[str, dict[str, Any]] = {
    "Error": {"fg": "red", "bold": True},
    "Failed": {"fg": "red", "bold": True},
    "Warning": {"fg": "yellow"},
}


def echo(text: object = "", *, label: str = "", err: bool = False, nl: bool = True) -> None:
    """Print *text*, its control characters written out but for line feeds and tabs.

    Args:
        text: what to say; whoever wrote it.
        label: ``Error``, ``Failed`` or ``Warning``, coloured where colours are wanted.
        err: on standard error.
        nl: end the line.
    """
    start = click.style(f"{label}: ", **_LABELS[label]) if label else ""
    click.echo(start + visible(str(text)), err=err, nl=nl, color=wants_color())


def wants_color() -> bool | None:
    """False where ``NO_COLOR`` asks for none (no-color.org), else None: coloured on a terminal."""
    return False if os.environ.get("NO_COLOR") else None
