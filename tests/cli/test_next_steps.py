"""What commands say when there is no database, and what they tell to type next: about the database that was named."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clx.cli.main import cli
from clx.cli.next_steps import completed, remember
from clx.db.jobs import NewJob, Queue

SOURCES = Path(__file__).parents[2] / "src" / "clx"


def _clx(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "clx", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("jobs list", 0), ("jobs retry --failed", 0), ("jobs cancel --queued", 0), ("jobs show 1", 2),
        ("jobs retry 1", 2), ("jobs cancel 1", 2), ("workers list", 0), ("workers cleanup", 0), ("workers stop 1", 2),
        ("workers logs 1", 2),
        ("status", 0), ("cache stats", 0), ("db check", 4), ("db prune", 4), ("cache prune", 4), ("db backup b", 4),
    ],
)  # fmt: skip
def test_every_command_says_that_there_is_no_database(tmp_path: Path, command: str, code: int) -> None:
    """By the same sentence; where that ends the command, with what to type."""
    done = _clx(*command.split(), cwd=tmp_path)
    assert done.returncode == code
    assert f"There is no database at {tmp_path}/.clx/jobs.db yet." in done.stdout + done.stderr
    assert ("Build a course first, or name another database with --db-path." in done.stderr) is (code != 0)
    assert "No jobs" not in done.stdout


def test_next_steps_name_the_database_that_was_named(tmp_path: Path) -> None:
    """Relative as it was typed, quoted; one that was not typed is left out. What is told to be typed works."""
    folder = tmp_path / "a b"
    with Queue.open(folder / "jobs.db") as queue:
        queue.enqueue(NewJob("t", key="k"))
    typed = "--db-path 'a b/jobs.db'"
    missing = _clx("jobs", "show", "99", "--db-path", "a b/jobs.db", cwd=tmp_path)
    assert f"`clx jobs list {typed}` names those there are." in missing.stderr
    listed = _clx(*shlex.split(f"jobs list {typed}"), cwd=tmp_path)
    assert " queued " in listed.stdout
    missing = _clx("workers", "stop", "99", "--db-path", "a b/jobs.db", "--format", "json", cwd=tmp_path)
    assert f"`clx workers list {typed} --all` names those there are." in missing.stdout
    missing = _clx("jobs", "show", "99", cwd=folder)
    assert "--db-path" not in missing.stderr.replace("with --db-path", "")
    status = _clx("status", "--db-path", "a b/jobs.db", cwd=tmp_path)
    assert "clx start-services" not in status.stdout or f"clx start-services {typed}" in status.stdout


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
