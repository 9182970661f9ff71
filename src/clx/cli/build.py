"""``clx build``."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli import completing
from clx.cli.options import database_option, repeatable, settings_from, verbose_option, worker_options
from clx.errors import ClxError, UsageError
from clx.settings.origin import OptionValue

if TYPE_CHECKING:
    from clx.course.build import BuildOptions
    from clx.course.pages.server import PageServer

_EPILOG = """\b
Examples:
  clx build course.yaml                           everything, into <course root>/output
  clx build course.yaml -o /tmp/out --language de German only
  clx build course.yaml --notebook-workers 4      four decks at a time
  clx build course.yaml --dry-run --explain       what would run, and why
  clx build course.yaml --watch                   and again after every edit
  clx build course.yaml --watch --serve           and in the browser, which reloads by itself
  clx build course.yaml --report report.json      everything that happened, as JSON

\b
Exit codes: 0 done; 1 a job failed; 2 usage, settings or course error; 3 workers or a tool
could not start; 4 database error; 130 interrupted, 143 terminated.
"""

_LANGUAGES = completing.of_course(lambda spec: spec.languages)
_TARGETS = completing.of_course(lambda spec: [target.name for target in spec.output_targets])
_KINDS = completing.words("code-along", "completed", "speaker")
_FORMATS = completing.words("html", "notebook", "code", "slides", "pdf", "slides-pdf")


class _Build(click.Command):
    """A command whose ``--serve`` takes a port only where one follows, and never the course."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As its base class, which would take whatever follows."""
        with_values = [
            f"{word}=" if word == "--serve" and not following.isdecimal() else word
            for word, following in zip(args, [*args[1:], ""], strict=False)
        ]
        return super().parse_args(ctx, with_values)


_PASSED = ("output", "force", "fail_fast", "dry_run", "force_new_workers", "check_links")
"""Options that a build takes as they are."""


@click.command("build", cls=_Build, epilog=_EPILOG)
@click.argument("course", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Output directory. [default: <course root>/output]"
)
@worker_options
@database_option
@click.option("--force-new-workers", is_flag=True, help="Never use workers that are running already.")
@click.option("--no-auto-start", is_flag=True, help="Start no workers; fail where none are running.")
@repeatable("--language", only="this language", complete=_LANGUAGES)
@repeatable("--kind", only="code-along, completed or speaker", complete=_KINDS)
@repeatable("--format", "formats", only="html, notebook, code, slides, pdf or slides-pdf", complete=_FORMATS)
@repeatable("--target", only="this output target", complete=_TARGETS)
@click.option("--force", is_flag=True, help="Run every job, whether or not its result is known.")
@click.option("--explain", is_flag=True, help="Say why each job runs or does not.")
@click.option("--dry-run", is_flag=True, help="Plan only; write nothing.")
@click.option("--watch", is_flag=True, help="Build again after every edit, with warm workers, until Ctrl-C.")
@click.option(
    "--serve",
    is_flag=False,
    flag_value="",
    metavar="[PORT]",
    help="With --watch: serve the pages on this machine, and reload them in the browser after every edit.",
)
@click.option("--check-links", is_flag=True, help="Ask also for every web address that pages link to.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "rich", "plain", "json", "none"]),
    default="auto",
    help="How progress is shown. [default: auto: rich on a terminal, else plain]",
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a JSON report to this file.")
@verbose_option(passed=True)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.pass_context
def command(context: click.Context, /, course: Path, **options: Any) -> None:
    """Turn the course described by COURSE (a course.yaml) into teaching material.

    Starts the workers it needs, stops them at the end, and runs only what has changed.
    """
    from clx.cli.report_file import check_report_place, failed_document, write_report

    report_path: Path | None = options["report"]
    if report_path is not None:
        check_report_place(report_path)
    if options["serve"] is not None and not options["watch"]:
        raise UsageError("--serve goes with --watch: it shows pages while you write them.", "Add --watch.")
    if options["watch"]:
        _watch(context, course, options)
    from clx.course.build import Build

    display = _display(options)
    try:
        resolved = _settings(context, course, options)
        build = Build(_build_options(course, options, resolved), resolved, display)
        report = build.run()
    except ClxError as error:
        display.close()
        write_report(report_path, failed_document(error))
        display.error(error)
        context.exit(error.exit_code)
    except BaseException:
        display.close()
        raise
    display.close()
    write_report(report_path, report.as_dict())
    if options["explain"]:
        for job, reason in report.reasons:
            display.explain(job, reason)
    _leave_to_the_system(build)
    context.exit(report.exit_code)


def _leave_to_the_system(build: object) -> None:
    """Have what a build has made end with the process: to free it piece by piece would take long for nothing."""
    kept = [build]
    kept.append(kept)  # a ring is freed only where garbage is looked for


def _watch(context: click.Context, course: Path, options: dict[str, Any]) -> None:
    from clx.cli.displays import TerminalWatcher
    from clx.cli.main import Interrupted
    from clx.cli.report_file import write_report
    from clx.course.watch import watch

    for name in ("dry_run", "force", "force_new_workers", "explain"):
        if options[name]:
            spelled = name.replace("_", "-")
            raise UsageError(f"--watch and --{spelled} do not go together.", "Leave one of them out.")
    gc.enable()  # it may run for days
    resolved = _settings(context, course, options)
    build_options = _build_options(course, options, resolved)
    server = _server(options["serve"], build_options) if options["serve"] is not None else None
    shown = TerminalWatcher(
        lambda: _display(options), partial(write_report, options["report"]), server.url if server else ""
    )
    written = [options["report"]] if options["report"] is not None else []
    try:
        if server is None:
            watch(build_options, resolved, shown, written)
        else:
            from clx.course.pages.serving import ServedWatch

            watch(build_options, resolved, ServedWatch(shown, server), written)
    except Interrupted as error:
        if not shown.idle:
            raise
        shown.stopped()
        context.exit(128 + error.number)
    finally:
        shown.close()
        if server is not None:
            server.close()


def _server(port: str, options: BuildOptions) -> PageServer:
    from clx.course.pages.server import PageServer
    from clx.course.topics import find_course_root

    if port and not (port.isdecimal() and port.isascii() and int(port) < 1 << 16):
        step = "Write a number up to 65535, or none: the usual one is 8642."
        raise UsageError(f"--serve {port}: that is no port.", step)
    output = options.output or find_course_root(options.spec) / "output"
    return PageServer(str(output.absolute()), int(port) if port else None)


def _settings(context: click.Context, course: Path, options: dict[str, Any]) -> Any:
    if options["no_auto_start"] and options["force_new_workers"]:
        raise UsageError(
            "--no-auto-start and --force-new-workers do not go together: "
            "workers that run would not be used, and others not be started.",
            "Leave one of them out.",
        )
    auto_start = OptionValue(False if options["no_auto_start"] else None, "--no-auto-start")
    return settings_from(context, course.absolute().parent, {"workers.auto_start": auto_start})


def _build_options(course: Path, options: dict[str, Any], resolved: Any) -> Any:
    from clx.course.build import BuildOptions
    from clx.course.layout import Selection
    from clx.db.url import named_database

    def chosen(name: str) -> frozenset[str] | None:
        return frozenset(options[name]) or None

    return BuildOptions(
        spec=course,
        database=options["db_path"] or named_database(resolved),
        selection=Selection(chosen("language"), chosen("kind"), chosen("formats"), chosen("target")),
        **{name: options[name] for name in _PASSED},
    )


def _display(options: dict[str, Any]) -> Any:
    from clx.cli import displays

    return displays.make(options["progress"], verbose=options["verbose"], quiet=options["quiet"])
