"""One place where the layers of settings are put together, each value with where it came from.

Lowest to highest: defaults, system file, user file, project file, environment, command line. Layers
are merged key by key. ``workers.default_execution_mode`` and ``workers.default_worker_count`` are
*defaults* wherever they are written: a value for one worker type, from any file or variable, beats
them (REQ-2.1, REQ-2.3). On the command line ``--workers`` and ``--worker-count`` are orders: they beat
everything but ``--<type>-workers`` (REQ-2.4).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

from clx.errors import SettingsError, ToolMissingError, UntrustedError
from clx.settings.job_types import SECTIONS
from clx.settings.keys import all_keys
from clx.settings.layers import environment_layer, file_layer, option_layer
from clx.settings.origin import OptionValue, Origin, Origins, Value
from clx.settings.problems import Problem, raise_problems
from clx.settings.project import project_file
from clx.settings.reach import TOOLS, digest_of, reached_by, settings_file_of, untrusted
from clx.settings.schema import ROUTINE_WORKERS, ROUTINES_IN, Settings
from clx.settings.secret import URL
from clx.settings.section import ExecutionMode

DEFAULT_ORIGIN = Origin("default", "default")
_TOOLS = tuple(key for keys in TOOLS.values() for key in keys if all_keys()[key].reach == "program")
"""Settings that name a tool: a bare name is looked up on the path, everything else is a path."""


class SettingsFile(NamedTuple):
    """A place where settings may be written; the file need not exist."""

    kind: Literal["system", "user", "project"]
    path: Path


class EffectiveWorker(msgspec.Struct, frozen=True):
    """How workers of one type are to be run, after all layers."""

    type: str
    mode: ExecutionMode
    count: int
    """0 means none of this type."""
    image: str | None
    """Always set in docker mode with a count above 0; may be ``None`` otherwise."""
    mode_origin: Origin
    count_origin: Origin
    image_origin: Origin


class Resolved(Origins):
    """All settings, each with its origin.

    Args:
        values: what holds, by dotted key.
        own: what holds without the project's settings, the environment and the command line.

    Attributes:
        settings: as everything uses them: paths of tools are absolute, for workers are run elsewhere.
    """

    def __init__(self, values: Mapping[str, Value], own: Mapping[str, Value]) -> None:
        super().__init__(values)
        self._own = own
        self._untrusted: dict[str, Problem] | None = None
        tools = {key: values[key] for key in _TOOLS if os.sep in (values[key].value or "")}
        absolute = {key: Value(str(self.path(key)), value.origin) for key, value in tools.items()}
        absolute["python.path"] = Value(self.module_path(), values["python.path"].origin)
        # workers are handed the settings on their command line, where everybody may read them
        hidden = {URL: Value(None, values[URL].origin)}
        self.settings: Settings = msgspec.convert(_nested({**values, **absolute, **hidden}), Settings)

    def path(self, key: str) -> Path | None:
        """A setting that is a path, as an absolute path; ``None`` when it is unset.

        ``~`` is the user's home. A relative path in a project file is relative to the directory that
        holds ``.clx``, in any other file to that file's directory, elsewhere to the current directory.
        """
        value, origin = self._values[key]
        if value is None:
            return None
        home = os.path.expanduser(value)  # noqa: PTH111 (pathlib's raises where there is no such user)
        return Path(os.path.normpath((origin.base or Path.cwd()) / home))

    def module_path(self) -> tuple[str, ...]:
        """Where the modules of ``python.modules`` are looked for first, as absolute paths."""
        value, origin = self._values["python.path"]
        modules, _ = self._values["python.modules"]
        if not modules:
            return tuple(value)
        if not value:  # the directory of whoever names the modules
            value, origin = (".",), self._values["python.modules"].origin
        base = origin.base or Path.cwd()
        return tuple(os.path.normpath(base / os.path.expanduser(each)) for each in value)  # noqa: PTH111

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Errors about a tool that a setting names say where the setting is written."""
        try:
            yield
        except ToolMissingError as error:
            if not error.settings:
                raise
            places = ", ".join(dict.fromkeys(str(self.origin(key)) for key in error.settings))
            raise ToolMissingError(error.fact, f"{error.next_step} It is set in {places}.") from error

    def database(self) -> Path | None:
        """The job table that the settings name, as an absolute path; ``None`` when they name none.

        Raises:
            UntrustedError: the project's settings name one outside of the project, and this user has not trusted it.
        """
        self._require("database.path")
        return self.path("database.path")

    def database_url(self) -> str | None:
        """The URL of the database that the settings name, with its password; ``None`` when they name a file, or none.

        Raises:
            UntrustedError: the project's settings name it, and this user has not trusted it.
        """
        path, url = self._values["database.path"], self._values[URL]
        if url.value is None or (path.value is not None and _rank(path) > _rank(url)):
            return None
        self._require(URL)
        return str(url.value)

    def work_url(self) -> str | None:
        """The URL of what keeps works, as the settings name it, with its password; ``None`` when they name none.

        Raises:
            UntrustedError: the project's settings name it, and this user has not trusted it.
        """
        self._require("work.url")
        url = self._values["work.url"].value
        return None if url is None else str(url)

    def untrusted(self) -> Mapping[str, Problem]:
        """What the project's settings reach and may not before it is trusted: dotted key → what to type."""
        if self._untrusted is None:
            self._untrusted = untrusted(self._values, self._own, self.path)
        return self._untrusted

    def digest(self, key: str) -> tuple[Path, str]:
        """The project's settings file that a setting is written in, and the digest of what it reaches."""
        value = self._values[key]
        return settings_file_of(value), digest_of(key, value, self.path)

    def reached_by(self, type_: str) -> tuple[str, ...]:
        """The settings, as dotted keys, whose reach workers of *type_* have in their mode, and the one that says it."""
        mode, mode_key = self._either(f"workers.{type_}.execution_mode", "workers.default_execution_mode")
        return (*reached_by(type_, mode.value), mode_key)

    def require_trusted(self, type_: str, *, mode: ExecutionMode | None = None) -> None:
        """See that workers of *type_* may be started.

        Args:
            mode: as if they ran in this mode; default: as they are to.

        Raises:
            UntrustedError: the project's settings let them reach something that this user has not trusted.
        """
        self._require(*(reached_by(type_, mode) if mode else self.reached_by(type_)))

    def _require(self, *keys: str) -> None:
        found = [self.untrusted()[key] for key in keys if key in self.untrusted()]
        raise_problems(found, UntrustedError, "the settings")

    def served_types(self) -> tuple[str, ...]:
        """The job types that services have workers of: all but those on demand that nothing is set for."""
        return tuple(type_ for type_, section in SECTIONS.items() if not section.on_demand or self._is_set(type_))

    def _is_set(self, type_: str) -> bool:
        own = f"workers.{type_}."
        return any(value is not None for key, (value, _) in self._values.items() if key.startswith(own))

    def worker(self, type_: str) -> EffectiveWorker:
        """How workers of *type_* are to be run.

        Raises:
            SettingsError: docker mode was set in a file or a variable and no image is named (REQ-2.2).
        """
        worker, problem = self._worker(type_)
        raise_problems([problem] if problem else [], SettingsError, "the settings")
        return worker

    def routine_workers(self) -> tuple[str, ...]:
        """The types of workers for tasks and workflows that services have: none where no modules are named."""
        return ROUTINE_WORKERS if self.settings.python.modules else ()

    def workers(self) -> dict[str, EffectiveWorker]:
        """The settings of every type that services have, checked together: the error names all that is wrong."""
        raise_problems(self.worker_problems(), SettingsError, "the settings")
        return {type_: self._worker(type_)[0] for type_ in (*self.served_types(), *self.routine_workers())}

    def worker_problems(self) -> list[Problem]:
        """What is wrong with how the workers of each type that services have are to be run."""
        types = (*self.served_types(), *self.routine_workers())
        return [problem for type_ in types if (problem := self._worker(type_)[1])]

    def _worker(self, type_: str) -> tuple[EffectiveWorker, Problem | None]:
        own = f"workers.{type_}"
        mode, mode_key = self._either(f"{own}.execution_mode", "workers.default_execution_mode")
        count, count_key = self._either(f"{own}.count", "workers.default_worker_count")
        if type_ in ROUTINE_WORKERS and count_key != f"{own}.count" and count.origin.kind != "option":
            count = Value(1 if type_ == "workflow" else os.cpu_count() or 1, DEFAULT_ORIGIN)
        image = self._values[f"{own}.image"]
        problem = None
        if mode.value == "docker" and image.value is None and count.value > 0:
            if mode.origin.kind == "option":
                image = _own_image(type_)
            else:
                problem = _image_missing(type_, mode_key, mode.origin)
        worker = EffectiveWorker(type_, mode.value, count.value, image.value, mode.origin, count.origin, image.origin)
        return worker, problem

    def _either(self, own_key: str, general_key: str) -> tuple[Value, str]:
        own, general = self._values[own_key], self._values[general_key]
        ordered = general.origin.kind == "option" and own.origin.kind != "option"
        return (general, general_key) if own.value is None or ordered else (own, own_key)


