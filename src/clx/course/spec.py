"""The course spec: what ``course.yaml`` says, checked, each topic with its place in the file.

::

    spec = load_spec(Path("course.yaml"))
    spec.name.in_language("de")
    spec.where(0, 2)            # "course.yaml:12:9", the third topic of the first section

Everything that is wrong in the document is reported at once, with line, column and what to write
instead. Whether the topics exist is not looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from clx.course.names import name_problem, path_problem
from clx.errors import CourseError
from clx.jobtypes.notebook.labels import LABELS, LANGUAGE, as_language
from clx.jobtypes.notebook.theme import LOGO_TYPES, MODES, ThemeFiles
from clx.settings.problems import Problem, quoted, shortened
from clx.settings.reader import Reader
from clx.settings.yaml_source import Document, Node, parse, read_source

T = TypeVar("T")

PROG_LANGS = ("python", "cpp", "csharp", "java", "typescript", "rust", "c")
"""Programming languages a course can be in."""
KINDS = ("code-along", "completed", "speaker")
"""What a deck becomes, by audience."""
DEFAULT_FORMATS = ("html", "notebook", "code")
"""What a deck becomes, by file type, where nothing is said."""
FORMATS = (*DEFAULT_FORMATS, "slides", "pdf", "slides-pdf")
"""What a deck can become; what is made of pages costs nothing where it is not asked for."""

_COURSE_FILE = Document(
    "a course file",
    CourseError,
    "Give the path of a course file; `clx new DIR` makes a course to start from.",
    "A course needs at least: name, prog_lang, sections.",
)

_OTHER_NAMES = {
    "py": "python",
    "python3": "python",
    "c++": "cpp",
    "cxx": "cpp",
    "c#": "csharp",
    "cs": "csharp",
    "ts": "typescript",
    "rs": "rust",
}
_KERNEL = re.compile(r"[A-Za-z0-9._-]+")
_RESERVED_VARIABLES = ("lang", "is_notebook", "is_html")
_COURSE_KEYS = (
    *("name", "prog_lang", "description", "certificate", "author", "languages", "variables", "evaluate", "jinja"),
    *("index", "labels", "theme", "kernel", "sections", "dir_groups", "output_targets"),
)
_TOPIC_KEYS = ("id", "html", "evaluate", "jinja", "inputs", "publish", "dir_groups")
_GROUP_KEYS = ("name", "path", "subdirs", "include_root_files", "recursive")
_TARGET_KEYS = ("name", "path", "kinds", "formats", "languages")


class Text(msgspec.Struct, frozen=True):
    """A text that may differ by language."""

    by_language: dict[str, str] = {}
    """Language code → text; empty when one string stands for all languages."""
    common: str = ""
    """The one string, when ``by_language`` is empty."""

    def in_language(self, language: str) -> str:
        """The text in one of the course's languages."""
        return self.by_language[language] if self.by_language else self.common


class DirGroup(msgspec.Struct, frozen=True):
    """Directories that are copied verbatim into every course output directory."""

    name: Text
    """A path in the output; ``""``: the course output directory itself."""
    path: str
    """POSIX path below the course root; ``.`` is the root."""
    subdirs: tuple[str, ...] = ()
    """POSIX paths below *path*; none: everything."""
    include_root_files: bool = False
    """Whether the files directly in *path* are copied too, where *subdirs* selects."""
    recursive: bool = True
    """Whether the directories below are copied too."""
    line: int = 0
    """1-based, as is the column."""
    column: int = 0

    def directories(self) -> list[str]:
        """POSIX paths below the course root of what is copied; files directly in *path* may come to it."""
        base = "" if self.path in ("", ".") else f"{self.path}/"
        return [base + each for each in self.subdirs] or [self.path]


