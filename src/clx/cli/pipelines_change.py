"""``clx pipelines deploy|wait|pause|resume|stop|retry|rm``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.options import SECONDS, verbose_option
from clx.cli.output import Output, format_option
from clx.cli.pipelines_show import overview
from clx.cli.pipelines_work import kept, require_functions
from clx.cli.work_options import There, about_works
from clx.errors import EXIT_DONE, EXIT_JOB_FAILED, EXIT_TIMEOUT, UsageError
from clx.settings.problems import shortened
from clx.visible import visible_line

if TYPE_CHECKING:
    from clx.pipelines.definition import Config
    from clx.pipelines.running import Store

_ids = click.argument("ids", metavar="ID...", nargs=-1, required=True)
_timeout = click.option(
    "--timeout", type=SECONDS, metavar="S", help="Seconds to wait at most. [default: as long as it takes]"
)


@click.command("deploy")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--user", metavar="USER", help="Who deploys it, where the file does not say. [default: the login name]")
@click.option("--wait", "waits", is_flag=True, help="Wait until its pipelines have ended.")
@click.option("--work", "works", is_flag=True, help="Start the runners of its deployments here, and wait.")
@_timeout
@about_works
@format_option
@verbose_option()
def deploy(there: There, file: Path, user: str | None, waits: bool, works: bool, timeout: float | None) -> Output:
    """Begin the pipelines of FILE.

    There is one for each combination of its matrix. Nothing has to watch over them: whoever does the last work of a
    stage puts in those of the next one. The works are done by runners (`clx work run`, `clx pipelines work`)
    and whoever else withdraws works.

    \b
    Examples:
      clx pipelines deploy pipeline.yaml
      clx pipelines deploy pipeline.yaml --work
      clx pipelines deploy pipeline.yaml --wait --timeout 3600
      clx pipelines deploy pipeline.yaml --url http://jobs.example.org:8004

    \b
    Exit codes: 0 deployed, with --wait all have succeeded; 1 one has failed or was cancelled; 2 mistakes in the file;
    3 no runner can begin; 4 database error; 124 one has not ended in time.
    """
    from clx.pipelines.deployments import require_any
    from clx.pipelines.document import load
    from clx.pipelines.planning import planned

    if works and timeout is not None:
        raise UsageError("--work ends with its pipelines, or by Ctrl-C.", "Leave --timeout out.")
    config = load(file)
    if waits and config.schedule is not None:
        raise UsageError(f"{shortened(str(file))} has a schedule: no pipeline begins now.", "Leave --wait out.")
    if works:
        require_functions(there)
        require_any([config])
    with there.make() as store:
        made = store.pipelines.deploy(planned(config, user=user))
        document = {"config": made.config, "pipelines": made.pipelines}
        lines = [f"Config {made.config} was deployed.", *(f"Pipeline {each} runs." for each in made.pipelines[:20])]
        if len(made.pipelines) > 20:
            lines.append(f"… and {len(made.pipelines) - 20} more: clx pipelines show {made.config}")
        if not made.pipelines:
            lines.append(visible_line(f"Its pipelines begin by its schedule: {_times(config)}."))
        if works:
            kept(there, store.pipelines, [made.config], quiet=False)
            return waited(store.pipelines, [made.config], 0.0, document, lines)
        if not waits:
            return Output(document, lines)
        return waited(store.pipelines, made.pipelines, timeout, document, lines)


def _times(config: Config) -> str:
    """When the pipelines of a file with a schedule begin, for people."""
    assert config.schedule is not None
    cronspec, lives = config.schedule.cronspec, config.schedule.lives
    return f"{cronspec} (UTC), {'for ever' if lives < 0 else 'once' if lives == 1 else f'{lives} times'}"


@click.command("wait")
@_ids
@_timeout
@about_works
@format_option
@verbose_option()
def wait(there: There, ids: tuple[str, ...], timeout: float | None) -> Output:
    """Wait until pipelines have ended, and show what became of them.

    Of a config, all of its pipelines.

    \b
    Examples:
      clx pipelines wait 68b1c2d3e4f5a6b7c8d9e0f1
      clx pipelines wait 68b1c2d3e4f5a6b7c8d9e0f1 --timeout 600 && echo done

    \b
    Exit codes: 0 all have succeeded; 1 one has failed or was cancelled; 2 there is no such pipeline; 4 database error;
    124 one has not ended in time.
    """
    with there.change() as store:
        if store is None:
            raise _unknown(there, ids)
        return waited(store.pipelines, ids, timeout, {}, [])


def waited(
    store: Store, ids: Sequence[str], timeout: float | None, document: dict[str, Any], lines: list[str]
) -> Output:
    """Wait for pipelines; what became of them, after *lines*, and the exit code of that."""
    found = store.wait(ids, timeout)
    if any(each["stop"] is None for each in found):
        code = EXIT_TIMEOUT
    else:
        code = EXIT_DONE if all(each["status"] == "success" for each in found) else EXIT_JOB_FAILED
    return Output({**document, "ended": found}, [*lines, overview(found)], exit_code=code)


def _unknown(there: There, ids: Sequence[str]) -> UsageError:
    return UsageError(f"There is no pipeline {shortened(ids[0])}. {there.nobody}", "Deploy one first.")


def _changed(
    there: There, ids: Sequence[str], done: str, left: str, body: Callable[[Store, Iterable[str]], list[str]]
) -> Output:
    """Do something to pipelines; says which it was done to, and what may be where it was done to none."""
    with there.change() as store:
        if store is None:
            raise _unknown(there, ids)
        found = body(store.pipelines, ids)
    lines = [f"{each} {done}." for each in found] or [f"Nothing was changed: {left}."]
    return Output({"changed": found}, lines)


@click.command("pause")
@_ids
@about_works
@format_option
@verbose_option()
def pause(there: There, ids: tuple[str, ...]) -> Output:
    """Begin no stage and give out no work of pipelines.

    What runs goes on.

    \b
    Examples:
      clx pipelines pause 68b1c2d3e4f5a6b7c8d9e0f1
    """
    return _changed(there, ids, "is paused", "none of them runs", lambda store, these: store.pause(these))


@click.command("resume")
@_ids
@about_works
@format_option
@verbose_option()
def resume(there: There, ids: tuple[str, ...]) -> Output:
    """Let paused pipelines go on.

    \b
    Examples:
      clx pipelines resume 68b1c2d3e4f5a6b7c8d9e0f1
    """
    return _changed(there, ids, "goes on", "none of them is paused", lambda store, these: store.resume(these))


@click.command("stop")
@_ids
@about_works
@format_option
@verbose_option()
def stop(there: There, ids: tuple[str, ...]) -> Output:
    """Cancel pipelines with their works.

    Works that wait are cancelled, running ones are told.

    \b
    Examples:
      clx pipelines stop 68b1c2d3e4f5a6b7c8d9e0f1
    """
    return _changed(there, ids, "was stopped", "all of them have ended", lambda store, these: store.stop(these))


@click.command("retry")
@_ids
@about_works
@format_option
@verbose_option()
def retry(there: There, ids: tuple[str, ...]) -> Output:
    """Let failed and stopped pipelines go on.

    They do so from the first stage that failed. Works that have succeeded are not done again; later stages begin anew.

    \b
    Examples:
      clx pipelines retry 68b1c2d3e4f5a6b7c8d9e0f1
    """
    left = "none of them has failed or was stopped"
    return _changed(there, ids, "goes on", left, lambda store, these: store.retry(these))


@click.command("rm")
@_ids
@about_works
@format_option
@verbose_option()
def remove(there: There, ids: tuple[str, ...]) -> Output:
    """Remove pipelines that have ended, and configs with all of theirs.

    Their works stay, with their results.

    \b
    Examples:
      clx pipelines rm 68b1c2d3e4f5a6b7c8d9e0f1
    """
    left = "they run (clx pipelines stop)"
    return _changed(there, ids, "was removed", left, lambda store, these: store.remove(these))