def resolve(
    start: Path | None = None,
    *,
    options: Mapping[str, OptionValue] | None = None,
    environ: Mapping[str, str] | None = None,
    files: Sequence[SettingsFile] | None = None,
) -> Resolved:
    """Put all layers together.

    Args:
        start: the file or directory from which the project file is looked for upwards; default: the
            current directory.
        options: dotted key → value as given on the command line; a value of ``None`` was not given.
            Only what was really typed: a value that comes from the option's variable or default
            belongs to a lower layer.
        environ: variables to read; default ``os.environ``.
        files: read exactly these, lowest first, instead of :func:`settings_files`.

    Raises:
        SettingsError: something is unknown, malformed or of the wrong type; names every such place.
        UntrustedError: a settings file is somebody else's, or others may write it.
    """
    resolved, problems = _gathered(settings_files(start) if files is None else files, options, environ)
    raise_problems(problems, SettingsError, "the settings")
    return resolved


def problems_of(files: Sequence[SettingsFile], texts: Mapping[Path, str]) -> list[Problem]:
    """Everything that is wrong with the settings if these are the files, each worker type's too.

    Args:
        texts: files that would hold something else than they do.

    Raises:
        UntrustedError: a settings file is somebody else's, or others may write it.
    """
    resolved, problems = _gathered(files, None, None, texts)
    return [*problems, *resolved.worker_problems()]


