"""A course file with mistakes: the mistakes of the topics and decks that it names are told together with its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from clx.course.closure import Closures
from clx.course.mistakes import TOLD, Mistakes, texts_of
from clx.course.source_files import SourceFiles
from clx.course.spec import CourseSpec, Text, read_partly
from clx.course.topics import find_course_root, resolve_topics
from clx.errors import CourseError
from clx.jobtypes.notebook.deck import PROG_LANG, decks_among
from clx.jobtypes.notebook.reader import DeckReader
from clx.settings.problems import Problem

_VARIABLES = "under `variables:`"


def with_decks(error: CourseError, path: Path) -> CourseError:
    """All that is wrong: with the course file at *path*, for which *error* stands, and with its topics and decks."""
    try:
        spec, problems = read_partly(path)
    except CourseError:
        return error
    if spec is None or len(problems) >= TOLD:
        return error
    own = _texts(problems)
    found: list[str] = []
    try:
        for text in _further(_sound(spec), problems):
            found.append(text)
            if len(own) + len(found) >= TOLD:
                break
    except CourseError as further:
        found += texts_of(further)
    return Mistakes([*own, *found], more=len(own) + len(found) >= TOLD) if found else error


def mistakes_of(error: CourseError, path: Path) -> list[str]:
    """As :func:`with_decks`, each mistake by itself."""
    found = with_decks(error, path)
    if isinstance(found, Mistakes):
        return found.texts
    try:
        return _texts(read_partly(path)[1]) or texts_of(found)
    except CourseError:
        return texts_of(found)


def _texts(problems: list[Problem]) -> list[str]:
    return [f"{each.where}: {each.fact}\n{each.next_step or 'Correct it and run again.'}" for each in problems]


def _sound(spec: CourseSpec) -> CourseSpec:
    """*spec* with languages and a programming language that there are."""
    languages = tuple(each for each in spec.languages if len(each) == 2 and each.isascii()) or ("en",)
    prog_lang = spec.prog_lang if spec.prog_lang in PROG_LANG else "python"
    return msgspec.structs.replace(spec, name=Text(common="course"), languages=languages, prog_lang=prog_lang)


def _further(spec: CourseSpec, problems: list[Problem]) -> Iterator[str]:
    """What is wrong with topics and decks, but for what only follows from *problems*."""
    files = SourceFiles(find_course_root(Path(spec.path)), {})
    places = tuple(f"{each.where}: " for each in problems)
    mistakes: list[str] = []
    topics = resolve_topics(spec, files.bounds, mistakes=mistakes)
    yield from (text for text in mistakes if not text.startswith(places))
    variables_are_known = not any("variable" in each.fact or "is not a key" in each.fact for each in problems)
    reader = DeckReader()
    closures = Closures(spec, files, {}, {}, reader)
    try:
        for topic, ref in ((place.topic, place.ref) for place in topics):
            jinja = spec.jinja if ref.jinja is None else ref.jinja
            for deck in decks_among(files.tree(topic.path)) if topic.is_directory else [topic.path]:
                texts = _of_deck(closures, deck, jinja=jinja)
                yield from (text for text in texts if variables_are_known or _VARIABLES not in text)
    finally:
        reader.close()


def _of_deck(closures: Closures, deck: str, *, jinja: bool) -> list[str]:
    try:
        closures.info(deck, jinja=jinja)
    except CourseError as error:
        return texts_of(error)
    return []
