"""What a course says of the look of its pages, and what a page may offer: theme, words, other formats."""

from __future__ import annotations

from typing import Any

from clx.course.layout import format_directories, targets_of
from clx.course.source_files import SourceFiles
from clx.course.spec import CourseSpec
from clx.errors import ConversionError, CourseError
from clx.jobtypes.notebook.theme import read_theme
from clx.visible import visible_line


class Look:
    """The options that say how pages of a course look, by language; the same for all its decks.

    Attributes:
        files: what every page depends on: path below the course root and digest.
        problem: what is wrong with the theme, with its next step; ``""``: nothing.
    """

    def __init__(self, spec: CourseSpec, files: SourceFiles) -> None:
        self._spec = spec
        self._options: dict[str, dict[str, Any]] = {}
        self.files: list[tuple[str, str]] = []
        self.problem = self._read(files)

    def options(self, language: str) -> dict[str, Any]:
        """Options of every deck's jobs in a language; what is as it is without the course's saying is left out."""
        if language not in self._options:
            theme = self._spec.theme
            author = self._spec.author
            found = {
                "author": author.in_language(language) if author else None,
                "labels": self._spec.labels.get(language),
                "theme": {"css": theme.css, "logo": theme.logo, "mode": theme.mode} if theme else None,
                "downloads": self._downloads(language),
            }
            self._options[language] = {name: value for name, value in found.items() if value}
        return self._options[language]

    def _downloads(self, language: str) -> dict[str, list[tuple[str, str]]]:
        """By kind, the formats that every target has beside its pages, each with its directory.

        Of the whole course, not of what this build is asked for: a page does not change with the choice.
        """
        found = {}
        directories = format_directories(self._spec)
        targets = [each for each in targets_of(self._spec) if "html" in each.formats and language in each.languages]
        for kind in dict.fromkeys(kind for each in targets for kind in each.kinds):
            formats = [set(each.formats) for each in targets if kind in each.kinds]
            there = [name for name in ("notebook", "code") if all(name in each for each in formats)]
            if there:
                found[kind] = [(name, directories[name]) for name in there]
        return found

    def _read(self, files: SourceFiles) -> str:
        theme = self._spec.theme
        if theme is None:
            return ""
        where = f"{self._spec.path}:{self._spec.theme_line}: "
        for path in theme.files:
            try:
                digest = files.digest(path) if files.is_inside(path) else None
            except CourseError as error:
                return f"{where}the theme names {visible_line(error.fact)}\nCorrect the path, or put a file there."
            if digest is None:
                name = visible_line(path)
                return f"{where}the theme names {name}, which is no file of the course.\nCorrect the path."
            self.files.append((path, digest))
        try:
            read_theme(theme, files.root)
        except ConversionError as error:
            return f"{where}{visible_line(error.fact)}.\n{error.next_step}"
        return ""
