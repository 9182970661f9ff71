"""Titles and names as parts of output paths."""

from __future__ import annotations

import re
import unicodedata

MAX_BYTES = 200
"""UTF-8 bytes of a safe name. File systems allow 255: the rest is for a number in front ("07 "), an
extension behind, and the marks of a temporary file beside it."""

FALLBACK = "_"
"""What a name becomes of which nothing is left."""

_TABLE = str.maketrans(
    {**dict.fromkeys("{[", "("), **dict.fromkeys("}]", ")"), **dict.fromkeys("/\\$#%&<>*=^€|", "_")}
    | dict.fromkeys(";!?\"'.:`", "")
)
_SEVERAL_BLANKS = re.compile("  +")
_DEVICES = "con|prn|aux|nul|(?:com|lpt)[0-9¹²³]"
_DEVICE = re.compile(_DEVICES, re.IGNORECASE)
_NOT_ON_WINDOWS = re.compile(
    rf'(?:(?<=/)|^)(?:(?:{_DEVICES})(?:\.[^/]*)?(?=/|$)|[^/]*[<>:"\\|?*\x01-\x1f][^/]*|[^/]*[. ](?=/|$))', re.IGNORECASE
)
"""Names of devices, with any ending; characters that Windows keeps to itself; a dot or blank at the end."""
_NUMBER = re.compile(r"([0-9]+)")
_BLANKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")


def safe_name(text: str) -> str:
    """*text* as one component of a path, without an extension.

    ``C#`` becomes ``CSharp``; brackets become round ones; each of ``/ \\ $ # % & < > * = ^ € |`` becomes
    ``_``; ``; ! ? " ' . :`` and the backquote are removed. Line breaks and tabs become a
    blank, other control characters go, blanks at the ends go, of several in a row one stays, accents are
    composed (NFC, so that the name is the same on every file system).

    The result is never empty, never ``.`` or ``..``, never longer than :data:`MAX_BYTES` in UTF-8, and
    ``safe_name`` leaves it as it is. Different texts may give the same name.
    """
    if text.isascii() and text.isprintable():  # nothing to compose, and nothing to hide: hot, for every deck
        return _tidied(text.replace("C#", "CSharp").translate(_TABLE))
    composed = unicodedata.normalize("NFC", text)
    replaced = _BLANKS.sub(" ", composed.replace("C#", "CSharp").translate(_TABLE))
    visible = "".join(each for each in replaced if unicodedata.category(each) not in ("Cc", "Cs"))
    return _tidied(unicodedata.normalize("NFC", visible))


def safe_directory(text: str) -> str:
    """As :func:`safe_name`, for a directory that nothing stands in front of: Windows has no ``CON`` and no ``aux``."""
    name = safe_name(text)
    return f"{name}_" if _DEVICE.fullmatch(name) else name


def windows_problem(path: str) -> str:
    """The first part of a POSIX path that no file on Windows can be called; empty if all can."""
    found = _NOT_ON_WINDOWS.search(path)
    return found[0] if found else ""


def _tidied(text: str) -> str:
    """A name without blanks around it, or several in a row where something was removed between them."""
    if "  " in text:
        text = _SEVERAL_BLANKS.sub(" ", text)
    return _cut(text.strip()).strip() or FALLBACK


def _cut(text: str) -> str:
    """The longest beginning of *text* within :data:`MAX_BYTES` that splits no character from its accents."""
    if len(text.encode()) <= MAX_BYTES:
        return text
    kept = text.encode()[:MAX_BYTES].decode(errors="ignore")
    while kept and unicodedata.combining(text[len(kept)]):
        kept = kept[:-1]
    return kept


def natural_order(path: str) -> list[str | int]:
    """By what paths are put in order as people count: ``slides_2`` before ``slides_10``."""
    return [int(part) if number % 2 else part for number, part in enumerate(_NUMBER.split(path))]


def job_label(source: str, task: str) -> str:
    """What a person calls a job: its source, and what of it where there are several."""
    return f"{source} ({task})" if task else source


def name_problem(text: str) -> str | None:
    """Why *text* cannot be the name of a course or a section, as the end of a sentence; ``None`` if it can.

    :func:`safe_name` would make a safe component of anything; a name refused here is a mistake.
    """
    if fact := _text_problem(text):
        return fact
    if any(part in (".", "..") for part in re.split(r"[/\\]", text.strip())):
        return 'is a path; a name cannot contain "." or ".." as a directory'
    if safe_name(text) == FALLBACK and text.strip() != FALLBACK:
        return "has no character that can stand in a file name"
    return None


def _text_problem(text: str) -> str | None:
    if not text.strip():
        return "is empty"
    if any(unicodedata.category(character) == "Cc" for character in text):
        return "contains a control character or a line break"
    return None


def path_problem(text: str) -> str | None:
    """Why *text* is not a path below some directory, as the end of a sentence; ``None`` if it is.

    Paths are written with ``/``, whatever the system; ``.`` is the directory itself.
    """
    if fact := _text_problem(text):
        return fact
    if "\\" in text:
        return r"contains a backslash; write / between directories"
    if text.startswith("/") or re.match(r"[A-Za-z]:", text):
        return "is absolute; only relative paths are allowed here"
    if ".." in text.split("/"):
        return 'contains ".."; only places below are allowed here'
    if any(len(part.encode()) > 255 for part in text.split("/")):
        return "has a part of more than 255 bytes"
    return None
