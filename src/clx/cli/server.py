"""``clx server`` and ``clx server token add|list|revoke``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from clx.cli.options import about_database, settings_from, verbose_option
from clx.cli.output import Output, format_option, table
from clx.cli.project import Here, open_or_make
from clx.cli.terminal import echo
from clx.errors import ToolMissingError, UsageError

_EPILOG = """\b
Examples:
  clx server                                            for this project, at http://127.0.0.1:8004
  clx server --port 0 --db-path /data/clx_jobs.db       at a port that is free
  clx server --host 0.0.0.0 --ssl-certfile cert.pem --ssl-keyfile key.pem
  clx server --host 0.0.0.0 --behind-proxy              a proxy before it speaks TLS
  clx server --workflow-ports                           clients of CHIME/FRB Workflow need no change
  clx server token add ci --role work

\b
Exit codes: 0 it was ended by Ctrl-C or SIGTERM; 2 usage or settings error; 3 the port is taken,
or a package is missing; 4 database error.
"""
_FILE = click.Path(dir_okay=False, path_type=Path)
_DAY = 24 * 3600 * 1000
_PERIOD = re.compile(r"([0-9]{1,5})([hdw])")
_LONG = {"h": _DAY // 24, "d": _DAY, "w": 7 * _DAY}
_NEEDED = ("starlette", "uvicorn", "httptools", "jinja2")


@click.group("server", invoke_without_command=True, epilog=_EPILOG)
@click.option("--host", metavar="H", help="The address to listen at. [default: server.host]")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="The port; 0: any. [default: server.port]")
@click.option("--no-token", is_flag=True, help="Ask nobody for a token; on this machine only.")
@click.option("--behind-proxy", is_flag=True, help="Believe a proxy before it, which speaks TLS, who calls.")
@click.option("--ssl-certfile", type=_FILE, metavar="FILE", help="A certificate, to speak TLS itself.")
@click.option("--ssl-keyfile", type=_FILE, metavar="FILE", help="Its key, unless it is in the same file.")
@click.option("--workflow-ports", is_flag=True, help="Listen besides where clients of Workflow call by themselves.")
@click.option("--service", is_flag=True, hidden=True)
@about_database
@verbose_option()
@click.pass_context
def command(context: click.Context, /, here: Here, **options: Any) -> None:
    """Serve the job table over HTTP: its interface for programs, its metrics, a page for people.

    Whoever calls needs a token. On this machine the first start makes one, and prints the page's address with it.
    """
    if context.invoked_subcommand is not None:
        return
    _require_packages()
    from clx.server.place import Place
    from clx.server.serving import serve

    everything = settings_from(context, Path.cwd()).settings
    settings, maintains = everything.server, everything.work.maintenance == "auto"
    if options["ssl_keyfile"] and not options["ssl_certfile"]:
        raise UsageError("A key alone is of no use.", "Give its certificate, too: --ssl-certfile FILE")
    place = Place(
        settings.host if options["host"] is None else options["host"],
        settings.port if options["port"] is None else options["port"],
        tokens=not options["no_token"],
        behind_proxy=options["behind_proxy"],
        certfile=options["ssl_certfile"],
        keyfile=options["ssl_keyfile"],
        workflow_ports=options["workflow_ports"],
    )
    with open_or_make(here.resolved, here.path) as database:
        context.exit(serve(database, place, echo, as_service=options["service"], maintains=maintains))


def _require_packages() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise ToolMissingError(
            f"The server needs packages that are not installed: {', '.join(missing)}.",
            "Type: pip install 'clx-build[server]'",
        )


@command.group("token")
def token() -> None:
    """Tokens: who may call the server, and what they may do.

    \b
    Roles: read (look), work (also queue jobs, do them, report), admin (also cancel, retry, all else).

    \b
    Examples:
      clx server token add ci --role work
      clx server token list
      clx server token revoke ci
    """


def _period(text: str) -> int:
    """Milliseconds of ``12h``, ``30d`` or ``8w``."""
    found = _PERIOD.fullmatch(text)
    if found is None or not int(found[1]):
        raise click.BadParameter(f"{text!r} is no time. Write 12h, 30d or 8w.")
    return int(found[1]) * _LONG[found[2]]


@token.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["read", "work", "admin"]), required=True, help="What it lets its bearer do.")
@click.option("--expires", type=_period, metavar="TIME", help="For how long it is taken: 12h, 30d, 8w.")
@about_database
@format_option
@verbose_option()
def add(here: Here, name: str, role: str, expires: int | None) -> Output:
    """Make a token, and show it: once, for only its digest is kept.

    \b
    Examples:
      clx server token add ci --role work
      clx server token add guest --role read --expires 30d
      clx server token add ci --role work --format json
    """
    from clx.db.tokens import TokenTable

    with open_or_make(here.resolved, here.path) as database:
        ends = None if expires is None else database.clock.now() + expires
        text = TokenTable(database).add(name, role, expires_at=ends)
    document = {"name": name, "role": role, "token": text, "expires_at": None if ends is None else ends / 1000}
    return Output(document, [text], asides=[f"The token {name} ({role}); it is not shown again:"])


@token.command("list")
@about_database
@format_option
@verbose_option()
def list_them(here: Here) -> Output:
    """Every token there is or was, without its text.

    \b
    Examples:
      clx server token list
      clx server token list --format json
    """
    from clx.db.tokens import TokenTable

    database = here.look()
    if database is None:
        return Output({"tokens": []}, [here.nobody])
    with database:
        now = database.clock.now()
        found = [(each, each.state(now)) for each in TokenTable(database).list()]
    document = [
        {
            "id": each.id, "name": each.name, "role": each.role, "state": state, "created_at": each.created_at / 1000,
            "used_at": _seconds(each.used_at), "expires_at": _seconds(each.expires_at),
            "revoked_at": _seconds(each.revoked_at),
        }
        for each, state in found
    ]  # fmt: skip
    rows = [
        (each.name, each.role, state, _day(each.created_at), _day(each.used_at), _day(each.expires_at))
        for each, state in found
    ]
    headings = ("NAME", "ROLE", "STATE", "MADE", "USED", "EXPIRES")
    return Output({"tokens": document}, [table(headings, rows) if rows else "No tokens."])


@token.command("revoke")
@click.argument("name")
@about_database
@format_option
@verbose_option()
def revoke(here: Here, name: str) -> Output:
    """Let a token be taken no more.

    A running server heeds it within seconds.

    \b
    Examples:
      clx server token revoke ci
      clx server token revoke ci --format json
    """
    from clx.db.tokens import TokenTable

    database = here.change()
    if database is None:
        raise here.unknown(f"token {name}")
    with database:
        count = TokenTable(database).revoke(name)
    if not count:
        raise here.unknown(f"valid token {name}", "clx server token list")
    return Output({"revoked": [name]}, [f"The token {name} is taken no more."])


def _seconds(at: int | None) -> float | None:
    return None if at is None else at / 1000


def _day(at: int | None) -> str:
    return "–" if at is None else datetime.fromtimestamp(at / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
