"""The ``clx`` command: its groups, loaded only when they are used, and what every command does with errors."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any, NoReturn

import click

from clx import __version__
from clx.cli.terminal import echo, wants_color
from clx.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, ClxError, OutputError, UsageError

COMMANDS = {
    "build": ("clx.cli.build", "Turn a course into teaching material."),
    "check": ("clx.cli.check", "Say what a build would refuse or warn of, without running anything."),
    "new": ("clx.cli.new", "Make a small course that builds, to start from."),
    "import": ("clx.cli.import_", "Turn notebooks into decks, or into a course."),
    "doctor": ("clx.cli.doctor", "Say what this machine has and what is missing."),
    "tools": ("clx.cli.tools", "List and install PlantUML and draw.io."),
    "start-services": ("clx.cli.services:start", "Start workers that stay."),
    "stop-services": ("clx.cli.services:stop", "Stop the workers that stay."),
    "server": ("clx.cli.server", "Serve the job table over HTTP."),
    "serve": ("clx.cli.serve", "Serve models: an answer inside the deadline, or a refusal at once."),
    "models": ("clx.cli.models", "Add, list, load and remove models that are served."),
    "worker": ("clx.cli.worker", "Do jobs with functions of your own."),
    "routines": ("clx.cli.routines", "Run tasks and workflows; show and explain what they did."),
    "workers": ("clx.cli.workers", "List, stop and clean up workers; show their logs."),
    "status": ("clx.cli.status", "Workers, queue and builds at one glance."),
    "jobs": ("clx.cli.jobs", "List, explain, retry and cancel jobs."),
    "work": ("clx.cli.work", "Deposit, find, wait for, cancel and retry works."),
    "buckets": ("clx.cli.buckets:buckets", "Works that are live, by pipeline."),
    "results": ("clx.cli.buckets:results", "Works that have ended, by pipeline; lock them."),
    "pipelines": ("clx.cli.pipelines", "Deploy and look after files of steps that are done stage by stage."),
    "daily": ("clx.cli.daily", "Run the flow of a day, over machines, into a lake."),
    "staging": ("clx.cli.staging", "Hand files of a day from machine to machine over HTTP."),
    "schedules": ("clx.cli.schedules", "Queue jobs at times, exactly once each."),
    "limits": ("clx.cli.limits", "Bound how many jobs of one name run at a time."),
    "trust": ("clx.cli.trust", "Let a project's settings reach outside of it."),
    "config": ("clx.cli.config", "Show, check and write settings."),
    "cache": ("clx.cli.cache", "Say what is kept so that work is not done twice; forget it."),
    "db": ("clx.cli.db", "Check, back up and prune the job table."),
    "docker": ("clx.cli.docker", "Build and check container images for workers."),
    "selftest": ("clx.cli.selftest", "Kill workers on your disk and see that nothing is lost."),
    "bench": ("clx.cli.bench", "Measure the queue on this machine."),
    "completion": ("clx.cli.completion", "Print what makes a shell complete clx."),
    "help": ("clx.cli.help", "Show the help of a command."),
}
"""Command → where it is (``module``, or ``module:name`` unless it is called ``command``) and its line of help."""

COMPLETE = "_CLX_COMPLETE"
"""The variable by which a shell asks for completions (``clx completion``)."""
_COMPLETES_IN = 3
"""Seconds after which nothing is offered: a shell waits, and a file may lie where nobody answers."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG}


class Interrupted(BaseException):
    """A signal asked the command to end; ``number`` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), name or "command")
        if cmd_name != "build":  # which does so once there is anything to run
            gc.enable()
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from clx.settings.problems import closest

            near = closest(args[0], COMMANDS)
            hint = f" Did you mean {near!r}?" if near else ""
            raise click.UsageError(error.message + hint, ctx) from error

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """The commands, none of which is imported for it, and the options."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=COMMANDS[name][1]) for name in COMMANDS if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_) for name, (_, help_) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="clx")
def cli() -> None:
    """CLX turns a course repository into teaching material.

    It starts, watches and stops every worker it needs by itself.

    \b
    Examples:
      clx new my-course                  a small course to start from
      clx build my-course/course.yaml    build it
      clx doctor                         what is missing on this machine
    """


def _interrupt(number: int, _frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _already_ending)
    raise Interrupted(number)


def _already_ending(_number: int, _frame: object) -> None:
    """Ending in order takes a moment; a second signal must not break it.

    Not SIG_IGN: Python complains of a signal that arrived before its handler went, and children would inherit it.
    """


