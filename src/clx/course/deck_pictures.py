"""The pictures that a deck shows: those that diagrams make, and those that are not there or are spelled differently."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection
from pathlib import PurePosixPath

from clx.course.closure import DeckInfo
from clx.course.deck_links import near_file, relative
from clx.course.diagrams import told_of_part
from clx.course.plan import Plan
from clx.course.source_files import SourceFiles
from clx.course.survey import Survey
from clx.regular import read_regular
from clx.visible import visible_line

_CONVERTED = (".png", ".svg")
_FURTHER_PAGE = re.compile(r"-\d+$")


class DeckPictures:
    """Looks at the pictures of decks.

    Args:
        format_: what diagrams become.
        plan: gets the warnings.
    """

    def __init__(self, files: SourceFiles, format_: str, plan: Plan) -> None:
        self._files = files
        self._format = format_
        self._plan = plan
        self._told: dict[str, str] = {}

    def forget(self, sources: Collection[str]) -> None:
        """Take back what was told of *sources* and their pictures: they are told of for another reason."""
        stems = {PurePosixPath(path).stem for path in sources}
        taken = {text for text, stem in self._told.items() if stem in stems} | {told_of_part(path) for path in sources}
        if not stems:
            return
        self._plan.warnings[:] = [text for text in self._plan.warnings if text not in taken]

    def renamed(self, survey: Survey, deck: str, info: DeckInfo) -> dict[str, str]:
        """Pictures by the paths by which the deck names them, where those they get are others.

        Warns of pictures that nothing makes.
        """
        if not info.missing and not info.links:
            return {}
        found = {}
        folder = posixpath.dirname(deck)
        for path in (*info.missing, *info.links):
            written = relative(path, folder)
            made = self._made(survey, path, written) if survey.pictures else None
            if made is not None:
                place = posixpath.relpath(made, posixpath.relpath(folder, survey.place.topic.base))
                if place != written:
                    found[written] = place
            elif path in info.missing:
                near = self._near(path)
                if near and near[1]:
                    found[written] = relative(near[0], folder)
                else:
                    self._tell(deck, written, survey.relative(path), near[0] if near else "")
        return found

    def awaited(self, survey: Survey, deck: str, info: DeckInfo) -> dict[str, list[str]]:
        """As the option of a deck's job: the pictures, relative to the deck, that are there once its cells have run."""
        folder = posixpath.dirname(deck)
        found = [written for path in info.awaited if not self._made(survey, path, written := relative(path, folder))]
        return {"awaited": found} if found else {}

    def _made(self, survey: Survey, path: str, written: str) -> str | None:
        """The picture that a diagram makes for a path, below the topic's directory."""
        for picture in (survey.relative(path), posixpath.normpath(written)):
            stem, extension = os.path.splitext(picture)  # noqa: PTH122
            names = {f"{stem}.{self._format}", f"{_FURTHER_PAGE.sub('', stem)}.{self._format}"}
            if names & survey.pictures.keys():
                return f"{stem}.{self._format}" if extension.lower() in _CONVERTED else picture
        return None

    def _near(self, path: str) -> tuple[str, bool] | None:
        folder = posixpath.dirname(path)
        is_there = (self._files.root / folder).is_dir() and self._files.is_inside(folder)
        return near_file(path, self._files.listing(folder)) if is_there else None

    def _tell(self, deck: str, written: str, picture: str, near: str) -> None:
        from clx.course.link_check import line_of  # only where something is wrong

        self._plan.told_links.add((deck, written))
        text = read_regular(self._files.root / deck).decode("utf-8", "replace")
        line = line_of(text, written)
        hint = f"; there is {near[len(near) - len(picture) :]}" if near else ""
        where = f"{deck}: line {line}:" if line else deck
        warning = visible_line(f"{where} shows {picture}, which does not exist{hint}.")
        self._told[warning] = PurePosixPath(picture).stem
        self._plan.warnings.append(warning)
