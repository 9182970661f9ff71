"""Commands that change what is named by an id or a name: one that is not there is an error, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.support.serving import listening

from clx.cli.main import cli
from clx.db.jobs import Queue
from clx.errors import EXIT_USAGE, ClxError
from clx.work.work import Work

GROUPS = ("buckets", "jobs", "pipelines", "results", "schedules", "work")
VERBS = ("cancel", "lock", "pause", "remove", "resume", "retry", "rm", "run", "show", "stop", "unlock", "wait")
NO_IDS = {("work", "run"), ("buckets", "show"), ("results", "show"), ("jobs", "pause"), ("jobs", "resume")}
"""Commands that name a pipeline, or a type of jobs: of these nobody needs to know."""
NOBODY = "68b1c2d3e4f5a6b7c8d9e0f1"
UNKNOWN = {"jobs": "4711", "schedules": "never"}


def _commands() -> list[tuple[str, str]]:
    found = []
    for group in GROUPS:
        command = cli.get_command(click.Context(cli), group)
        assert isinstance(command, click.Group)
        found += [(group, verb) for verb in command.list_commands(click.Context(command)) if verb in VERBS]
    return [each for each in found if each not in NO_IDS]


def _refused(*words: str) -> ClxError:
    """What a command is refused with, for which it ends with 2."""
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, ClxError), f"{done.exit_code}\n{done.output}"
    assert done.exception.exit_code == EXIT_USAGE
    return done.exception


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLX_WORK__URL", raising=False)
    (tmp_path / ".clx").mkdir()
    with Queue.open(tmp_path / ".clx" / "jobs.db") as found:
        yield found


def test_every_group_has_some() -> None:
    assert {group for group, _ in _commands()} == set(GROUPS)
    assert len(_commands()) >= 20


@pytest.mark.parametrize(("group", "verb"), _commands())
def test_what_is_not_there_is_an_error(queue: Queue, group: str, verb: str) -> None:
    error = _refused(group, verb, UNKNOWN.get(group, NOBODY))
    assert error.fact.startswith("There is no ")
    assert error.next_step


def test_it_is_at_a_server_as_well(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(queue) as served:
        monkeypatch.setenv("CLX_TOKEN", served.secrets["admin"])
        for group, verb in _commands():
            if group in ("buckets", "pipelines", "results", "work"):
                error = _refused(group, verb, NOBODY, "--url", served.url)
                assert error.fact.startswith("There is no "), (group, verb)


@pytest.mark.parametrize("verb", ["cancel", "rm"])
def test_none_of_several_is_changed_where_one_is_not_there(queue: Queue, verb: str) -> None:
    work = Work("p", where=queue.works)
    work.deposit()
    _refused("work", verb, work.id, NOBODY)
    found = queue.works.get(work.id)
    assert found is not None
    assert found.document["status"] == "queued"
