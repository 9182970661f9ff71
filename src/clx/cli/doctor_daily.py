"""``clx doctor --daily``: whether this machine is ready for a flow."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clx.cli.project import Here

if TYPE_CHECKING:
    from clx.daily.flow import Flow
    from clx.db.facts import Fact


def daily_options(command: Any) -> Any:
    """``--daily``, ``--staging`` and ``--token-file``."""
    a_file = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--token-file", type=a_file, metavar="FILE", help="Of that server, else $CLX_STAGING_TOKEN."),
        click.option("--staging", metavar="URL", help="With --daily, also a server of clx staging serve."),
        click.option("--daily", type=a_file, metavar="FLOW", help="About a flow of a day instead, and its lakes."),
    ):
        command = option(command)
    return command


def facts_of(here: Here, file: Path, staging: str | None, token_file: Path | None) -> list[Fact]:
    """What there is to know about the ground of the flow in a file."""
    from clx.cli.daily_options import flow_in
    from clx.cli.next_steps import about

    about(file)
    flow = flow_in(file.absolute(), None)
    found = _flow_facts(here, flow)
    if staging is not None:
        from clx.daily.facts import staging_facts
        from clx.server.staging import TOKEN_VARIABLE, read_token

        found += staging_facts(staging, read_token(token_file, os.environ.get(TOKEN_VARIABLE, "")))
    return found


def _flow_facts(here: Here, flow: Flow) -> list[Fact]:
    from clx.cli.daily_check import lakes_of
    from clx.daily.facts import lake_facts, machine_facts, store_fact, zone_fact
    from clx.db.facts import examine

    found = [zone_fact(flow)]
    with here.look() or nullcontext() as database:
        found += [each for each in examine(here.path, database) if each.name in {"server", "database", "clock"}]
        found += [] if database is None else machine_facts(database)
    for lake in lakes_of(flow):
        with lake:
            found += [*lake_facts(lake), store_fact(lake)]
    return found