class TopicRef(msgspec.Struct, frozen=True):
    """A topic as a section names it."""

    id: str
    """As written: ``id``, or ``directory/id`` where an id occurs in two directories."""
    html: bool = True
    """Whether HTML is made."""
    evaluate: bool | None = None
    """Whether code is run for HTML; ``None``: as the course says."""
    jinja: bool | None = None
    """Whether decks are templates; ``None``: as the course says."""
    inputs: tuple[str, ...] = ()
    """More files the topic's decks can see: glob patterns, POSIX, relative to the course root."""
    kept_back: tuple[str, ...] = ()
    """Those of them that are not published beside the notebooks."""
    dir_groups: tuple[DirGroup, ...] = ()
    line: int = 0
    """1-based, as is the column."""
    column: int = 0

    @property
    def directory(self) -> str | None:
        """The directory below ``slides/`` that is named with the id, if one is."""
        return self.id.partition("/")[0] if "/" in self.id else None

    @property
    def bare_id(self) -> str:
        """The id without a directory."""
        return self.id.rpartition("/")[2]


class Section(msgspec.Struct, frozen=True):
    """A part of a course; its decks are numbered together."""

    name: Text
    topics: tuple[TopicRef, ...]
    line: int = 0
    column: int = 0


class OutputTarget(msgspec.Struct, frozen=True):
    """A directory that gets a slice of the output. Lists that were left out are filled in with what is usual."""

    name: str
    path: str
    """POSIX path below the output directory; ``.`` is that directory."""
    kinds: tuple[str, ...] = KINDS
    formats: tuple[str, ...] = DEFAULT_FORMATS
    languages: tuple[str, ...] = ()


class CourseSpec(msgspec.Struct, frozen=True):
    """What a course file says."""

    path: str
    """The file, as it was named to :func:`load_spec`."""
    name: Text
    prog_lang: str
    languages: tuple[str, ...]
    """Codes like ``en`` and ``pt-BR``; every :class:`Text` has a text for each."""
    sections: tuple[Section, ...]
    description: Text | None = None
    certificate: Text | None = None
    """For programs that write certificates: nothing is made of it here."""
    certificate_line: int = 0
    """1-based."""
    author: Text | None = None
    variables: dict[str, Any] = {}
    """More Jinja variables: names → null, truth values, numbers, text, lists, mappings."""
    labels: dict[str, dict[str, str]] = {}
    """Language → word of pages and directories (:data:`clx.jobtypes.notebook.labels.LABELS`) → what is said."""
    theme: ThemeFiles | None = None
    theme_line: int = 0
    """1-based."""
    evaluate: bool = True
    index: bool = True
    """Whether pages of the course as a whole are made."""
    jinja: bool = True
    kernel: str | None = None
    """The Jupyter kernel of decks in ``prog_lang``; ``None``: what the language names, or else any that speaks it."""
    dir_groups: tuple[DirGroup, ...] = ()
    output_targets: tuple[OutputTarget, ...] = ()
    """Empty: the standard layout with everything."""

    def where(self, section: int, topic: int | None = None) -> str:
        """``file:line:column`` of a section or of one of its topics, by 0-based index."""
        named = self.sections[section]
        place: Section | TopicRef = named if topic is None else named.topics[topic]
        return f"{self.path}:{place.line}:{place.column}"


def load_spec(path: Path) -> CourseSpec:
    """Read and check a course file.

    Raises:
        CourseError: the file cannot be read, or what it says cannot be a course; names every mistake
            (up to :data:`clx.settings.problems.PROBLEM_LIMIT`) as ``file:line:column: fact``.
    """
    return read_spec(read_source(path, _COURSE_FILE), str(path))


def read_spec(text: str, path: str) -> CourseSpec:
    """As :func:`load_spec`, from the text of the file *path*."""
    reader = _SpecReader(path)
    spec = reader.course(parse(text, path, _COURSE_FILE))
    reader.finish()
    return spec


def read_partly(path: Path) -> tuple[CourseSpec | None, list[Problem]]:
    """What can be made out of a course file that has mistakes, with stand-ins for the rest; and these mistakes.

    Raises:
        CourseError: it cannot be read, or is no YAML.
    """
    reader = _SpecReader(str(path))
    root = parse(read_source(path, _COURSE_FILE), str(path), _COURSE_FILE)
    try:
        return reader.course(root), reader.problems()
    except CourseError:  # it is full of them
        return None, reader.problems()


