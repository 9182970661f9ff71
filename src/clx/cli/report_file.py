"""The file of ``--report``: only what is no file yet, or is a report of an earlier build, is written to."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from clx.cli.next_steps import completed
from clx.errors import ClxError, UsageError
from clx.regular import read_regular, replace_text

_ANOTHER = "Name another file."


def check_report_place(path: Path) -> None:
    """See, before a build begins, that its report may be written there.

    Raises:
        UsageError: nobody may make files there, or a file is there that is no report.
    """
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK):
        raise UsageError(f"The report cannot be written: {folder} is not a writable directory.", _ANOTHER)
    if _is_device(path):
        return
    try:
        before = read_regular(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"The report cannot be written: {path}: {error.strerror}.", _ANOTHER) from error
    if before.strip() and not _is_report(before):
        raise UsageError(f"{path} is no report of an earlier build; it is left alone.", _ANOTHER)


def _is_device(path: Path) -> bool:
    """Whether it is something to write into (a terminal, a pipe, ``/dev/null``), which stays what it is."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _is_report(before: bytes) -> bool:
    try:
        found = json.loads(before)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "exit_code" in found


def failed_document(error: ClxError) -> dict[str, Any]:
    """The report of a build that could not be made."""
    return {"exit_code": error.exit_code, "error": error.fact, "next_step": completed(error.next_step)}


def write_report(path: Path | None, document: dict[str, Any]) -> None:
    """Write a report where one was asked for, whole or not at all; a link in its place is replaced, not followed.

    Raises:
        UsageError: it cannot be written.
    """
    if path is None:
        return
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    try:
        if _is_device(path):
            path.write_text(text, encoding="utf-8")
        else:
            replace_text(path, text)
    except OSError as error:
        raise UsageError(f"The report cannot be written: {path}: {error.strerror}.", _ANOTHER) from error
