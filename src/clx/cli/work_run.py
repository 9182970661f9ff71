"""``clx work run``: works are done, one after the other."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import Number, verbose_option
from clx.cli.output import format_choice
from clx.cli.terminal import echo
from clx.cli.work_options import There, about_works
from clx.errors import ServerError, UsageError
from clx.settings.problems import shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.artifacts.store import ArtifactStore
    from clx.settings.schema import Settings
    from clx.work.place import Store
    from clx.work.running.runner import Done, Plan, Runner

_COMMAND = ("-c", "--command")


class _Run(click.Command):
    """A command of which all words after ``-c`` are a command line of their own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args  # what follows that is no option
        at = next((index for index, word in enumerate(options) if word in _COMMAND), len(args))
        program = tuple(args[at + 1 :])
        if at < len(args) and not program:
            raise click.UsageError("-c needs a program.", ctx)
        rest = super().parse_args(ctx, args[:at])
        ctx.params["program"] = program or None
        return rest


@click.command("run", cls=_Run)
@click.argument("words", nargs=-1, required=True, metavar="PIPELINE... [MODULE.FUNCTION]")
@click.option("-f", "--function", metavar="MODULE.FUNCTION", help="What does them, instead of the word with a dot.")
@click.option("-c", "--command", "program", metavar="PROGRAM ARG...",
              help="A program that does them, with all words after it; no shell reads them.")  # fmt: skip
@click.option("--function-of-work", "of_work", is_flag=True,
              help="What each names itself, as the settings allow; no word is a function.")  # fmt: skip
@click.option("--lifeline", is_flag=True, hidden=True, help="End when standard input does.")
@click.option("--site", metavar="SITE", help="Only works of this site.")
@click.option("--tag", "tags", multiple=True, metavar="TEXT", help="Only works with one of these tags. Repeatable.")
@click.option("--parent", multiple=True, metavar="ID", help="Only parts of one of these. Repeatable.")
@click.option("--event", type=int, multiple=True, metavar="N", help="Only works of one of these events. Repeatable.")
@click.option("--user", metavar="USER", help="Only works of this user.")
@click.option("--lives", type=click.IntRange(1), metavar="N", help="End after so many works. [default: never]")
@click.option("--sleep", type=Number(0, 3600, min_open=True), default=30.0, metavar="S",
              help="Longest pause where none waits; a deposit ends it. [default: 30]")  # fmt: skip
@click.option("--argsource", type=click.Choice(["parameters", "work"]), default="parameters",
              help="What a function gets: the parameters by name, or the Work.")  # fmt: skip
@click.option("--timeout", type=Number(0, 259_200, min_open=True), metavar="S",
              help="Seconds a work may take at most, whatever it says.")  # fmt: skip
@click.option("--until-idle", is_flag=True, help="End when none waits.")
@click.option("-q", "--quiet", is_flag=True, help="No line for each work.")
@about_works
@format_choice
@verbose_option()
def run(there: There, words: tuple[str, ...], quiet: bool, format_: str, **said: Any) -> None:
    """Do works by a function or a program.

    Each is withdrawn, performed in a process of its own, and updated with what came of it. The function
    gets the parameters by name and returns a mapping, or (results, products, plots). Without one, works are
    done by what they name themselves, as far as python.modules and work.commands allow it. What fails is noted
    in the work, with its traceback and output. Ctrl-C or SIGTERM lets the one at hand finish; a second one ends
    it and hands it back.

    \b
    Examples:
      clx work run detect shop.detect.main
      clx work run detect localise -f shop.steps.main --site aro --lives 100
      clx work run compress -c gzip-one --fast
      clx work run detect --function-of-work
      clx work run detect --url http://127.0.0.1:8004

    \b
    Exit codes: 0 ended by Ctrl-C or SIGTERM, after --lives works, or idle; 2 usage or settings error, or the
    function cannot be imported; 3 its process does not start; 4 database or server error.
    """
    from clx.work.running import commands
    from clx.workers.functions import end_with_starter

    function, program = said["function"], said["program"]
    if "" in words:
        raise UsageError("One of the words is empty.", "Type: clx work run PIPELINE... MODULE.FUNCTION")
    if said["of_work"]:
        if function is not None or program is not None:
            raise UsageError("--function-of-work leaves it to each work.", "Leave -f and -c out, or it.")
        pipelines = words
    else:
        pipelines, function = _named(words, function, has_program=program is not None)
    if program is not None:
        commands.program(program[0])
    else:
        _require_own_python(there.resolved.settings.python.interpreter)
    if said["lifeline"]:
        end_with_starter(gives_up=True)
    settings = there.resolved.settings
    plan = _plan(settings, pipelines, function, said)
    note = _note(quiet=quiet, format_=format_)
    with there.make() as store:
        _enlist(store, plan)
        with _runner(store, settings, plan, note) as runner:
            if not quiet and format_ == "table" and not said["lifeline"]:
                echo(f"Works of {', '.join(pipelines)}; Ctrl-C ends this.", err=True)
            runner.run()


