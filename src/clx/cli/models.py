"""``clx models add|list|show|load|unload|warm|remove``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import about_database, verbose_option
from clx.cli.output import Output, format_option, table
from clx.cli.project import Here, open_or_make
from clx.errors import UsageError
from clx.settings.problems import shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.db.serving.models import ModelRow, Residence

_name = click.argument("name", metavar="NAME")
_STANDS = {"unloaded": "not served", "loaded": "served", "warm": "served, never given up"}


@click.group("models")
def command() -> None:
    """Models that `clx serve` serves: add, list, load, unload and remove them.

    They lie in the job table and the artifact store of the project. A server that runs heeds every change at once.

    \b
    Examples:
      clx models add digits model.onnx
      clx models add digits better.onnx --timeout 20000
      clx models list
      clx models load digits --version 1
      clx models remove digits
    """


@command.command("add")
@_name
@click.argument("source", metavar="FILE|MODULE:CALLABLE")
@click.option("--version", metavar="N", help="A whole number. [default: the next one]")
@click.option("--max-batch", type=click.IntRange(1, 1 << 16), metavar="N", help="Rows of its largest batch; 1: none.")
@click.option("--timeout", type=click.IntRange(0), metavar="µS", help="Of a request that says nothing. [default: none]")
@click.option("--warm", "is_warm", is_flag=True, help="Never give it up for the memory of others.")
@about_database
@format_option
@verbose_option()
def add(here: Here, name: str, source: str, version: str | None, **options: Any) -> Output:
    """Keep a model, and have it served in place of its version before.

    A file is of ONNX, and is copied into the artifact store. MODULE:CALLABLE is Python that workers import, if
    the setting `serving.modules` names the module.

    \b
    Examples:
      clx models add digits model.onnx
      clx models add digits better.onnx --version 7 --timeout 20000
      clx models add shout shop.models:shout
    """
    from clx.db.serving.models import NewModel, check_new
    from clx.db.serving.table import ServingTable
    from clx.remote.stores import open_store

    residence: Residence = "warm" if options["is_warm"] else "loaded"
    new = NewModel(
        name,
        version=version or "",
        largest=options["max_batch"] or 0,
        default_timeout=options["timeout"] or 0,
        residence=residence,
    )
    check_new(new)
    module, colon, _ = source.partition(":")
    is_code = bool(colon) and not Path(source).exists() and all(map(str.isidentifier, module.split(".")))
    if is_code:
        _require_allowed(here, module)
    else:
        _require_model(Path(source))
    with open_or_make(here.resolved, here.path) as database:
        if is_code:
            new = new._replace(callable=source)
        else:
            store = open_store(database.state.shared / "artifacts", here.resolved.settings.artifacts)
            digest, size = store.put_file(Path(source))
            store.share([digest])
            new = new._replace(digest=digest, size=size)
        kept = ServingTable(database).add(new)
    return Output(
        {"name": name, "version": kept, "digest": new.digest, "size": new.size, "callable": new.callable},
        [f"Model {name}, version {kept}, was added."],
    )


def _require_allowed(here: Here, module: str) -> None:
    allowed = here.resolved.settings.serving.modules
    if module not in allowed:
        raise UsageError(
            f"Workers may not import {shortened(module)}.",
            f"Allow it: set serving.modules to {[*allowed, module]}".replace("'", '"'),
        )


def _require_model(path: Path) -> None:
    """See that a file is a model, where there is what can tell."""
    if not path.is_file():
        raise UsageError(f"There is no file {visible_line(str(path))}.", "Name a file of ONNX, or MODULE:CALLABLE.")
    from clx.serving.onnx_parts import other_files_of

    elsewhere = other_files_of(path)
    if elsewhere:
        raise UsageError(
            f"{visible_line(str(path))} has its weights in other files: {visible_line(', '.join(elsewhere))}",
            "Save it as one: onnx.save(model, path, save_as_external_data=False); "
            f"or serve it where it lies: clx serve --model NAME={visible_line(str(path))}",
        )
    if find_spec("onnxruntime") is None or find_spec("numpy") is None:
        return
    from clx.serving.worker.models import ModelError
    from clx.serving.worker.onnx import OnnxModel

    try:
        OnnxModel(str(path))
    except ModelError as error:
        raise UsageError(
            f"{visible_line(str(path))} cannot be served: {visible_line(str(error))}", "Export it to ONNX anew."
        ) from None


@command.command("list")
@about_database
@format_option
@verbose_option()
def list_them(here: Here) -> Output:
    """Every model: its version, and how it stands.

    How it is to stand, and how it stood when a server last said so.

    \b
    Examples:
      clx models list
      clx models list --format json
    """
    from clx.db.serving.table import ServingTable

    database = here.look()
    if database is None:
        return Output({"models": []}, [here.nobody])
    with database:
        found = ServingTable(database).versions()
    rows = [
        (
            each.name,
            each.version,
            _STANDS.get(each.residence, each.residence),
            _state(each),
            size(each.grown if each.state == "ready" else 0),
            _source(each),
        )
        for each in found
        if each.chosen
    ]
    nothing = "No models are kept. Type: clx models add NAME model.onnx"
    words = table(("NAME", "VERSION", "WANTED", "STATE", "MEMORY", "FROM"), rows) if rows else nothing
    return Output({"models": [_document(each) for each in found]}, [words])


@command.command("show")
@_name
@about_database
@format_option
@verbose_option()
def show(here: Here, name: str) -> Output:
    """A model with all its versions.

    \b
    Examples:
      clx models show digits
      clx models show digits --format json
    """
    from clx.db.serving.table import ServingTable

    database = here.look()
    if database is None:
        raise here.unknown(f"model {shortened(name)}")
    with database:
        found = ServingTable(database).versions(name)
    if not found:
        raise here.unknown(f"model {shortened(name)}", "clx models list")
    rows = [
        (
            each.version,
            "yes" if each.chosen else "–",
            _state(each) if each.chosen else "–",
            str(each.largest or "as it says"),
            f"{each.default_timeout} µs" if each.default_timeout else "none",
            size(each.grown),
            _source(each),
        )
        for each in found
    ]
    headings = ("VERSION", "SERVED", "STATE", "LARGEST BATCH", "TIMEOUT", "MEMORY", "FROM")
    return Output({"name": name, "versions": [_document(each) for each in found]}, [table(headings, rows)])


@command.command("load")
@_name
@click.option("--version", metavar="N", help="This one in place of the one that is served.")
@about_database
@format_option
@verbose_option()
def load(here: Here, name: str, version: str | None) -> Output:
    """Have a model served, or another version of it.

    \b
    Examples:
      clx models load digits
      clx models load digits --version 1
    """
    return _stand(here, name, "loaded", version)


@command.command("warm")
@_name
@about_database
@format_option
@verbose_option()
def warm(here: Here, name: str) -> Output:
    """Have a model served, and never given up for the memory of others.

    \b
    Examples:
      clx models warm digits
    """
    return _stand(here, name, "warm")


@command.command("unload")
@_name
@about_database
@format_option
@verbose_option()
def unload(here: Here, name: str) -> Output:
    """Serve a model no longer; it is kept.

    \b
    Examples:
      clx models unload digits
    """
    return _stand(here, name, "unloaded")


@command.command("remove")
@_name
@click.option("--version", metavar="N", help="This version only.")
@about_database
@format_option
@verbose_option()
def remove(here: Here, name: str, version: str | None) -> Output:
    """Forget a model with all its versions, or one of them.

    `clx db prune` removes its bytes later.

    \b
    Examples:
      clx models remove digits
      clx models remove digits --version 1
    """
    from clx.db.serving.table import ServingTable

    database = here.change()
    if database is None:
        raise here.unknown(f"model {shortened(name)}")
    with database:
        gone = ServingTable(database).remove(name, version)
    return Output({"name": name, "removed": gone}, [f"Model {name}: {len(gone)} version(s) removed."])


def _stand(here: Here, name: str, residence: Residence, version: str | None = None) -> Output:
    from clx.db.serving.table import ServingTable

    database = here.change()
    if database is None:
        raise here.unknown(f"model {shortened(name)}")
    with database:
        table_ = ServingTable(database)
        if version is not None:
            table_.choose(name, version)
        table_.reside(name, residence)
        row = next(each for each in table_.versions(name) if each.chosen)
    return Output(_document(row), [f"Model {name}, version {row.version}: {_STANDS[residence]}."])


def _document(row: ModelRow) -> dict[str, Any]:
    return {
        **row._asdict(),
        "chosen": bool(row.chosen),
        "stands": stands(row),
        "created_at": row.created_at / 1000,
    }


def stands(row: ModelRow) -> str:
    """The state of a model; ``cold`` besides those of the table."""
    return "cold" if row.state == "unloaded" and row.reason else row.state


def _state(row: ModelRow) -> str:
    if stands(row) == "cold":
        return row.reason
    return f"{row.state}: {row.reason}" if row.reason else row.state


def _source(row: ModelRow) -> str:
    return row.callable or f"{row.digest[:12]} ({size(row.size)})"


def size(count: int) -> str:
    """Bytes as a person says them; a dash for none."""
    if not count:
        return "–"
    return f"{count / 2**20:.1f} MiB" if count >= 1 << 20 else f"{count / 1024:.1f} KiB"
