"""One layer of settings at a time: a file, the environment, the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clx.errors import SettingsError
from clx.settings.keys import InvalidValueError, all_keys
from clx.settings.origin import OptionValue, Origin, Value
from clx.settings.problems import PROBLEM_LIMIT, Problem, closest, shortened

if TYPE_CHECKING:
    from clx.settings.toml_file import TomlFile

Layer = dict[str, Value]


def file_layer(
    kind: Literal["system", "user", "project"], path: Path, problems: list[Problem], text: str | None = None
) -> Layer:
    """What a settings file sets; empty when there is none. What is wrong in it joins *problems*.

    Args:
        text: what the file would hold; None: what it holds.

    Raises:
        UntrustedError: it is somebody else's, or others may write it.
    """
    if text is None and not os.path.lexists(path):
        return {}
    from clx.settings.owners import require_own
    from clx.settings.toml_file import read_toml

    for each in (path.parent, path) if kind == "project" else (path,):
        require_own(each)
    try:
        document = read_toml(path, text)
    except SettingsError as error:
        where, _, fact = error.fact.partition(": ")
        problems.append(Problem(where, fact, error.next_step))
        return {}
    base = path.parent.parent if kind == "project" else path.parent
    found: Layer = {}
    for parts, value in _leaves(document.values, (), document, problems):
        where = document.where(parts)
        checked = _checked(".".join(parts), value, Origin(kind, where, base), problems)
        found.update(checked)
    return found


def environment_layer(environ: Mapping[str, str], problems: list[Problem]) -> Layer:
    """What variables set.

    ``CLX_`` variables with ``__`` after a section are settings and are checked; others are left alone.
    An empty variable counts as not set, as with most tools.
    """
    known = {key.variable: name for name, key in all_keys().items()}
    found: Layer = {}
    for variable in sorted(name for name in environ if name.startswith("CLX_")):
        section, separator, _ = variable.removeprefix("CLX_").partition("__")
        if not (section and separator):
            continue
        if variable not in known:
            problems.append(Problem(shortened(variable), "is not a setting", _variable_hint(variable, known)))
        elif environ[variable].strip():
            origin = Origin("environment", variable)
            found.update(_checked(known[variable], environ[variable].strip(), origin, problems))
    return found


def option_layer(options: Mapping[str, OptionValue], problems: list[Problem]) -> Layer:
    """What was given on the command line."""
    found: Layer = {}
    for name, (value, option) in options.items():
        if value is not None:
            found.update(_checked(name, value, Origin("option", option), problems))
    return found


def _checked(name: str, value: object, origin: Origin, problems: list[Problem]) -> Layer:
    text_layer = origin.kind in ("environment", "option")
    key = all_keys()[name]
    if key.reach == "own" and origin.kind == "project":  # whoever made what it allows could have written it
        hint = f"Remove it there; if you trust what is there, type: clx config set --user {name} …"
        problems.append(Problem(origin.where, f"{name} cannot be set by a project", hint))
        return {}
    try:
        return {name: Value(key.check(value, text=text_layer), origin)}
    except InvalidValueError as error:
        subject = "" if text_layer else f"{name}: "
        problems.append(Problem(origin.where, subject + error.fact, error.next_step))
        return {}


def _leaves(
    table: Mapping[str, Any], prefix: tuple[str, ...], document: TomlFile, problems: list[Problem]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every known setting in a table; everything else becomes a problem."""
    for name, value in table.items():
        parts = (*prefix, name)
        dotted = ".".join(parts)
        if dotted in all_keys() and "." not in name:
            yield parts, value
        elif not _is_section(dotted) or "." in name:
            # Beyond the limit problems are only counted, and looking for what was meant takes time.
            hint = _hint(prefix, name) if len(problems) < PROBLEM_LIMIT else ""
            problems.append(Problem(document.where(parts), f"{shortened(dotted)} is not a setting", hint))
        elif isinstance(value, dict):
            yield from _leaves(value, parts, document, problems)
        else:
            fact = f"{dotted} is a section, not a value"
            problems.append(Problem(document.where(parts), fact, f"Write its settings under [{dotted}]."))


def _is_section(dotted: str) -> bool:
    return any(name.startswith(f"{dotted}.") for name in all_keys())


def _hint(prefix: tuple[str, ...], name: str) -> str:
    """What an unknown name was meant to be: a neighbour, or a setting of that name elsewhere."""
    depth = len(prefix)
    split = [tuple(key.split(".")) for key in all_keys()]
    here = list(dict.fromkeys(key[depth] for key in split if key[:depth] == prefix and len(key) > depth))
    near = closest(name, here)
    if near:
        return f'Did you mean "{".".join((*prefix, near))}"?'
    elsewhere = [".".join(key) for key in split if key[-1] == name]
    if elsewhere:
        return f'Did you mean "{elsewhere[0]}"?'
    return f"Possible here: {', '.join(here)}."


def _variable_hint(variable: str, known: Mapping[str, str]) -> str:
    """What an unknown variable was meant to be: one of its own section, or of the one its section is a slip of."""
    sections = {key.removeprefix("CLX_").partition("__")[0] for key in known}
    section, _, rest = variable.removeprefix("CLX_").partition("__")
    meant = closest(section, sections)
    if meant is None:
        return f"Sections are {', '.join(sorted(sections))}; `clx config show` lists every setting."
    prefix = f"CLX_{meant}__"
    near = closest(rest, [key.removeprefix(prefix) for key in known if key.startswith(prefix)])
    return f'Did you mean "{prefix}{near}"?' if near else f"`clx config show {meant.lower()}` lists its settings."