class _SpecReader(Reader):
    def __init__(self, path: str) -> None:
        super().__init__(path, CourseError)
        self._path = path
        self._texts: list[tuple[Node, Text, str]] = []

    def course(self, root: Node) -> CourseSpec:
        values = self.mapping(root, "the course", _COURSE_KEYS, ("name", "prog_lang", "sections"))
        name = self._get(values, "name", self._name_text, Text())
        languages = self._languages(values, name)
        spec = CourseSpec(
            path=self._path,
            name=name,
            prog_lang=self._get(values, "prog_lang", partial(self.choice, choices=PROG_LANGS, known=_OTHER_NAMES), ""),
            languages=languages,
            sections=self._get(values, "sections", partial(self.list, read=self._section, may_be_empty=False), ()),
            description=self._get(values, "description", self._optional_text, None),
            certificate=self._get(values, "certificate", self._optional_text, None),
            certificate_line=values["certificate"].line if "certificate" in values else 0,
            author=self._get(values, "author", self._optional_text, None),
            variables=self._get(values, "variables", self._variables, {}),
            labels=self._get(values, "labels", partial(self._labels, languages=languages), {}),
            theme=self._get(values, "theme", self._theme, None),
            theme_line=values["theme"].line if "theme" in values else 0,
            evaluate=self._get(values, "evaluate", self.boolean, True),
            index=self._get(values, "index", self.boolean, True),
            jinja=self._get(values, "jinja", self.boolean, True),
            kernel=self._get(values, "kernel", self._kernel, None),
            dir_groups=self._get(values, "dir_groups", partial(self.list, read=self._dir_group), ()),
            output_targets=self._targets(values.get("output_targets"), languages),
        )
        self._check_translations(languages)
        return spec

    @staticmethod
    def _get(values: dict[str, Node], key: str, read: Any, default: Any) -> Any:
        return read(values[key], key) if key in values else default

    # --- texts and languages

    def _text(self, node: Node, subject: str, problem_of: Any = None) -> Text:
        def read(each: Node, what: str) -> str:
            return self.checked(each, what, problem_of) if problem_of else self.text(each, what)

        if node.kind == "list":
            self.wrong_kind(node, subject, "text, or a mapping of languages to texts")
            return Text()
        if node.kind == "scalar":
            return Text(common=read(node, subject))
        by_language = {}
        for code, (key, value) in self.keys(node, subject).items():
            self._language(key, subject)
            by_language[code] = read(value, f"{subject} ({shortened(code)})")
        if not node.pairs:
            self.problem(node, f"{subject} has no text", "Write {de: …, en: …} or one text.")
        text = Text(by_language)
        self._texts.append((node, text, subject))
        return text

    def _name_text(self, node: Node, subject: str) -> Text:
        return self._text(node, subject, name_problem)

    def _kernel(self, node: Node, subject: str) -> str | None:
        return None if node.is_null else self.checked(node, subject, _kernel_problem)

    def _optional_text(self, node: Node, subject: str) -> Text | None:
        return None if node.is_null else self._text(node, subject)

    def _language(self, node: Node, subject: str) -> str:
        code = self.text(node, f"a language in {subject}")
        if code and not _is_language(code):
            near = as_language(code) or as_language(code.strip()[:2])
            hint = f'Did you mean "{near}"?' if near else "For example: en, de, pt-BR."
            self.problem(node, f"{quoted(code)} in {subject} is not a language code like en or pt-BR", hint)
        return code

    def _languages(self, values: dict[str, Node], name: Text) -> tuple[str, ...]:
        if "languages" not in values:
            return tuple(name.by_language) or ("en",)
        node = values["languages"]
        return self.distinct(node, "languages", lambda item: self._language(item, "languages"))

    def _check_translations(self, languages: tuple[str, ...]) -> None:
        for node, text, subject in self._texts:
            missing = [code for code in languages if _is_language(code) and code not in text.by_language]
            if missing and any(map(_is_language, text.by_language)):
                codes = ", ".join(missing)
                self.problem(node, f"{subject} has no text for: {codes}", f"Add {missing[0]}: …")

    # --- sections and topics

    def _section(self, node: Node) -> Section:
        values = self.mapping(node, "a section", ("name", "topics"), ("name", "topics"))
        name = self._get(values, "name", lambda each, _: self._name_text(each, "the section name"), Text())
        topics = self.list(values["topics"], "topics", self._topic) if "topics" in values else ()
        for item, topic, _, first in _repeated(topics, values.get("topics"), "id"):
            fact = f"topic {quoted(topic.id)} is named twice in this section (first in line {first.line})"
            self.problem(item, fact, "Remove one.")
        return Section(name, topics, node.line, node.column)

    def _topic(self, node: Node) -> TopicRef:
        if node.kind == "scalar":
            return TopicRef(self._topic_id(node, "a topic"), line=node.line, column=node.column)
        values = self.mapping(node, "a topic", _TOPIC_KEYS, ("id",))
        inputs = self._get(values, "inputs", partial(self.list, read=self._input), ())
        is_published = self._get(values, "publish", self.boolean, True)
        return TopicRef(
            id=self._get(values, "id", self._topic_id, ""),
            html=self._get(values, "html", self.boolean, True),
            evaluate=self._get(values, "evaluate", self.boolean, None),
            jinja=self._get(values, "jinja", self.boolean, None),
            inputs=tuple(pattern for pattern, _ in inputs),
            kept_back=tuple(pattern for pattern, publish in inputs if not (publish and is_published)),
            dir_groups=self._get(values, "dir_groups", partial(self.list, read=self._dir_group), ()),
            line=node.line,
            column=node.column,
        )

    def _topic_id(self, node: Node, subject: str) -> str:
        return self.checked(node, "a topic" if subject == "id" else subject, _topic_id_problem)

    def _input(self, node: Node) -> tuple[str, bool]:
        """A pattern, and whether what it matches is published."""
        if node.kind != "mapping":
            return self.checked(node, "an input", path_problem), True
        values = self.mapping(node, "an input", ("path", "publish"), ("path",))
        pattern = self._get(values, "path", lambda each, _: self.checked(each, "an input", path_problem), "")
        return pattern, self._get(values, "publish", self.boolean, True)

    # --- variables, directory groups, targets

    def _variables(self, node: Node, subject: str) -> dict[str, Any]:
        if node.is_null:
            return {}
        if node.kind != "mapping":
            self.wrong_kind(node, subject, "a mapping (name: value)")
            return {}
        found = self.keys(node, subject)
        for name, (key, _) in found.items():
            if name in _RESERVED_VARIABLES:
                self.problem(key, f"the variable {name} is set by CLX", "Choose another name.")
            elif not (name.isascii() and name.isidentifier()):
                fact = f"{quoted(name)} cannot be the name of a variable"
                self.problem(key, fact, "Use letters, digits and _, a letter first.")
        return {name: self.value(value, subject) for name, (_, value) in found.items()}

    def _labels(self, node: Node, subject: str, languages: tuple[str, ...]) -> dict[str, dict[str, str]]:
        """Language → label → word."""
        found: dict[str, dict[str, str]] = {}
        if node.is_null:
            return found
        for code, named in self.mapping(node, subject, languages).items():
            words = self.mapping(named, f"{subject} ({code})", LABELS)
            found[code] = {name: self.checked(word, name, name_problem) for name, word in words.items()}
        return found

    def _theme(self, node: Node, subject: str) -> ThemeFiles:
        values = self.mapping(node, subject, ("css", "logo", "mode"))
        css = self._get(values, "css", partial(self.checked, problem_of=partial(_theme_problem, endings=(".css",))), "")
        logos = partial(_theme_problem, endings=tuple(LOGO_TYPES))
        logo = self._get(values, "logo", partial(self.checked, problem_of=logos), "")
        mode: Any = self._get(values, "mode", partial(self.choice, choices=MODES), "auto")
        return ThemeFiles(_normal(css) if css else "", _normal(logo) if logo else "", mode)

    def _dir_group(self, node: Node) -> DirGroup:
        values = self.mapping(node, "a directory group", _GROUP_KEYS, ("name", "path"))
        return DirGroup(
            name=self._get(values, "name", self._group_name, Text()),
            path=self._get(values, "path", self._path_below, ""),
            subdirs=self._get(values, "subdirs", self._subdirs, ()),
            include_root_files=self._get(values, "include_root_files", self.boolean, False),
            recursive=self._get(values, "recursive", self.boolean, True),
            line=node.line,
            column=node.column,
        )

    def _group_name(self, node: Node, _key: str) -> Text:
        # An empty name is a meaning here: the output directory itself.
        return self._text(node, "the name", lambda text: path_problem(text) if text else None)

    def _path_below(self, node: Node, subject: str) -> str:
        return _normal(self.checked(node, subject, path_problem))

    def _subdirs(self, node: Node, subject: str) -> tuple[str, ...]:
        return self.distinct(node, subject, lambda item: self._path_below(item, "a subdirectory"))

    def _targets(self, node: Node | None, languages: tuple[str, ...]) -> tuple[OutputTarget, ...]:
        if node is None:
            return ()
        targets = self.list(node, "output_targets", lambda item: self._target(item, languages), may_be_empty=False)
        for item, target, _, first in _repeated(targets, node, "name"):
            fact = f"two targets are called {quoted(target.name)} (first in line {first.line})"
            self.problem(item, fact, "Rename one.")
        for item, target, earlier, _ in _repeated(targets, node, "path"):
            fact = f'the targets "{earlier.name}" and "{target.name}" have one path: {target.path}'
            self.problem(item, fact, "Give each target a directory of its own.")
        return targets

    def _target(self, node: Node, languages: tuple[str, ...]) -> OutputTarget:
        values = self.mapping(node, "an output target", _TARGET_KEYS, ("name", "path"))

        def chosen(key: str, choices: tuple[str, ...], usual: tuple[str, ...] | None = None) -> tuple[str, ...]:
            # Without any choice something else is wrong already, and has been noted.
            if key not in values or not choices:
                return usual or choices
            named = self.distinct(values[key], key, lambda item: self.choice(item, key, choices))
            return tuple(choice for choice in choices if choice in named)

        return OutputTarget(
            name=self._get(values, "name", lambda each, _: self.checked(each, "the target name", name_problem), ""),
            path=self._get(values, "path", self._path_below, ""),
            kinds=chosen("kinds", KINDS),
            formats=chosen("formats", FORMATS, DEFAULT_FORMATS),
            languages=chosen("languages", languages),
        )