def _named(words: tuple[str, ...], function: str | None, *, has_program: bool) -> tuple[tuple[str, ...], str | None]:
    """The pipelines, and the function: the one word with a dot, wherever it stands, unless an option says it."""
    if function is not None and has_program:
        raise UsageError("Works are done by a function or by a program.", "Leave -f or -c out.")
    if function is not None or has_program:
        return words, function
    dotted = [word for word in words if "." in word]
    if not dotted:
        return words, None
    if len(dotted) > 1:
        raise UsageError(
            f"Which word is the function: {', '.join(map(shortened, dotted))}?", "Name it with -f MODULE.FUNCTION."
        )
    pipelines = tuple(word for word in words if word not in dotted)
    if not pipelines:
        raise UsageError(
            f"No pipeline is named, only {shortened(dotted[0])}.", f"Type: clx work run PIPELINE {dotted[0]}"
        )
    return pipelines, dotted[0]


def _require_own_python(interpreter: Any) -> None:
    """See that functions are meant to run with the Python that runs this."""
    if interpreter is not None and os.path.abspath(interpreter) != os.path.abspath(sys.executable):  # noqa: PTH100  (links in environments tell them apart)
        raise UsageError(
            "Functions of works run with the Python of clx, and python.interpreter names another.",
            f"Type: {interpreter} -m clx work run …, or take the setting away.",
        )


def _plan(settings: Settings, pipelines: tuple[str, ...], function: str | None, said: dict[str, Any]) -> Plan:
    from clx.db.works.withdrawing import Asked
    from clx.work.running.runner import Plan

    python, program = settings.python, said["program"]
    if not (function or program or python.modules or settings.work.commands):
        raise UsageError(
            "Nothing says what does these works.",
            f"Type: clx work run {pipelines[0]} MODULE.FUNCTION; where works name it themselves, name its module in "
            "python.modules (.clx/config.toml) or its program in work.commands.",
        )
    asked = Asked(
        pipelines, site=said["site"], user=said["user"], event=said["event"], tags=said["tags"], parent=said["parent"]
    )
    return Plan(
        asked, function, program, python.modules, settings.work.commands, (str(Path.cwd()), *python.path),
        said["argsource"], said["lives"], said["sleep"], said["timeout"], said["until_idle"], python.start,
        python.recycle_mb << 20,
    )  # fmt: skip


def _enlist(store: Store, plan: Plan) -> None:
    """See that a server lets works be withdrawn, before it is asked for anything else."""
    from clx.remote.works import RemoteWorks

    if isinstance(store, RemoteWorks):
        store.enlist(plan.asked.types)


@contextmanager
def _runner(store: Store, settings: Settings, plan: Plan, note: Callable[[Done], None]) -> Iterator[Runner]:
    from clx.work.archiving.archive import Archive
    from clx.work.running.runner import Runner

    with _artifacts(store, settings) as (artifacts, state):
        archive = Archive(settings.archive, artifacts, Path.cwd())
        runner = Runner(
            store, plan, note, artifacts=artifacts, archive=archive, state=state,
            startup=settings.workers.startup_timeout, level=settings.logging.level.upper(),
        )  # fmt: skip
        try:
            yield runner
        finally:
            runner.close()


@contextmanager
def _artifacts(store: Store, settings: Settings) -> Iterator[tuple[ArtifactStore | None, Path | None]]:
    """What keeps artifacts for those who read the works, and the state directory where that is of this machine."""
    from clx.db.works.table import Works
    from clx.remote.stores import open_store

    if isinstance(store, Works):
        database = store.database
        yield open_store(database.state.shared / "artifacts", settings.artifacts), database.state.path
        return
    with TemporaryDirectory(prefix="clx-") as directory:
        yield _of_server(store, settings, Path(directory)), None


def _of_server(store: Store, settings: Settings, directory: Path) -> ArtifactStore | None:
    """That of ``artifacts.url``, else that of the server that has the works; None where it has none."""
    from clx.remote.stores import open_store
    from clx.remote.works import RemoteWorks

    if settings.artifacts.url is not None:
        return open_store(directory, settings.artifacts)
    if isinstance(store, RemoteWorks):
        try:
            return store.open_artifacts(directory)
        except ServerError as error:
            echo(f"Plots and long outputs do not go to the server: {error.fact}", err=True)
    return None


def _note(*, quiet: bool, format_: str) -> Callable[[Done], None]:
    def show(done: Done) -> None:
        if format_ == "json":
            echo(json.dumps(done._asdict()))
        elif not quiet:
            error = done.error or {}
            why = f"  {error.get('type')}: {error.get('message')}" if error else ""
            echo(visible_line(f"{done.id}  {done.pipeline}  {done.status}  {done.seconds:.2f} s{why}"))

    return show
