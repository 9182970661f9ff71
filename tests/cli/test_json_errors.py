"""With ``--format json`` an error is a document too; people still read it on standard error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.support.scene import Scene, until

from clx.cli.main import cli, wants_json


def json_commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that prints JSON when asked to."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from json_commands(found, (*path, name))
    for parameter in command.params:
        if "--format" in parameter.opts and isinstance(parameter.type, click.Choice):
            yield path


COMMANDS = list(json_commands(cli))


def test_the_list_is_not_empty() -> None:
    """The walk finds what the documentation names."""
    assert {("status",), ("jobs", "show"), ("workers", "list"), ("config", "check"), ("doctor",)} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_usage_error_is_a_document(scene: Scene, command: tuple[str, ...]) -> None:
    """One document on standard output, the same words on standard error, the same exit code."""
    failed = scene.clx(*command, "--format", "json", "--no-such-option", code=2)
    document = json.loads(failed.stdout)
    assert document["exit_code"] == 2
    assert document["error"]["message"] in failed.stderr
    assert document["error"]["next_step"] == f"Type: clx {' '.join(command)} --help"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["config", "check"], 2, "workers.cuont is not a setting"),
        (["status"], 2, "workers.cuont is not a setting"),
        (["workers", "list"], 2, "workers.cuont is not a setting"),
        (["start-services"], 2, "workers.cuont is not a setting"),
    ],
)
def test_wrong_settings_are_a_document(scene: Scene, arguments: list[str], code: int, words: str) -> None:
    """What a person reads in two lines a program finds under two keys."""
    scene.settings("[workers]\ncuont = 2\n")
    failed = scene.clx(*arguments, "--format=json", code=code)
    document = json.loads(failed.stdout)
    assert words in document["error"]["message"]
    assert document["error"]["message"] in failed.stderr
    assert document["error"]["next_step"] in failed.stderr
    assert document["exit_code"] == code
    assert scene.clx(*arguments, code=code).stdout == ""


def test_database_errors_keep_their_exit_code(scene: Scene) -> None:
    """A file that is no job table: 4."""
    scene.course.write(".clx/jobs.db", "no database" * 500)
    document = json.loads(scene.clx("jobs", "list", "--format", "json", code=4).stdout)
    assert document["exit_code"] == 4
    assert "Not a usable CLX database" in document["error"]["message"]
    assert json.loads(scene.clx("jobs", "show", "7", "--db-path", "x.db", "--format", "json", code=4).stdout)


def test_only_a_request_for_json_counts() -> None:
    """``clx build --format`` chooses output formats; what follows ``--`` is no option."""
    assert wants_json(["jobs", "list", "--format", "json"])
    assert wants_json(["-v", "status", "--format=json"])
    assert not wants_json(["build", "course.yaml", "--format", "json"])
    assert not wants_json(["jobs", "show", "--", "--format=json"])
    assert not wants_json(["status", "--format", "table", "json"])
    assert not wants_json([])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--no-such-option"], "No such option"),
        (["--progress=json", "--report", "nowhere/report.json"], "The report cannot be written"),
        (["--watch", "--force"], "--watch and --force do not go together"),
    ],
)
def test_build_that_cannot_begin_says_so_as_an_event(scene: Scene, arguments: list[str], words: str) -> None:
    """Whoever reads events finds the error among them, however early it comes; asked for silence there is none."""
    scene.decks("one")
    failed = scene.clx("build", "course.yaml", "--progress", "json", *arguments, code=2)
    [event] = [json.loads(line) for line in failed.stdout.splitlines()]
    assert (event["event"], event["exit_code"]) == ("error", 2)
    assert words in event["fact"]
    assert event["next_step"]
    assert words in failed.stderr
    assert scene.clx("build", "course.yaml", "-q", "--progress", "json", *arguments, code=2).stdout == ""


def test_build_that_is_interrupted_ends_its_events(scene: Scene) -> None:
    """The last event of a build says how it ended: ``finished`` or ``error``."""
    scene.decks("one", cell="import time; time.sleep(60)")
    build = scene.begin("build", "course.yaml", "--progress", "json")
    until(scene.running)
    build.send_signal(signal.SIGINT)
    events = [line for line in build.communicate(timeout=20)[0].splitlines() if line.startswith("{")]
    last = json.loads(events[-1])
    assert (last["event"], last["exit_code"], last["fact"]) == ("error", 130, "Interrupted.")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_clx_loads_ends_it_in_order(tmp_path: Path, number: int, code: int) -> None:
    """No traceback, be it in the first milliseconds; a library that signals while it is imported stands for them."""
    (tmp_path / "click.py").write_text(f"import os, time\nos.kill(os.getpid(), {number})\ntime.sleep(30)\n")
    command, environment = [sys.executable, "-m", "clx", "--help"], {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "Interrupted.\n")