def _repeated(entries: tuple[T, ...], node: Node | None, attribute: str) -> Iterator[tuple[Node, T, T, Node]]:
    """Each entry of a list that says the same as an earlier one, with its node; behind it the earlier one, with its."""
    first: dict[str, tuple[T, Node]] = {}
    for entry, item in zip(entries, node.items if node is not None and entries else (), strict=True):
        said = getattr(entry, attribute)
        earlier = first.setdefault(said, (entry, item))
        if earlier[0] is not entry and said:
            yield item, entry, *earlier


def _is_language(code: str) -> bool:
    return LANGUAGE.fullmatch(code) is not None


def _kernel_problem(name: str) -> str | None:
    return None if _KERNEL.fullmatch(name) else "is no name of a Jupyter kernel; see: jupyter kernelspec list"


def _topic_id_problem(text: str) -> str | None:
    if fact := path_problem(text):
        return fact
    parts = text.split("/")
    if len(parts) > 2 or any(part in ("", ".") for part in parts):
        return 'is neither "id" nor "directory/id"'
    return None


def _theme_problem(text: str, endings: tuple[str, ...]) -> str | None:
    if fact := path_problem(text):
        return fact
    return None if text.lower().endswith(endings) else f"does not end in {' or '.join(endings)}"


def _normal(path: str) -> str:
    return "/".join(part for part in path.split("/") if part not in ("", ".")) or "."
