"""Characters that no font of this machine has: a box stands for each of them in what is drawn here."""

from __future__ import annotations

import functools
import re
import shutil
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable
from html import unescape

from clx.tools.catalog import package_hint
from clx.tools.program import run, small_environment

_COMMON = "\u024f"
"""Up to here, where Latin ends, nothing is asked: a machine without these letters has no font at all."""
_SECONDS = 20.0
_NAMED = 10
"""Characters that a warning names."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
_VARIANTS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_EAST_ASIA = re.compile("[\u1100-\u11ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]")
_FAR_EAST_ASIA = re.compile("[\U00020000-\U0003ffff]")
_EMOJI = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff]")
_NUMBERED = re.compile(r"<U\+([0-9a-fA-F]{4,6})>")
_NO_RUN = (-1, -1)
_PACKAGES = {
    "east asia": {
        "apt-get": "fonts-noto-cjk",
        "dnf": "google-noto-sans-cjk-fonts",
        "brew": "--cask font-noto-sans-cjk",
    },
    "emoji": {
        "apt-get": "fonts-noto-color-emoji",
        "dnf": "google-noto-color-emoji-fonts",
        "brew": "--cask font-noto-color-emoji",
    },
    "symbols": {"apt-get": "fonts-symbola", "dnf": "gdouros-symbola-fonts", "brew": "--cask font-symbola"},
    "other": {"apt-get": "fonts-noto-core", "dnf": "google-noto-fonts-all", "brew": "--cask font-noto-sans"},
}


def warn_of_boxes(
    texts: Iterable[tuple[str, str]], warn: Callable[[str], None], *, outlines_only: bool = False
) -> None:
    """Warn once of all characters that no font here has, with the line that installs one.

    Nothing is told where fontconfig (``fc-list``) is not installed, and nothing is started for Latin letters.

    Args:
        texts: what is drawn, each with its place (``line 3``, ``Page 1``, or nothing).
        outlines_only: whether the program cannot draw fonts of coloured pictures, as Java.
    """
    first, missing = "", dict[str, None]()
    for place, text in texts:
        if found := _without_font(_unusual(text), outlines_only):
            first = first or (f"{place}: " if place and not missing else "")
            missing |= found
    if not missing:
        return
    named = ", ".join(f"{each} (U+{ord(each):04X})" for each in list(missing)[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    warn(f"{first}no font here has {named}{more}, so boxes are drawn for them; {_hint(missing, outlines_only)}")


def numbered_lines(text: str, first: int = 1) -> list[tuple[str, str]]:
    """The lines of a source, each with its place; characters that are written as numbers stand there themselves."""
    return [(f"line {number}", _spelled_out(line)) for number, line in enumerate(text.split("\n"), first)]


def _spelled_out(line: str) -> str:
    line = _NUMBERED.sub(lambda found: chr(min(int(found[1], 16), 0x10FFFF)), line) if "<U+" in line else line
    return unescape(line) if "&" in line else line


def _unusual(text: str) -> dict[str, None]:
    """Each character that can be seen and is not Latin, in their order."""
    if text.isascii():
        return {}
    seen = (each for each in text if each > _COMMON and unicodedata.category(each) not in _UNSEEN)
    return {each: None for each in seen if not _VARIANTS.match(each)}


def _without_font(characters: dict[str, None], outlines_only: bool) -> dict[str, None]:
    for _attempt in range(2):
        starts, ends = _covered(outlines_only) if characters else ((), ())
        if not starts:  # no fontconfig
            return {}
        characters = {
            each: None for each in characters if not (at := bisect_right(starts, ord(each))) or ends[at - 1] < ord(each)
        }
        if characters:  # perhaps a font was installed since a worker, which may live long, has asked
            _covered.cache_clear()
    return characters


@functools.cache
def _covered(outlines_only: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where runs of characters that some font has start and end; nothing where that cannot be asked."""
    program = shutil.which("fc-list")
    if program is None:
        return (), ()
    command = [program, ":color=false" if outlines_only else ":", "--format", "%{charset}\n"]
    try:
        code, said = run(command, None, _SECONDS, small_environment())
    except (OSError, TimeoutError):
        return (), ()
    runs = sorted({_run(each) for each in said.split()} - {_NO_RUN}) if not code else []
    starts, ends = [], list[int]()
    for start, end in runs:
        if ends and start <= ends[-1] + 1:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return tuple(starts), tuple(ends)


def _run(written: str) -> tuple[int, int]:
    """``4e00-9fff`` or ``2603``, as fontconfig writes it; what is neither is no run."""
    first, _, last = written.partition("-")
    try:
        return int(first, 16), int(last or first, 16)
    except ValueError:
        return _NO_RUN


def _hint(missing: Iterable[str], outlines_only: bool) -> str:
    """What to type."""
    kinds = dict.fromkeys(_kind(each, outlines_only) for each in missing)
    lines = [package_hint(_PACKAGES[kind]) for kind in kinds if kind]
    if not lines:
        return "install a font that has them, then clx build --force"
    return (
        f"type: {lines[0]}{''.join(' ' + each.partition(' install ')[2] for each in lines[1:])}, then clx build --force"
    )


def _kind(character: str, outlines_only: bool) -> str:
    if unicodedata.category(character) in {"Co", "Cn"}:
        return ""  # private use: only its author knows which font has it
    if _EAST_ASIA.match(character) or _FAR_EAST_ASIA.match(character):
        return "east asia"
    if _EMOJI.match(character):
        return "symbols" if outlines_only else "emoji"
    return "other"
