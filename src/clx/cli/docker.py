"""``clx docker build|list|check``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from clx.cli.options import database_option, verbose_option
from clx.cli.output import Output, format_option
from clx.cli.project import Here
from clx.cli.terminal import echo
from clx.errors import DatabaseError
from clx.jobtypes.registry import JOB_TYPES

_TYPES = tuple(JOB_TYPES)


@click.group("docker")
def command() -> None:
    """Container images for workers: build them, list them, see whether containers can work here.

    \b
    Examples:
      clx docker build                                     all three worker images
      clx docker build notebook --requirements course.txt  with the packages your cells import
      clx docker check course.yaml
      clx build course.yaml --workers docker
    """


@command.command("build")
@click.argument("types", nargs=-1, type=click.Choice(_TYPES))
@click.option("--base-image", default=None, help="Build on this image. [default: python:3.12-slim-bookworm]")
@click.option(
    "--requirements",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A requirements file with the packages that cells import (notebook image).",
)
@click.option("--wheel", type=click.Path(dir_okay=False, path_type=Path), help="Install this wheel of CLX.")
@click.option("--fetch", is_flag=True, help="Fetch packages here, not inside the build: for engines without a network.")
@click.option("--force", is_flag=True, help="Build even when the same image is there.")
@verbose_option(logs=False)
def build_images(
    types: tuple[str, ...],
    base_image: str | None,
    requirements: Path | None,
    wheel: Path | None,
    fetch: bool,
    force: bool,
) -> None:
    """Build the worker images of this version of CLX.

    Each holds CLX with what one worker type needs, in the versions of this environment.

    \b
    Examples:
      clx docker build
      clx docker build plantuml drawio --base-image my-base:1 --fetch
    """
    from clx.workers.executors.docker.build import DEFAULT_BASE, Recipe, build, default_tag, make_wheel, scratch

    with scratch() as folder:
        wheel = wheel or make_wheel(folder)
        for type_ in types or _TYPES:
            asked = requirements if type_ == "notebook" else None
            recipe = Recipe(type_, default_tag(type_), wheel, base_image or DEFAULT_BASE, asked, fetch)
            build(recipe, echo, force=force)


@command.command("list")
@format_option
@verbose_option(logs=False)
def list_images() -> Output:
    """Which image each worker type would run in, and whether it is there.

    \b
    Examples:
      clx docker list
    """
    from contextlib import closing

    from clx.workers.executors.docker.engine import connect

    resolved = Here().resolved
    with closing(connect()) as client:
        rows = [_row(client, type_, resolved) for type_ in _TYPES]
    return Output({"images": rows}, map(_line, rows))


def _line(row: dict[str, Any]) -> str:
    state = f"CLX {row['version']}, {row['size'] >> 20} MiB, {row['id'][7:19]}" if row["id"] else "not there"
    return f"{row['type']:<9} {row['image']:<32} {row['problem'] or state}"


def _row(client: Any, type_: str, resolved: Any) -> dict[str, Any]:
    from clx.workers.executors.docker.build import default_tag
    from clx.workers.executors.docker.images import find, misfit

    name = resolved.settings.workers.of(type_).image or default_tag(type_)
    found = find(client, name)
    wrong = misfit(found, type_) if found else None
    return {
        "type": type_,
        "image": name,
        "id": found.id if found else None,
        "version": found.version if found else None,
        "size": found.size if found else None,
        "problem": wrong.fact if wrong else None,
    }


@command.command("check")
@click.argument("course", type=click.Path(path_type=Path), required=False)
@database_option
@format_option
@verbose_option(logs=False)
def check_containers(course: Path | None, db_path: Path | None) -> Output:
    """See that containers can work here.

    Looked at are the engine, the images, their versions, and the database as it is seen from inside. With COURSE only
    the images that it needs are looked at, and its own database. Where containers have used no database yet, the
    check is made with one beside where it would be, and leaves nothing. Exit code 3 when something is missing.

    \b
    Examples:
      clx docker check
      clx docker check course.yaml --db-path /data/jobs.db
      clx docker check --format json
    """
    from clx.workers.executors.docker.build import default_tag

    here = Here(db_path, course)
    resolved, path, types = here.resolved, here.path, here.types()
    if course is not None:
        from clx.course.topics import find_course_root
        from clx.db.apart import located
        from clx.db.url import named_database

        named = db_path or named_database(resolved) or find_course_root(course) / ".clx" / "jobs.db"
        path = located(named.absolute())
    for type_ in types:
        resolved.require_trusted(type_, mode="docker")
    images = {type_: resolved.settings.workers.of(type_).image or default_tag(type_) for type_ in types}
    with _database_at(path) as found:
        warnings = _check(resolved, images, found)
    lines = [f"Warning: {text}" for text in warnings]
    lines += [f"ok {type_:<9} {image}" for type_, image in images.items()]
    document = {"ok": True, "database": str(path), "images": images, "warnings": warnings}
    return Output(document, [*lines, "ok containers see the database and its locks"])


@contextmanager
def _database_at(path: Path) -> Iterator[Path]:
    """A database to check with: the one at *path* if containers may see it, else one that is removed again."""
    import tempfile

    from clx.db.apart import apart, is_apart

    if is_apart(path) and path.exists():
        yield path
        return
    folder = next(parent for parent in path.parents if parent.is_dir())
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".clx-check-", dir=folder)
    except OSError as error:
        raise DatabaseError(
            f"No database can be made in {folder}: {error.strerror}.", "Name another place: --db-path"
        ) from error
    with scratch as name:
        yield apart(Path(name) / "jobs.db")


def _check(resolved: Any, images: dict[str, str], path: Path) -> list[str]:
    from clx.db.database import Database
    from clx.workers.executors.docker.preflight import preflight
    from clx.workers.platforms import database_options, with_journal_mode

    settings = with_journal_mode(resolved.settings, path, containers=True, keep=True)
    with Database.open(path, **database_options(settings)) as database:
        return preflight(database, images, settings.docker)
