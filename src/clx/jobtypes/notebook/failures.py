"""A failing cell as its author needs to hear of it: the fact and what to do about it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clx.errors import ConversionError
from clx.platforms.container import IMAGE_VARIABLE

if TYPE_CHECKING:
    from clx.jobtypes.notebook.execution.results import CellFailedError
    from clx.jobtypes.notebook.variants import DeckCell

_NEXT_STEPS = {
    "error": "If the error is part of the lesson, tag the cell `raises-exception`.",
    "timeout": "Make the cell faster, or raise notebook.cell_timeout.",
    "died": "The kernel ended while the cell ran: it may have run out of memory, or called exit.",
}
_BY_NAME = {
    "FileNotFoundError": (
        "A file that a deck uses lies in the deck's topic, or `inputs:` of the topic names it; "
        "`clx build -v` names what of a topic is left out."
    ),
    "KeyboardInterrupt": "The cell raises it, or something sent its kernel SIGINT: build again, or correct the cell.",
    "SystemExit": "Remove exit(), quit() or sys.exit(): a deck is run to its end.",
    "StdinNotImplementedError": "Write the value into the code instead of asking, or set `evaluate: false`.",
    **dict.fromkeys(("SyntaxError", "IndentationError", "TabError"), "Correct the code of the cell."),
}
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
_INTERNAL_FILE = re.compile(r"\s*\(\d+\.py, line \d+\)$")
"""What ipykernel calls a cell when the parser refuses it."""
_DISTRIBUTIONS = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Well-known packages that are not installed by the name they are imported by."""


def failure(failed: CellFailedError, code: Sequence[DeckCell], place: Path) -> ConversionError:
    """The error of a run of the cells *code*; *place*, the directory with the inputs, is not shown."""
    return ConversionError(
        shortened(_fact(failed), place),
        _next_step(failed),
        cell=code[failed.index].number,
        line=failed.line,
        traceback=shortened(failed.traceback, place) or None,
        retryable=failed.retryable,
    )


def shortened(text: str, place: Path) -> str:
    """*text* with paths below *place* relative to it."""
    for directory in {str(place), str(place.resolve())}:
        text = text.replace(f"{directory}/", "").replace(directory, ".")
    return text


def _fact(failed: CellFailedError) -> str:
    message = next(iter(failed.evalue.strip().splitlines()), "")
    if failed.ename == "StdinNotImplementedError":
        return message
    message = _INTERNAL_FILE.sub("", message)
    return f"{failed.ename}: {message}" if message else failed.ename


def _next_step(failed: CellFailedError) -> str:
    if failed.kind != "error":
        return _NEXT_STEPS[failed.kind]
    missing = _NO_MODULE.match(failed.evalue)
    if missing and failed.ename == "ModuleNotFoundError":
        module = missing[1].partition(".")[0]
        package = _DISTRIBUTIONS.get(module, module)
        how = (
            f"Put {package} into a requirements file and type: clx docker build notebook --requirements FILE"
            if IMAGE_VARIABLE in os.environ
            else f"Type `pip install {package}` for the interpreter of notebook.python"
        )
        return f"{how}; a module of the course lies beside the deck."
    return _BY_NAME.get(failed.ename, _NEXT_STEPS["error"])
