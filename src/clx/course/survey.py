"""What each topic of a course has, and which topics of a section cannot lie in one directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

import msgspec

from clx.course.closure import DeckInfo
from clx.course.names import safe_directory
from clx.course.topics import CourseTopic

_TOLD = 6
"""Topics with directories of their own that are named."""
Contents = Callable[["Survey", str], str | None]
"""What tells a published file of a topic from another; None where it is not published."""


class Survey(msgspec.Struct):
    """One topic in its place in the course, looked at before anything is planned.

    Attributes:
        has_decks: whether there is a deck, also one that cannot be read.
        decks: those that can be, with what they say, in order.
        numbers: their places in the section.
        drawn: diagram sources with their job types.
        pictures: what becomes of them, below the topic's directory in the output, with the source of each.
        others: files that may be copied.
        folder: the topic's own directory in that of its section: empty, or with a slash at its end.
    """

    place: CourseTopic
    has_decks: bool
    decks: dict[str, DeckInfo] = {}
    numbers: dict[str, int] = {}
    drawn: dict[str, str] = {}
    pictures: dict[str, str] = {}
    others: list[str] = []
    folder: str = ""

    def relative(self, path: str) -> str:
        """A path below the course root as one below the topic's directory."""
        return path.removeprefix(f"{self.place.topic.base}/")

    def folder_of(self, deck: str) -> str:
        """The directory of a deck's page below that of its section."""
        folder = self.relative(deck).rpartition("/")[0]
        return f"{self.folder}{folder}/" if folder else self.folder

    def claims(self) -> Iterator[tuple[str, str]]:
        """Each path that the topic wants below its directory, with the source that it is for."""
        yield from self.pictures.items()
        for path in self.others:
            if (relative := self.relative(path)) not in self.pictures:
                yield relative, path


def place_apart(
    surveys: Sequence[Survey], sections: Mapping[str, Sequence[str]], contents: Contents
) -> list[tuple[str, Survey, Survey]]:
    """Give topics of one section that want one path for different files directories of their own.

    Args:
        sections: by language, the directory of each section; sections of one name have one.

    Returns:
        One such path of each topic that has its own directory now, with that topic and one it meets there.
    """
    if sum(bool(survey.pictures or survey.others) for survey in surveys) < 2:
        return []  # only files beside decks can meet
    told: dict[int, tuple[str, Survey, Survey]] = {}
    for names in {tuple(names) for names in sections.values()}:
        for relative, meeting in _meetings(surveys, names):
            has = {number: contents(surveys[number], source) for number, source in meeting}
            if len({each for each in has.values() if each is not None}) > 1:
                apart = [number for number, each in has.items() if each is not None]
                for number, other in zip(apart, [*apart[1:], apart[0]], strict=True):
                    told.setdefault(number, (relative, surveys[number], surveys[other]))
    topics = {surveys[number].place.topic.path: surveys[number].place.topic for number in told}
    ids = Counter(topic.id for topic in topics.values())
    for number in told:
        topic = surveys[number].place.topic
        name = topic.id if ids[topic.id] == 1 else PurePosixPath(topic.path).stem
        surveys[number].folder = f"{safe_directory(name)}/"
    return [told[number] for number in sorted(told)]


def told_apart(apart: Sequence[tuple[str, Survey, Survey]]) -> list[str]:
    """What :func:`place_apart` has done, in a few lines."""
    lines = []
    for path, survey, other in apart[:_TOLD]:
        both = f"{survey.place.topic.path} and {other.place.topic.path} both have {path}"
        lines.append(f"{both}: each lies in a directory of its own in the output: {survey.folder}")
    if len(apart) > _TOLD:
        lines.append(f"{len(apart) - _TOLD} more topics lie in directories of their own for the same reason.")
    return lines


def _meetings(surveys: Sequence[Survey], names: Sequence[str]) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Paths that several topics of a section want; who, and for which source."""
    first: dict[tuple[str, str], tuple[int, str]] = {}
    met: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for number, survey in enumerate(surveys):
        name = names[survey.place.section]
        for relative, source in survey.claims():
            has = first.setdefault((name, relative), (number, source))
            if has[1] != source:
                met.setdefault((name, relative), [has]).append((number, source))
    for (_, relative), meeting in met.items():
        yield relative, meeting