def _fill_closed_streams() -> None:
    """Give a standard stream that was closed (``>&-``) to nowhere.

    Python's name for it is None then, which every question for a terminal would fall over, and the next file that is
    opened would get its number and what children print.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  (for good)


def main() -> None:
    """Run the command line and exit with its code."""
    _fill_closed_streams()
    if COMPLETE in os.environ:
        _complete()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        code: Any = _run()
    except Interrupted as error:
        again = " Build again to go on where it stopped." if _command_of(sys.argv[1:]) == "build" else ""
        code = EXIT_INTERRUPTED if error.number == signal.SIGINT else EXIT_TERMINATED
        _print_event("Interrupted.", again.strip(), code)
        echo(f"Interrupted.{again}", err=True)
    except click.exceptions.Abort:
        code = EXIT_INTERRUPTED
    except click.ClickException as error:
        _print_document(error.format_message(), _help_for(error), error.exit_code)
        said = io.StringIO()
        error.show(said)
        echo(said.getvalue(), err=True, nl=False)
        code = error.exit_code
    except ClxError as error:
        _print_document(error.fact, _next_step(error), error.exit_code)
        show_error(error)
        code = error.exit_code
    if signal.getsignal(signal.SIGINT) is _already_ending:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # Python's own end would put back what kills
    gc.freeze()  # all of it ends with the process: to look for garbage first would take a tenth of a short command
    _leave(code if isinstance(code, int) else 0)


def _leave(code: int) -> NoReturn:
    if "temporalio.bridge" in sys.modules:  # its threads abort a Python that ends (temporalio/sdk-python#300)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    sys.exit(code)


def _complete() -> NoReturn:
    """Answer a shell that asks how a command line may go on; whatever is wrong, this is no moment to say so."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  (for good; without pathlib)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    from clx.platforms import system

    system.end_after(_COMPLETES_IN)
    with contextlib.suppress(Exception):
        cli(prog_name="clx", complete_var=COMPLETE)
    sys.exit(0)


def _run() -> Any:
    """Run the command; errors of the system that somebody can do something about become those of CLX."""
    try:
        return cli(prog_name="clx", standalone_mode=False, color=wants_color())
    except FileNotFoundError:
        try:
            os.getcwd()  # noqa: PTH109  (pathlib would cost `clx --help` a tenth of its time)
        except FileNotFoundError:
            raise UsageError("The current directory is gone.", "Change to one that exists.") from None
        raise
    except OSError as error:
        if error.errno in _CLOSED and error.filename:
            raise UsageError(
                f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}.",
                "Correct its path or its permissions, or work as the user whose it is.",
            ) from error
        if error.errno not in _FULL:
            raise
        raise OutputError(
            f"{error.filename or 'Standard output'} cannot be written: {error.strerror}.", "Free some space, try again."
        ) from error


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, also one that cannot be parsed; ``clx build`` means another format."""
    words = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if _command_of(words) == "build":
        return False
    return _asks_for_json(words, "--format")


def wants_events(arguments: Sequence[str]) -> bool:
    """Whether a command line asks ``clx build`` for events, also one that cannot be parsed."""
    quiet = "-q" in arguments or "--quiet" in arguments
    return _asks_for_json(arguments, "--progress") and not quiet and _command_of(arguments) == "build"


def _asks_for_json(arguments: Sequence[str], option: str) -> bool:
    return f"{option}=json" in arguments or (option, "json") in pairwise(arguments)


def _command_of(arguments: Sequence[str]) -> str:
    """The command that a command line is for; empty when there is none."""
    return next((word for word in arguments if not word.startswith("-")), "")


def _print_document(fact: str, next_step: str, code: int) -> None:
    """The error for a program that reads standard output, if it asked for JSON."""
    _print_event(fact, next_step, code)
    if wants_json(sys.argv[1:]):
        import json

        document = {"error": {"message": fact, "next_step": next_step}, "exit_code": code}
        with contextlib.suppress(OSError):
            echo(json.dumps(document))


def _print_event(fact: str, next_step: str, code: int) -> None:
    """The last event of a build that ended before its display could say so, if events were asked for."""
    if not wants_events(sys.argv[1:]):
        return
    from clx.cli.displays import event

    with contextlib.suppress(OSError):
        echo(event("error", exit_code=code, fact=fact, next_step=next_step))


def _help_for(error: click.ClickException) -> str:
    """What to type when the command line is wrong."""
    context = getattr(error, "ctx", None)
    return f"Type: {context.command_path} --help" if context is not None else ""


def _next_step(error: ClxError) -> str:
    from clx.cli.next_steps import completed  # not where nothing is wrong

    return completed(error.next_step)


def show_error(error: ClxError) -> None:
    """The fact, then the next step."""
    echo(error.fact, label="Error", err=True)
    if error.next_step:
        echo(_next_step(error), err=True)
