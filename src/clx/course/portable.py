"""Names of the output that other systems have not: a course is built on one and opened on another."""

from __future__ import annotations

from collections.abc import Iterable

from clx.course.layout import Layout
from clx.course.names import safe_directory, safe_name, windows_problem
from clx.course.spec import CourseSpec
from clx.visible import visible_line

_NAMED = 10


def altered(spec: CourseSpec, layout: Layout) -> list[str]:
    """A warning for each name of the course file whose directory is called otherwise, for Windows' sake."""
    texts = [spec.name, *(section.name for section in spec.sections)]
    names = dict.fromkeys(text.in_language(language) for text in texts for language in layout.languages)
    return [
        f'"{visible_line(name)}" is a device on Windows; its directory is called {safe_directory(name)}.'
        for name in names
        if safe_directory(name) != safe_name(name)
    ]


def colliding(spec: CourseSpec, layout: Layout) -> list[str]:
    """A mistake for each section whose directory is another one's where upper and lower case are the same."""
    mistakes = []
    for language in layout.languages:
        first: dict[str, tuple[int, str]] = {}
        for number, name in enumerate(layout.sections[language]):
            earlier, spelled = first.setdefault(name.casefold(), (number, name))
            if spelled != name:
                where = spec.where(number)
                both = f'the sections "{spelled}" and "{name}" have one directory on Windows and macOS'
                mistakes.append(
                    visible_line(f"{where}: {both}") + f"\nRename one; the first is in {spec.where(earlier)}."
                )
    return list(dict.fromkeys(mistakes))


def impossible(paths: Iterable[str]) -> str:
    """One warning about files that are copied and cannot be on Windows; empty if there is none."""
    found = [path for path in paths if windows_problem(path)]
    if not found:
        return ""
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"Windows cannot have files of these names: {', '.join(found[:_NAMED])}{more}."
