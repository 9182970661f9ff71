"""What the commands of ``clx routines`` share: modules, arguments, the routines they name."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clx.cli import completing
from clx.cli.project import Here
from clx.errors import UsageError
from clx.settings.problems import shortened

if TYPE_CHECKING:
    from clx.db.database import Database
    from clx.routines.routine import Call, Routine

F = TypeVar("F", bound=Callable[..., Any])
Given = tuple[dict[str, str], dict[str, Any]]
"""Arguments from the command line: texts, and values that JSON says."""
_OBJECT = """Write '{"name": value}'."""


def module_option(command: F) -> F:
    """``-m``: modules besides those of the settings."""
    return click.option(
        "-m", "--module", "modules", multiple=True, metavar="MODULE",
        help="A module with routines, besides those of python.modules. Repeatable.",
    )(command)  # fmt: skip


name_argument = click.argument("name", metavar="NAME", shell_complete=completing.routine_names)


def parameter_options(command: F) -> F:
    """``--param`` and ``--param-json``; the command gets what they say as ``given``: texts, and values."""

    @wraps(command)
    def run(*arguments: Any, params: tuple[str, ...], param_json: str | None, **options: Any) -> Any:
        return command(*arguments, given=(texts(params), values(param_json)), **options)

    one = click.option(
        "--param", "-p", "params", multiple=True, metavar="NAME=VALUE",
        help="An argument, read by the type that its parameter has. Repeatable.",
    )  # fmt: skip
    all_ = click.option(
        "--param-json", "--args", metavar="JSON", help="Arguments as a JSON object; @FILE reads them from there."
    )
    return one(all_(run))  # type: ignore[return-value]


def texts(params: tuple[str, ...]) -> dict[str, str]:
    """What ``--param NAME=VALUE`` says, by name."""
    found: dict[str, str] = {}
    for each in params:
        name, equals, text = each.partition("=")
        if not equals or not name:
            raise UsageError(f"--param {shortened(each)} gives no value.", "Write --param NAME=VALUE.")
        if name in found:
            raise UsageError(f"{shortened(name)} is given twice.", "Give each argument once.")
        found[name] = text
    return found


def values(text: str | None) -> dict[str, Any]:
    """What ``--param-json`` says: a JSON object, or a file with one."""
    from clx.regular import read_regular

    if text is None:
        return {}
    try:
        found = json.loads(read_regular(Path(text[1:])) if text.startswith("@") else text)
    except OSError as error:
        raise UsageError(f"{text[1:]} cannot be read: {error.strerror}.", "Name a file with a JSON object.") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The arguments are no JSON: {shortened(str(error))}.", _OBJECT) from error
    if not isinstance(found, dict):
        raise UsageError("The arguments are no JSON object.", _OBJECT)
    return found


def loaded(here: Here, modules: tuple[str, ...], *, require: bool = True) -> dict[str, Routine[..., Any]]:
    """The routines of the modules that the settings and the command line name.

    Raises:
        UsageError: none is named, or one cannot be imported.
    """
    from clx.routines.registry import load

    python = here.resolved.settings.python
    wanted = tuple(dict.fromkeys((*python.modules, *modules)))
    if not wanted:
        if not require:
            return {}
        raise UsageError(
            "No module with routines is named.",
            "Type `clx routines … -m MODULE`, or set it: clx config set python.modules MODULE",
        )
    with result_alone():
        return load(wanted, [Path.cwd(), *python.path])


@contextlib.contextmanager
def result_alone() -> Iterator[None]:
    """What modules and routines print goes to standard error meanwhile, whatever prints it."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def routine_called(name: str, routines: Mapping[str, Routine[..., Any]]) -> Routine[..., Any]:
    """The routine that *name* means."""
    from clx.routines.registry import find

    return routines[find(name, routines)]


def made(routine: Routine[..., Any], given: Given) -> Call[Any]:
    """The call that the command line tells of; one name that is given in both ways is refused."""
    from clx.routines.asking import call_from

    texts, values = given
    if both := texts.keys() & values.keys():
        raise UsageError(f"{shortened(min(both))} is given twice.", "Give each argument once.")
    return call_from(routine, texts, values)


def files_of(here: Here, database: Database) -> Any:
    """Where large values are."""
    from clx.remote.stores import open_store

    return open_store(database.state.shared / "artifacts", here.resolved.settings.artifacts)
