"""Making the plan of a build: a pure function of the course's files and the settings, which runs and writes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec

from clx.course import withheld
from clx.course.build_state import FileStat
from clx.course.closure import Closures, DeckInfo
from clx.course.diagrams import diagram_type
from clx.course.dir_groups import group_files, group_problem
from clx.course.layout import PAGE_FORMATS, PDF_FORMATS, Layout, VariantDirectory
from clx.course.look import Look
from clx.course.mistakes import Collected, EnoughError, texts_of
from clx.course.names import safe_name
from clx.course.plan import MadeFrom, OutputPath, Plan, PlannedJob, StaticFile
from clx.course.printing import PrintedDeck, Prints
from clx.course.source_files import SourceFiles
from clx.course.spec import DirGroup
from clx.course.topics import CourseTopic, Topic
from clx.errors import CourseError
from clx.jobtypes.notebook.deck import deck_language, is_deck
from clx.jobtypes.notebook.reader import DeckReader
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings
from clx.visible import visible_line

_EXTENSIONS = {"html": ".html", "slides": ".html", "notebook": ".ipynb"}
_CONVERTED = (".png", ".svg")
_FURTHER_PAGE = re.compile(r"-\d+$")
_encode = msgspec.json.encode


class _Page(NamedTuple):
    """One file that a deck becomes: what the converter calls it, whether code is run for it, and where it goes."""

    name: str
    is_executed: bool
    target: int
    folder: str
    extension: str
    variant: str


class Planner:
    """Makes the plan of one course.

    Args:
        layout: the output tree asked for.
        topics: in order.
        tools: fingerprint per job type; only those that the course needs are asked for.
        known: what earlier builds learned of sources.
        mistakes: what is wrong with the course already.
    """

    def __init__(
        self,
        layout: Layout,
        topics: list[CourseTopic],
        files: SourceFiles,
        settings: Settings,
        tools: Mapping[str, Mapping[str, str]],
        known: Mapping[str, Any],
        reader: DeckReader,
        mistakes: Iterable[str] = (),
    ) -> None:
        self._layout = layout
        self._spec = layout.spec
        self._topics = topics
        self._files = files
        self._settings = settings
        self._tools = tools
        self._encoded_tools: dict[str, bytes] = {}
        self.closures = Closures(self._spec, files, known, tools["notebook"], reader)
        self._look = Look(self._spec, files)
        self._plan = Plan()
        self._jobs: dict[str, PlannedJob] = {}
        self._copies: dict[str, StaticFile] = {}
        self._mistakes = Collected(mistakes)
        self._conflicts: set[tuple[str, str]] = set()
        self._withheld: dict[str, None] = {}
        self._groups: dict[tuple[int, int], list[tuple[str, str]]] = {}
        self._prints = Prints(layout, settings, self._job)
        self._in_section: dict[tuple[int, str, bool], list[tuple[VariantDirectory, str, str]]] = {}
        self._pages: dict[tuple[int, str, bool, bool, str], list[_Page]] = {}

    def plan(self) -> Plan:
        """Look at every source.

        Raises:
            CourseError: a deck cannot be read or expanded, or two sources want one output path.
        """
        try:
            self._look_at_all()
        except EnoughError:
            self._mistakes.finish(more=True)
        self._mistakes.finish()
        self._plan.warnings += [f"{told}; it was left out." for told in dict.fromkeys(self._files.left_out)]
        if self._withheld:
            self._plan.warnings.append(withheld.told(self._withheld))
        if not self._plan.decks:
            self._plan.warnings.append("The course has no deck at all.")
        self._prints.plan(self._jobs, self._copies, self._plan.places)
        self._plan.copies = list(self._copies.values())
        self._plan.jobs = list(self._jobs.values())
        texts = [self._spec.name, *(section.name for section in self._spec.sections)]
        self._plan.names = [text.in_language(language) for text in texts for language in self._spec.languages]
        return self._plan

    def _look_at_all(self) -> None:
        numbers = dict.fromkeys(range(len(self._spec.sections)), 0)
        self._check_groups()
        if self._look.problem:
            self._mistakes.add(self._look.problem)
        for place in self._topics:
            try:
                numbers[place.section] = self._topic(place, numbers[place.section])
            except CourseError as error:
                self._mistakes.add(*texts_of(error))
        for group in self._spec.dir_groups:
            self._dir_group(group)

    def learned(self) -> tuple[Mapping[str, FileStat], Mapping[str, Any], list[str]]:
        """What later builds should know: files, sources, and the decks that hide something else than before."""
        return self._files.learned, self.closures.learned, self.closures.newly_hidden()

    # -- one topic --------------------------------------------------------------------------------

    def _topic(self, place: CourseTopic, last_number: int) -> int:
        """Plan one topic; returns the number of its last deck in the section."""
        topic = place.topic
        members = self._members(topic)
        decks = [path for path in members if is_deck(path.rpartition("/")[2])]
        number = last_number
        linked: list[str] = []
        drawn = {path: type_ for path in members if (type_ := diagram_type(path, self._files, self._settings))}
        pictures = self._diagrams(place, drawn)
        for deck in decks:
            number += 1
            try:
                info = self.closures.info(deck, jinja=self._is_template(place))
                self._deck(place, deck, info, number, self._renamed(place, deck, info, pictures))
            except CourseError as error:
                self._mistakes.add(*texts_of(error))  # and on: all decks are told of in one go
                continue
            linked += info.links
        others = [path for path in members if path not in decks and path not in drawn]
        if not topic.is_directory:
            others += self._linked_beside(topic, linked, others)
        self._copy_files(place, self._without_copies(place, others), pictures)
        for group in place.ref.dir_groups:
            self._dir_group(group)
        if not decks:
            self._plan.warnings.append(f"{topic.path} has no deck (slides_… or topic_…).")
        return number

    def _members(self, topic: Topic) -> list[str]:
        if topic.is_directory:
            return self._undotted(self._files.tree(topic.path), topic.path)
        beside = [path for path in self._files.listing(topic.base) if not is_deck(path.rpartition("/")[2])]
        return [topic.path, *self._undotted(beside, topic.base)]

    def _undotted(self, paths: list[str], base: str) -> list[str]:
        """*paths* without dot files; notes which there were."""
        dotted = [path for path in paths if "/." in path and withheld.is_dotted(path, base)]
        if not dotted:
            return paths
        self._withheld |= dict.fromkeys(filter(withheld.is_worth_telling, dotted))
        return [path for path in paths if path not in set(dotted)]

    def _without_copies(self, place: CourseTopic, paths: list[str]) -> list[str]:
        """The files beside decks that may be copied; notes the others."""
        if not paths:
            return paths
        paths = self._undotted(paths, place.topic.base)
        beside = self._files.tree if place.topic.is_directory else self._files.listing
        decks = withheld.names_of_decks(beside(place.topic.base))
        suspect = [path for path in paths if self._is_copy_of_deck(path, decks) or self.closures.is_marked(path)]
        if not suspect:
            return paths
        asked = self.closures.named_inputs(place) | self._grouped
        left_out = [path for path in suspect if path not in asked]
        self._withheld |= dict.fromkeys(left_out)
        return [path for path in paths if path not in left_out]

    def _is_copy_of_deck(self, path: str, decks: list[str]) -> bool:
        if path in self._files.links:
            there = Path(self._files.real(path)).parent
            decks = [*decks, *withheld.names_of_decks([each.name for each in there.iterdir()])]
        return any(withheld.is_copy_of_deck(name, decks) for name in self._files.names(path))

    @cached_property
    def _grouped(self) -> set[str]:
        """Every file that a directory group names."""
        return {path for files in self._groups.values() for path, _ in files}

    def _linked_beside(self, topic: Topic, links: list[str], known: list[str]) -> list[str]:
        """Files below a file topic's directory that its deck links to."""
        found = []
        for link in dict.fromkeys(links):
            if not link.startswith(f"{topic.base}/"):
                self._plan.warnings.append(f"{topic.path} links to {link}, which lies outside its directory.")
            elif link in known or is_deck(link.rpartition("/")[2]) or diagram_type(link, self._files, self._settings):
                continue
            elif self._files.admits(link):
                found.append(link)
        return found

    # -- decks ------------------------------------------------------------------------------------

    def _deck(self, place: CourseTopic, deck: str, info: DeckInfo, number: int, pictures: Mapping[str, str]) -> None:
        evaluate = self._spec.evaluate if place.ref.evaluate is None else place.ref.evaluate
        self._plan.decks += 1
        self._plan.warnings += info.respelt
        self._plan.hidden[deck] = info.hidden
        for language in self._layout.languages:
            title = f"{number:02d} {safe_name(info.titles.get(language) or PurePosixPath(deck).stem)}"
            executed, rendered = self._deck_places(place, deck, language, title, evaluate=evaluate)
            options = self._deck_options(place, deck, language, evaluate=evaluate)
            if pictures:
                options["pictures"] = pictures
            reads = [*info.reads.items(), *self._look.files]
            printed = self._prints.tasks(language, evaluate=evaluate) if place.ref.html else set()
            keys = {}
            if rendered or "render" in printed:
                task = {"task": "render", **options}
                keys["render"] = self._job("notebook", deck, f"render {language}", task, reads, rendered)
            if executed or "execute" in printed:
                task = {"task": "execute", **options}
                closure = [*self.closures.deck_closure(place, info), *self._look.files]
                keys["execute"] = self._job("notebook", deck, f"execute {language}", task, closure, executed)
            if printed:
                self._prints.add(PrintedDeck(place, deck, info, language, title, evaluate, keys))

    def _is_template(self, place: CourseTopic) -> bool:
        return self._spec.jinja if place.ref.jinja is None else place.ref.jinja

    def _renamed(self, place: CourseTopic, deck: str, info: DeckInfo, pictures: Mapping[str, str]) -> dict[str, str]:
        """Pictures of diagrams that the deck names with another extension than they get: as written → as made.

        Warns of pictures that nothing makes.
        """
        found = {}
        format_ = self._settings.diagrams.format
        base = f"{place.topic.base}/"
        for path in (*info.missing, *info.links):
            picture = path.removeprefix(base)
            stem, extension = os.path.splitext(picture)  # noqa: PTH122
            made = {f"{stem}.{format_}", f"{_FURTHER_PAGE.sub('', stem)}.{format_}"} & pictures.keys()
            if not made:
                if path in info.missing:
                    self._plan.told_links.add((deck, os.path.relpath(path, deck.rpartition("/")[0])))
                    self._plan.warnings.append(f"{deck} shows {picture}, which does not exist.")
            elif extension.lower() in _CONVERTED and extension != f".{format_}":
                written = os.path.relpath(path, deck.rpartition("/")[0])
                found[written] = os.path.splitext(written)[0] + f".{format_}"  # noqa: PTH122
        return dict(sorted(found.items()))

    def _deck_options(self, place: CourseTopic, deck: str, language: str, *, evaluate: bool) -> dict[str, Any]:
        section = self._spec.sections[place.section]
        return {
            **self._look.options(language),
            "source": deck,
            "topic": place.topic.base,
            "lang": language,
            "prog_lang": self._spec.prog_lang,
            "evaluate": evaluate,
            "course": self._spec.name.in_language(language),
            "section": section.name.in_language(language),
            "variables": self._spec.variables,
            **({} if self._is_template(place) else {"jinja": False}),
            **({} if self._spec.kernel is None else {"kernel": self._spec.kernel}),
        }

    def _deck_places(
        self, place: CourseTopic, deck: str, language: str, title: str, *, evaluate: bool
    ) -> tuple[dict[str, list[OutputPath]], dict[str, list[OutputPath]]]:
        """Places by output name: those of the executed pages, and all others."""
        executed: dict[str, list[OutputPath]] = {}
        rendered: dict[str, list[OutputPath]] = {}
        code = deck_language(deck, self._spec.prog_lang).extension
        asked = (place.section, language, place.ref.html, evaluate, code)
        pages = self._pages.get(asked)
        if pages is None:
            pages = self._pages[asked] = list(self._pages_of(*asked))
        for page in pages:
            found = OutputPath(page.target, f"{page.folder}/{title}{page.extension}", page.variant)
            (executed if page.is_executed else rendered).setdefault(page.name, []).append(found)
        return executed, rendered

    def _pages_of(self, section: int, language: str, html: bool, evaluate: bool, code: str) -> Iterator[_Page]:
        """What decks of a section become in one language."""
        for each, folder, text in self._section_variants(section, language, html):
            kind, format_ = each.variant.kind, each.variant.format
            if format_ in PDF_FORMATS:
                continue  # made of pages: see printing.py
            extension = _EXTENSIONS.get(format_, code)
            is_executed = format_ in PAGE_FORMATS and kind != "code-along" and evaluate
            yield _Page(f"{kind}{extension}", is_executed, each.target, folder, extension, text)

    def _section_variants(self, section: int, language: str, html: bool) -> list[tuple[VariantDirectory, str, str]]:
        """Variants of one language, each with its directory for a section and its name."""
        if (section, language, html) not in self._in_section:
            name = self._layout.sections[language][section]
            self._in_section[section, language, html] = [
                (each, f"{each.path}/{name}", str(each.variant))
                for each in self._layout.variants
                if each.variant.language == language and (html or each.variant.format in ("notebook", "code"))
            ]
        return self._in_section[section, language, html]

    def _job(
        self,
        type_: str,
        source: str,
        task: str,
        options: dict[str, Any],
        files: list[tuple[str, str]],
        places: dict[str, list[OutputPath]],
        made_from: tuple[MadeFrom, ...] = (),
    ) -> str:
        """Plan a job, or add *places* to those of the same one; its key."""
        listed = sorted(set(files))
        if type_ not in self._encoded_tools:
            self._encoded_tools[type_] = _encode(self._tools[type_], order="sorted")
        what = [type_, options, listed, *([made_from] if made_from else [])]
        key = sha256(_encode(what, order="deterministic") + self._encoded_tools[type_]).hexdigest()
        for name, wanted in places.items():
            holder = (source, f"{key}/{name}")
            for each in wanted:
                self._take(each, holder)
        known = self._jobs.get(key)
        if known is not None:
            for name, wanted in places.items():
                known.places.setdefault(name, []).extend(wanted)
            return key
        job = PlannedJob(type_, source, task, key, options, listed, self._tools[type_], places, made_from)
        self._jobs[key] = job
        return key

    # -- pictures and other files -----------------------------------------------------------------

    def _section_places(self, place: CourseTopic, path: str) -> list[OutputPath]:
        return [
            OutputPath(each.target, f"{folder}/{path}", text)
            for language in self._layout.languages
            for each, folder, text in self._section_variants(place.section, language, place.ref.html)
        ]

    def _diagrams(self, place: CourseTopic, sources: Mapping[str, str]) -> dict[str, str]:
        """Plan the topic's diagrams, each with its job type; returns the place of each picture → its source."""
        made: dict[str, str] = {}
        format_ = self._settings.diagrams.format
        for source, type_ in sources.items():
            own = JOB_TYPES[type_].options(self._settings)
            options: dict[str, Any] = {"source": source, "format": format_, **own}
            closure = self.closures.diagram_closure(source, type_)
            picture = f"img/{PurePosixPath(source).stem}.{format_}"
            if picture in made:
                both = visible_line(f"{made[picture]} and {source} would both become {picture} in the output.")
                self._mistakes.add(f"{both}\nRename one of them.")
                continue  # planned, it would be told again for its places
            made[picture] = source
            places = {f"1.{format_}": self._section_places(place, picture)}
            self._job(type_, source, "", options, closure, places)
        return made

    def _copy_files(self, place: CourseTopic, paths: list[str], pictures: Mapping[str, str]) -> None:
        base = f"{place.topic.base}/"
        for path in dict.fromkeys(paths):
            relative = path.removeprefix(base)
            if relative in pictures:
                self._plan.warnings.append(f"{path} is replaced by the picture made from {pictures[relative]}.")
                continue
            self._copy(path, self._section_places(place, relative))

    def _copy(self, source: str, places: list[OutputPath]) -> None:
        digest = self._files.digest(source)
        if digest is None or not places:
            return
        fresh = [each for each in places if self._take(each, (source, digest))]
        known = self._copies.setdefault(source, StaticFile(source, digest, []))
        known.places.extend(fresh)

    def _take(self, place: OutputPath, wants: tuple[str, str]) -> bool:
        """Claim an output path for a source and its content; false when another has it already."""
        has = self._plan.places.setdefault(place[:2], wants)
        if has == wants:
            return True
        pair = (has[0], wants[0])
        if has[1] != wants[1] and pair not in self._conflicts:
            self._conflicts.add(pair)
            both = f"{has[0]} and {wants[0]} both want the output {place.path}, with different contents."
            self._mistakes.add(
                f"{visible_line(both)}\nRename one of them, or put their topics into sections of different names."
            )
        return False

    def _check_groups(self) -> None:
        """See that every directory group may be copied; what may not is told and left out."""
        groups = [*self._spec.dir_groups, *(group for place in self._topics for group in place.ref.dir_groups)]
        for (line, column), group in {(group.line, group.column): group for group in groups}.items():
            if problem := group_problem(group, self._files):
                self._mistakes.add(f"{self._spec.path}:{line}:{column}: {problem}")
                continue
            for folder in group.directories():
                self._files.admits(folder)
            base = "" if group.path in ("", ".") else f"{group.path}/"
            self._groups[line, column] = [(path, path.removeprefix(base)) for path in self._undotted_group(group)]

    def _undotted_group(self, group: DirGroup) -> list[str]:
        return [path for folder, found in group_files(group, self._files) for path in self._undotted(found, folder)]

    def _dir_group(self, group: DirGroup) -> None:
        for path, relative in self._groups.get((group.line, group.column), ()):
            places = []
            for number, target in enumerate(self._layout.targets):
                for language in (each for each in self._layout.languages if each in target.languages):
                    name = group.name.in_language(language)
                    parts = [self._layout.course_directory(language), *([name] if name not in ("", ".") else [])]
                    kind = "speaker" if target.kinds == ("speaker",) else ""
                    places.append(OutputPath(number, "/".join([*parts, relative]), f"{language}/{kind}/"))
            self._copy(path, places)
