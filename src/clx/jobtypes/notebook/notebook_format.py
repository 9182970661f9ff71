"""The format ``notebook``: Jupyter notebooks without outputs, the same bytes for the same deck."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from clx.jobtypes.notebook.attachments import named_in
from clx.jobtypes.notebook.deck import ProgLang
from clx.jobtypes.notebook.variants import DeckCell


def notebook_bytes(cells: Sequence[DeckCell], language: ProgLang) -> bytes:
    """The cells of one kind as a notebook of format 4.5.

    Of the metadata only what a student needs is kept: the slide types and Jupyter's own tags. The
    author's tags are dropped, and nothing depends on the time or on chance.
    """
    notebook = {
        "cells": [_cell(cell) for cell in cells],
        "metadata": {
            "kernelspec": {
                "display_name": language.kernel_display_name,
                "language": language.display_name.lower(),
                "name": language.kernel,
            },
            "language_info": {
                "file_extension": language.extension,
                "mimetype": language.mime,
                "name": language.display_name.lower(),
            },
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    return text.encode("utf-8", "replace") + b"\n"


def _cell(cell: DeckCell) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if cell.slide_type:
        metadata["slideshow"] = {"slide_type": cell.slide_type}
    own = [tag for tag in ("raises-exception", "skip-execution") if tag in cell.tags]
    if own and cell.kind == "code" and not cell.emptied:
        metadata["tags"] = own
    hidden = {
        "source_hidden": cell.page_input != "shown" and not cell.emptied,
        "outputs_hidden": cell.page_output != "shown",
    }
    if cell.kind == "code" and any(hidden.values()):
        metadata["jupyter"] = {key: True for key, is_hidden in hidden.items() if is_hidden}
    found: dict[str, Any] = {
        "id": cell.id,
        "cell_type": cell.kind,
        "metadata": metadata,
        "source": cell.source.splitlines(keepends=True),
    }
    if cell.kind == "code":
        found |= {"execution_count": None, "outputs": []}
    elif attached := named_in(cell.source, cell.attachments):
        found["attachments"] = attached
    return found
