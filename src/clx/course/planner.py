"""Making the plan of a build: a pure function of the course's files and the settings, which runs and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec

from clx.course import portable, withheld
from clx.course.build_state import FileStat
from clx.course.closure import Closures, DeckInfo
from clx.course.deck_links import DeckLinks, DeckPage
from clx.course.deck_pictures import DeckPictures
from clx.course.diagrams import diagram_type, told_of_part
from clx.course.dir_groups import group_files, group_problem
from clx.course.far_files import FarFiles
from clx.course.layout import PAGE_FORMATS, PDF_FORMATS, Layout, VariantDirectory
from clx.course.look import Look
from clx.course.mistakes import Collected, EnoughError, gathered, texts_of
from clx.course.names import natural_order, safe_name
from clx.course.plan import MadeFrom, OutlineDeck, OutputPath, Plan, PlannedJob, StaticFile
from clx.course.printing import PrintedDeck, Prints
from clx.course.shared_inputs import InputPlaces
from clx.course.source_files import SourceFiles
from clx.course.spec import DirGroup
from clx.course.survey import Survey, place_apart, told_apart
from clx.course.topics import CourseTopic, Topic
from clx.errors import CourseError
from clx.jobtypes.notebook.deck import deck_language, decks_among, is_deck, is_misnamed
from clx.jobtypes.notebook.fingerprint import drawn_by
from clx.jobtypes.notebook.reader import DeckReader
from clx.jobtypes.registry import JOB_TYPES
from clx.settings.schema import Settings
from clx.visible import visible_line

_EXTENSIONS = {"html": ".html", "slides": ".html", "notebook": ".ipynb"}
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
        self._begun: dict[str, Any] = {}  # by job type, the digest of its tools: keys begin with it
        self.closures = Closures(self._spec, files, known, tools["notebook"], reader)
        self._look = Look(self._spec, files)
        self._plan = Plan()
        self._jobs: dict[str, PlannedJob] = {}
        self._copies: dict[str, StaticFile] = {}
        self._mistakes = Collected(mistakes)
        self._conflicts: set[tuple[str, str]] = set()
        self._withheld: dict[str, str] = {}
        self._included: set[str] = set()
        self._parts: list[str] = []
        self._links = DeckLinks(layout.sections)
        self._seats: dict[tuple[int, str], DeckPage] = {}
        copying = (self._withheld, InputPlaces(layout), self._section_places, self._copy)
        self._far = FarFiles(files, self.closures, self._plan, *copying)
        self._pictures = DeckPictures(files, settings.diagrams.format, self._plan)
        self._groups: dict[tuple[int, int], list[tuple[str, str]]] = {}
        self._respelt: list[str] = []
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
        self._plan.warnings += gathered(self._respelt)
        self._plan.warnings += [f"{told}; it was left out." for told in dict.fromkeys(self._files.left_out)]
        self._plan.warnings += [told_of_part(part) for part in self._parts if part not in self._included]
        if self._withheld:
            self._plan.warnings.append(withheld.told(self._withheld))
        if not self._plan.decks:
            self._plan.warnings.append("The course has no deck at all.")
        self._prints.plan(self._jobs, self._copies, self._plan.places)
        self._plan.warnings += portable.altered(self._spec, self._layout)
        self._plan.warnings += filter(None, [portable.impossible(self._copies)])
        self._plan.pointers = sorted(self._files.pointers)
        self._pictures.forget(self._plan.pointers)
        self._plan.copies = list(self._copies.values())
        self._plan.jobs = list(self._jobs.values())
        texts = [self._spec.name, *(section.name for section in self._spec.sections)]
        self._plan.names = [text.in_language(language) for text in texts for language in self._spec.languages]
        return self._plan

    def _look_at_all(self) -> None:
        numbers = dict.fromkeys(range(len(self._spec.sections)), 0)
        self._check_groups()
        self._mistakes.add(*portable.colliding(self._spec, self._layout))
        if self._look.problem:
            self._mistakes.add(self._look.problem)
        surveys = []
        for place in self._topics:
            try:  # what is wrong with a topic is noted: all is told of in one go
                surveys.append(self._survey(place, numbers))
            except CourseError as error:
                self._mistakes.add(*texts_of(error))
        self._place(surveys)
        for survey in surveys:
            try:
                self._topic(survey)
            except CourseError as error:
                self._mistakes.add(*texts_of(error))
        for group in self._spec.dir_groups:
            self._dir_group(group)
        for survey in surveys:
            if survey.place.ref.inputs:
                try:
                    self._far.publish_inputs(survey)
                except CourseError as error:
                    self._mistakes.add(*texts_of(error))

    def learned(self) -> tuple[Mapping[str, FileStat], Mapping[str, Any], list[str]]:
        """What later builds should know: files, sources, and the decks that hide something else than before."""
        return self._files.learned, self.closures.learned, self.closures.newly_hidden()

    # -- one topic --------------------------------------------------------------------------------

    def _survey(self, place: CourseTopic, numbers: dict[int, int]) -> Survey:
        """Look at one topic, counting its decks."""
        members = self._members(place.topic)
        decks = decks_among(members)
        if len(decks) > 1:
            decks.sort(key=natural_order)
        found = Survey(place, bool(decks))
        if len(members) > len(decks):  # many topics have nothing else
            self._survey_others(found, members, decks)
        for deck in decks:
            numbers[place.section] += 1
            found.numbers[deck] = numbers[place.section]
            try:
                found.decks[deck] = self.closures.info(deck, jinja=self._is_template(place))
            except CourseError as error:
                self._mistakes.add(*texts_of(error))  # and on: all decks are told of in one go
        if not place.topic.is_directory:
            links = [link for info in found.decks.values() for link in info.links]
            found.others += self._linked_beside(place.topic, links, found.others)
        return found

    def _survey_others(self, found: Survey, members: list[str], decks: list[str]) -> None:
        """Look at what a topic has besides decks."""
        sources = {path: type_ for path in members if (type_ := diagram_type(path, self._files, self._settings))}
        found.drawn = {path: type_ for path, type_ in sources.items() if self.closures.has_picture(path, type_)}
        self._parts += [path for path in sources if path not in found.drawn]
        for source in found.drawn:
            found.pictures.setdefault(f"img/{PurePosixPath(source).stem}.{self._settings.diagrams.format}", source)
        found.others = [path for path in members if path not in decks and path not in sources]

    def _place(self, surveys: list[Survey]) -> None:
        """Find where the pages of all decks go; topics whose files meet get directories of their own."""

        def contents(survey: Survey, source: str) -> str | None:
            if source in survey.drawn:
                return source
            try:
                return self._files.digest(source) if self._without_copies(survey.place, [source]) else None
            except CourseError:
                return None  # told when the topic is planned

        self._plan.notes += told_apart(place_apart(surveys, self._layout.sections, contents))
        for survey in surveys:
            for deck, info in survey.decks.items():
                stem = deck.rpartition("/")[2].rpartition(".")[0]
                names, number = {}, f"{survey.numbers[deck]:02d} "
                for language in self._layout.languages:
                    names[language] = number + safe_name(info.titles.get(language) or stem)
                page = DeckPage(survey.place.section, survey.folder_of(deck), names, survey.place.ref.html)
                self._links.add(deck, page)
                self._seats[survey.place.section, deck] = page

    def _topic(self, survey: Survey) -> None:
        """Plan one topic."""
        place = survey.place
        self._diagrams(survey)
        for deck, info in survey.decks.items():
            try:
                renamed = self._pictures.renamed(survey, deck, info)
                if info.outside or info.outside_noted:
                    renamed |= self._far.shown_by(survey, deck, self._seats[place.section, deck], info)
                self._deck(survey, deck, info, renamed)
            except CourseError as error:
                self._mistakes.add(*texts_of(error))
        self._copy_files(survey, self._without_copies(place, survey.others))
        for group in place.ref.dir_groups:
            self._dir_group(group)
        if not survey.has_decks:
            self._plan.warnings.append(f"{place.topic.path} has no deck (slides_… or topic_…).")

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
        self._withheld |= dict.fromkeys(filter(withheld.is_worth_telling, dotted), withheld.DOTTED)
        return [path for path in paths if path not in set(dotted)]

    def _without_copies(self, place: CourseTopic, paths: list[str]) -> list[str]:
        """The files beside decks that may be copied; notes the others."""
        if not paths:
            return paths
        paths = self._undotted(paths, place.topic.base)
        beside = self._files.tree if place.topic.is_directory else self._files.listing
        decks = withheld.names_of_decks(beside(place.topic.base))
        suspect = {path: why for path in paths if (why := self._why_left_out(path, decks))}
        misnamed = [path for path in paths if is_misnamed(path.rpartition("/")[2]) and path not in suspect]
        if not suspect and not misnamed:
            return paths
        asked = self.closures.named_inputs(place) | self._grouped
        left_out = [path for path in (*suspect, *misnamed) if path not in asked]
        told = [withheld.misnamed(path) for path in misnamed if path in left_out]
        self._plan.warnings += [text for text in told if text not in self._plan.warnings]
        self._withheld |= {path: suspect[path] for path in left_out if path in suspect}
        return [path for path in paths if path not in left_out]

    def _why_left_out(self, path: str, decks: list[str]) -> str:
        if path in self._files.links:
            there = Path(self._files.real(path)).parent
            decks = [*decks, *withheld.names_of_decks([each.name for each in there.iterdir()])]
        if any(withheld.is_copy_of_deck(name, decks) for name in self._files.names(path)):
            return withheld.COPY
        return withheld.marked(path) if self.closures.is_marked(path) else ""

    @cached_property
    def _drawn_by(self) -> str:
        return drawn_by(self._settings)

    @cached_property
    def _grouped(self) -> set[str]:
        """Every file that a directory group names."""
        return {path for files in self._groups.values() for path, _ in files}

    def _linked_beside(self, topic: Topic, links: list[str], known: list[str]) -> list[str]:
        """Files below a file topic's directory that its deck links to."""
        found = []
        for link in dict.fromkeys(links):
            if not link.startswith(f"{topic.base}/") or link in known or is_deck(link.rpartition("/")[2]):
                continue
            if not diagram_type(link, self._files, self._settings) and self._files.admits(link):
                found.append(link)
        return found

    # -- decks ------------------------------------------------------------------------------------

    def _deck(self, survey: Survey, deck: str, info: DeckInfo, renamed: Mapping[str, str]) -> None:
        place = survey.place
        evaluate = self._spec.evaluate if place.ref.evaluate is None else place.ref.evaluate
        self._plan.decks += 1
        self._respelt += info.respelt
        self._plan.hidden[deck] = info.hidden
        self._plan.outline.append(OutlineDeck(place.section, survey.numbers[deck], deck, info.titles))
        for language in self._layout.languages:
            executed, rendered = self._deck_places(place, deck, language, evaluate=evaluate)
            options = self._deck_options(place, deck, language, evaluate=evaluate)
            if renamed:
                options["pictures"] = dict(sorted(renamed.items()))
            options |= self._pictures.awaited(survey, deck, info)
            if info.draws:
                options["drawn_by"] = self._drawn_by
            if links := self._links.links(deck, self._seats[place.section, deck], info, language):
                options["links"] = links
            if depth := self._seats[place.section, deck].folder.count("/"):
                options["depth"] = depth + 1
            reads = [*info.reads.items(), *self._look.files]
            printed = self._prints.tasks(language, evaluate=evaluate) if place.ref.html else set()
            keys = {}
            for task, places in (("render", rendered), ("execute", executed)):
                if places or task in printed:
                    needs = reads if task == "render" else [*self.closures.deck_closure(place, info), *self._look.files]
                    asked = {"task": task, **options}
                    keys[task] = self._job("notebook", deck, f"{task} {language}", asked, needs, places)
            if printed:
                page = self._seats[place.section, deck]
                self._prints.add(PrintedDeck(place, deck, info, language, page, evaluate, keys))

    def _is_template(self, place: CourseTopic) -> bool:
        return self._spec.jinja if place.ref.jinja is None else place.ref.jinja

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
            **({} if self._spec.index else {"index": False}),
            **({} if self._is_template(place) else {"jinja": False}),
            **({} if self._spec.kernel is None else {"kernel": self._spec.kernel}),
        }

    def _deck_places(
        self, place: CourseTopic, deck: str, language: str, *, evaluate: bool
    ) -> tuple[dict[str, list[OutputPath]], dict[str, list[OutputPath]]]:
        """Places by output name: those of the executed pages, and all others."""
        executed: dict[str, list[OutputPath]] = {}
        rendered: dict[str, list[OutputPath]] = {}
        code = deck_language(deck, self._spec.prog_lang).extension
        asked = (place.section, language, place.ref.html, evaluate, code)
        pages = self._pages.get(asked)
        if pages is None:
            pages = self._pages[asked] = list(self._pages_of(*asked))
        seat = self._seats[place.section, deck]
        name = seat.folder + seat.names[language]
        for page in pages:
            found = OutputPath(page.target, f"{page.folder}/{name}{page.extension}", page.variant)
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
        if type_ not in self._begun:
            self._begun[type_] = sha256(_encode(self._tools[type_], order="sorted"))
        digest, what = self._begun[type_].copy(), [type_, options, listed, *([made_from] if made_from else [])]
        digest.update(_encode(what, order="deterministic"))
        key: str = digest.hexdigest()
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

    def _diagrams(self, survey: Survey) -> None:
        """Plan the topic's diagrams."""
        format_ = self._settings.diagrams.format
        for source, type_ in survey.drawn.items():
            own = JOB_TYPES[type_].options(self._settings)
            options: dict[str, Any] = {"source": source, "format": format_, **own}
            closure = self.closures.diagram_closure(source, type_)
            self._included |= {path for path, _ in closure if path != source}
            picture = f"img/{PurePosixPath(source).stem}.{format_}"
            if (other := survey.pictures[picture]) != source:
                both = visible_line(f"{other} and {source} would both become {picture} in the output.")
                self._mistakes.add(f"{both}\nRename one of them.")
                continue  # planned, it would be told again for its places
            if self._files.pointers and any(path in self._files.pointers for path, _ in closure):
                continue
            places = {f"1.{format_}": self._section_places(survey.place, survey.folder + picture)}
            self._job(type_, source, "", options, closure, places)

    def _copy_files(self, survey: Survey, paths: list[str]) -> None:
        for path in dict.fromkeys(paths):
            relative = survey.relative(path)
            if relative in survey.pictures:
                made_from = survey.pictures[relative]
                self._plan.warnings.append(f"{path} is replaced by the picture made from {made_from}.")
                continue
            self._copy(path, self._section_places(survey.place, survey.folder + relative))

    def _copy(self, source: str, places: list[OutputPath]) -> None:
        digest = self._files.digest(source)
        if digest is None or not places or source in self._files.pointers:
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
