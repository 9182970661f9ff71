"""Writing settings files: one value at a time, everything else in the file stays as it was, comments too."""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tomli_w

from clx.errors import SettingsError
from clx.platforms import system
from clx.regular import replace_text
from clx.settings.keys import all_keys
from clx.settings.secret import is_secret
from clx.settings.toml_file import key_lines, read_toml

_OTHERS_WRITE = 0o022
"""What others may write is not believed, whatever the umask."""
_OTHERS = 0o077
_HEADER = re.compile(r"^\s*\[([A-Za-z0-9_.\s-]+)\]\s*(#.*)?$")


def set_value(path: Path, key: str, value: Any, check: Callable[[str], None] = lambda _text: None) -> None:
    """Give *key* (dotted) the *value* in the file at *path*, which is made where there is none.

    Args:
        check: is given what the file is to hold; what it raises keeps the file as it is.

    Raises:
        SettingsError: the file is not TOML as it is, or cannot be written.
    """
    with alone(path):
        text = text_with(path, key, value)
        check(text)
        write_text(path, text, denied=_OTHERS if _holds_secret(text) else _OTHERS_WRITE)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """While others who set something there wait: what they write must not be lost. The directory is the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = system.lock_folder(path.parent)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror})", "Check its permissions.") from error
    try:
        yield
    finally:
        os.close(folder)


def text_with(path: Path, key: str, value: Any) -> str:
    """What the file at *path*, which has to be TOML, would hold if *key* (dotted) had the *value*."""
    text, values = "", {}
    if os.path.lexists(path):
        values = read_toml(path).values
        text = path.read_text(encoding="utf-8-sig")
    wanted = _with(values, key.split("."), value)
    edited = _edited(text, key.split("."), value)
    with contextlib.suppress(ValueError):
        if tomllib.loads(edited) == wanted:
            return edited
    return tomli_w.dumps(wanted)  # written in a way that lines cannot be exchanged: comments are lost


def _holds_secret(text: str) -> bool:
    """Whether a file with that text is to be read by nobody else."""
    values = tomllib.loads(text)
    for key in all_keys():
        found: Any = values
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if is_secret(key, found):
            return True
    return False


def _with(values: dict[str, Any], parts: list[str], value: Any) -> dict[str, Any]:
    first, *rest = parts
    if not rest:
        return {**values, first: value}
    inner = values.get(first, {})
    return {**values, first: _with(inner if isinstance(inner, dict) else {}, rest, value)}


def _edited(text: str, parts: list[str], value: Any) -> str:
    """The document with one line exchanged or added."""
    lines = text.splitlines()
    line = tomli_w.dumps({parts[-1]: value}).rstrip("\n")
    known = key_lines(text.replace("\r\n", "\n")) if text else {}
    if tuple(parts) in known:
        at = known[tuple(parts)] - 1
        lines[at] = line + _comment_of(lines[at])
        return "\n".join(lines) + "\n"
    section = ".".join(parts[:-1])
    for number, each in enumerate(lines):
        header = _HEADER.match(each)
        if header and re.sub(r"\s", "", header[1]) == section:
            return "\n".join([*lines[: number + 1], line, *lines[number + 1 :]]) + "\n"
    return "\n".join([*lines, *([""] if lines else []), f"[{section}]", line]) + "\n"


def _comment_of(line: str) -> str:
    """The comment at the end of a line whose value holds no ``#``."""
    found = re.search(r"(?<!\s)\s+#.*$", line)
    return found[0] if found and line.count("#") == 1 else ""


def write_text(path: Path, text: str, *, denied: int = _OTHERS_WRITE) -> None:
    """Replace the file, readers never see half of it.

    Args:
        denied: permissions that nobody gets, beside what the umask takes.

    Raises:
        SettingsError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, text, denied=denied)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror})", "Check its permissions.") from error