def _gathered(
    files: Sequence[SettingsFile],
    options: Mapping[str, OptionValue] | None,
    environ: Mapping[str, str] | None,
    texts: Mapping[Path, str] = MappingProxyType({}),
) -> tuple[Resolved, list[Problem]]:
    """What is sound of all layers put together, and what is not."""
    problems: list[Problem] = []
    values = {name: Value(key.default, DEFAULT_ORIGIN) for name, key in all_keys().items()}
    own = dict(values)
    for kind, path in files:
        found = file_layer(kind, path, problems, texts.get(path))
        values.update(found)
        if kind != "project":
            own.update(found)
    values.update(environment_layer(os.environ if environ is None else environ, problems))
    values.update(option_layer(options or {}, problems))
    return Resolved(values, own), problems or _conflicts(values)


def settings_files(start: Path | None = None) -> tuple[SettingsFile, ...]:
    """The files that :func:`resolve` reads, lowest first; the project's only where one exists."""
    import platformdirs

    system = SettingsFile("system", platformdirs.site_config_path("clx", appauthor=False) / "config.toml")
    user = SettingsFile("user", platformdirs.user_config_path("clx", appauthor=False) / "config.toml")
    try:
        # normalised, so that no directory which ".." leaves again is searched
        project = project_file(Path(os.path.abspath(start or Path())))  # noqa: PTH100
    except FileNotFoundError:
        raise SettingsError("the current directory is gone", "Change to one that exists.") from None
    return (system, user, SettingsFile("project", project)) if project else (system, user)


def _rank(value: Value) -> int:
    """Of two values which one is said in a higher layer."""
    return ("default", "system", "user", "project", "environment", "option").index(value.origin.kind)


def _nested(values: Mapping[str, Value]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, (value, _) in values.items():
        *sections, name = key.split(".")
        table = tree
        for section in sections:
            table = table.setdefault(section, {})
        table[name] = value
    return tree


def _conflicts(values: Mapping[str, Value]) -> list[Problem]:
    heartbeat, lease = values["jobs.heartbeat"], values["jobs.lease"]
    if heartbeat.value * 2 <= lease.value:
        return []
    changed = heartbeat if heartbeat.origin.kind != "default" else lease
    fact = f"jobs.heartbeat ({heartbeat.value:g} s) is more than half of jobs.lease ({lease.value:g} s)"
    return [Problem(changed.origin.where, fact, "Lower jobs.heartbeat or raise jobs.lease.")]


def _own_image(type_: str) -> Value:
    from clx import __version__

    type_ = ROUTINES_IN if type_ in ROUTINE_WORKERS else type_
    return Value(f"clx-{type_}:{__version__}", Origin("default", "default image of this version"))


def _image_missing(type_: str, mode_key: str, origin: Origin) -> Problem:
    fact = f'{mode_key} = "docker", but workers.{type_}.image is not set: {type_} workers need an image'
    return Problem(
        origin.where,
        fact,
        f'Set image under [workers.{type_}], or execution_mode = "direct", or count = 0.',
    )
