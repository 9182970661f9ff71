"""``clx pipelines work``: the runners that pipelines ask for are started here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from clx.cli.options import verbose_option
from clx.cli.output import Output, format_option
from clx.cli.terminal import echo
from clx.cli.work_options import There, about_works
from clx.errors import UsageError

if TYPE_CHECKING:
    from clx.pipelines.running import Store


@click.command("work")
@click.argument("ids", metavar="[ID...]", nargs=-1)
@click.option("-q", "--quiet", is_flag=True, help="No line for each work.")
@about_works
@format_option
@verbose_option()
def work(there: There, ids: tuple[str, ...], quiet: bool) -> Output:
    """Start the runners that deployments ask for, on this machine.

    Works are done by what they name themselves, as far as python.modules and work.commands allow it. A runner that
    dies is replaced; all end with this command, whatever becomes of it, and what they were at waits again. Without an
    ID it serves all pipelines that live or come, until Ctrl-C; else until those have ended. Ctrl-C or SIGTERM lets
    runners finish what they are at, a second one has them hand it back.

    \b
    Examples:
      clx pipelines work
      clx pipelines work 68b1c2d3e4f5a6b7c8d9e0f1 --quiet
      clx pipelines work --url http://jobs.example.org:8004

    \b
    Exit codes: 0 ended by Ctrl-C or SIGTERM, or all have succeeded; 1 one has failed or was cancelled; 2 usage or
    settings error, there is no such pipeline, or it has no deployments; 3 no runner can begin; 4 database or server
    error; 124 ended by Ctrl-C or SIGTERM before all that were named have ended.
    """
    from clx.cli.pipelines_change import waited

    require_functions(there)
    with there.make() as store:
        is_over = kept(there, store.pipelines, ids, quiet=quiet)
        if not ids:
            return Output({"ended": []}, [])
        return waited(store.pipelines, ids, None if is_over else 0.0, {}, [])


def require_functions(there: There) -> None:
    """See that works may name what does them.

    Raises:
        UsageError: nothing is allowed.
    """
    settings = there.resolved.settings
    if not (settings.python.modules or settings.work.commands):
        raise UsageError(
            "Works of deployments name what does them, and nothing is allowed here.",
            "Name modules of functions in python.modules, or programs in work.commands.",
        )


def kept(there: There, pipelines: Store, ids: Sequence[str], *, quiet: bool) -> bool:
    """Keep runners until pipelines have ended, or a signal comes; returns whether they have."""
    from clx.pipelines.deployments import Deployments, keep, require_some
    from clx.pipelines.runners import Runners

    def note(text: str) -> None:
        echo(text, err=True)

    deployments = Deployments(pipelines, ids, note)
    if ids:
        require_some(pipelines, ids)
    return keep(deployments, Runners(there.words(), note, is_quiet=quiet), note)
