"""What commands tell to type next is about the database that was named; their summaries are whole."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clx.cli.main import cli
from clx.cli.next_steps import about, completed, remember

SOURCES = Path(__file__).parents[2] / "src" / "clx"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("See `clx jobs show 7`.", "See `clx jobs show --db-path 'a b' 7`."),
        ("Type: clx workers list --all", "Type: clx workers list --db-path 'a b' --all"),
        ("Stop them (clx stop-services, clx workers list), or",
         "Stop them (clx stop-services --db-path 'a b', clx workers list --db-path 'a b'), or"),
        ("clx stop-services --db-path c && clx status", "clx stop-services --db-path c && clx status --db-path 'a b'"),
        ("`clx config check` reads them again.", "`clx config check` reads them again."),
        ("Type: clx docker build notebook", "Type: clx docker build notebook"),
        ("Type: clx build a.yaml --force", "Type: clx build --db-path 'a b' a.yaml --force"),
        ("clx jobs", "clx jobs"),
        ("clx is here", "clx is here"),
    ],
)  # fmt: skip
def test_commands_in_texts_are_completed(said: str, told: str) -> None:
    option = click.Option(["--db-path"], callback=remember)
    command = click.Command("one", params=[option], callback=lambda db_path: click.echo(completed(said)))
    assert CliRunner().invoke(command, ["--db-path", "a b"]).output == f"{told}\n"
    assert CliRunner().invoke(command, []).output == f"{said}\n"


def test_a_server_that_was_named_is_named_again() -> None:
    options = [click.Option([name], callback=remember) for name in ("--db-path", "--url")]
    said = "`clx work search` names those there are, clx jobs list none, clx work rm --url b others."
    command = click.Command("one", params=list(options), callback=lambda **_: click.echo(completed(said)))
    told = CliRunner().invoke(command, ["--url", "http://a b"]).output
    assert told == said.replace("clx work search", "clx work search --url 'http://a b'") + "\n"
    assert CliRunner().invoke(command, []).output == f"{said}\n"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Run it: clx daily run --date 2026-11-27", "Run it: clx daily run 'a b/flow.py' --date 2026-11-27"),
        ("`clx daily check --repair`", "`clx daily check 'a b/flow.py' --repair`"),
        ("clx daily describe 2026-11-27", "clx daily describe 2026-11-27"),
        ("clx daily run other.py", "clx daily run other.py"),
        ("clx daily new DIRECTORY", "clx daily new DIRECTORY"),
        ("See `clx routines show 7`.", "See `clx routines show --db-path c.db 7`."),
    ],
)  # fmt: skip
def test_a_flow_that_was_named_is_named_again(said: str, told: str) -> None:
    """It may lie in another directory, and its table with it."""
    option = click.Option(["--db-path"], callback=remember)

    def call(db_path: str | None) -> None:
        if db_path is None:
            about(Path("a b/flow.py"), lambda: Path("c.db"))
        click.echo(completed(said))

    command = click.Command("one", params=[option], callback=call)
    assert CliRunner().invoke(command, []).output == f"{told}\n"
    there = CliRunner().invoke(command, ["--db-path", "d"]).output
    assert "flow.py" not in there, "what an earlier command named is forgotten"


def test_one_place_writes_the_option() -> None:
    """A path that somebody else writes into a command is missing its quotes sooner or later."""
    found = [
        f"{path.relative_to(SOURCES)}:{number}"
        for path in SOURCES.rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r'--db-path \{|--db-path "? *\+', line)
    ]
    assert [each.partition(":")[0] for each in found] == ["commands.py"]


def test_every_option_that_names_the_database_is_remembered() -> None:
    for path, command in _walk(cli, "clx"):
        for parameter in command.params:
            if "--db-path" in parameter.opts:
                assert parameter.callback is remember, path


def test_the_summary_of_every_command_is_whole() -> None:
    """In a terminal of 80 columns."""
    for path, command in _walk(cli, "clx"):
        if isinstance(command, click.Group):
            help_ = CliRunner().invoke(cli, [*path.split()[1:], "--help"], terminal_width=80).output
            assert "..." not in help_.partition("Commands:")[2], path


def _walk(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            assert each is not None
            found += _walk(each, f"{path} {name}")
    return found
