"""What a shell is told when somebody presses Tab, and ``clx help``; bash itself is asked where bytes meet a shell."""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.courses import Course

from clx import Schedule
from clx.cli.main import COMMANDS
from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.workers import WorkerTable

SHELLS = ("bash", "zsh", "fish")


def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clx", *arguments]
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )


def offered(line: str, cwd: Path, **variables: str) -> list[str]:
    """The words offered for a line whose last word, perhaps an empty one, is not complete; nothing is printed."""
    asked = {"_CLX_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = run(cwd=cwd, **asked, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Traceback" not in done.stdout
    return [entry.partition(",")[2] for entry in done.stdout.splitlines() if entry]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose jobs are 1 failed, 2 queued, 3 succeeded; worker 1 has ended, worker 2 lives."""
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        for type_, state in (("one", "failed"), ("two", "queued"), ("one", "succeeded")):
            job = queue.enqueue(NewJob(type_, {"source": "deck.py"}))
            if state == "failed":
                queue.fail(job, queue.claim(["one"])[0].run, {"kind": "x", "message": "no"})
            elif state == "succeeded":
                queue.finish(job, queue.claim(["one"])[0].run)
        WorkerTable(queue.database).register(
            type="two", pool="", mode="direct", host="elsewhere", pid=1, identity="x", version="1"
        )
        queue.set_limit("api", concurrency=1)
        queue.schedules.add(Schedule("nightly", "0 6 * * *", NewJob("one")))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("clx jobs show ", ["3", "2", "1"]),
        ("clx jobs show 2", ["2"]),
        ("clx jobs retry ", ["1"]),
        ("clx jobs retry 1 ", []),
        ("clx jobs cancel ", ["2"]),
        ("clx jobs list --type ", ["notebook", "plantuml", "drawio", "graphviz", "pdf", "one", "two"]),
        ("clx jobs list --state fa", ["failed"]),
        ("clx schedules show ", ["nightly"]),
        ("clx schedules run x", []),
        ("clx schedules add x @daily --zone Europe/Berli", ["Europe/Berlin"]),
        ("clx schedules add x @daily --overlap ", ["skip", "queue", "cancel"]),
        ("clx schedules add x @daily --limit ", ["api"]),
        ("clx limits remove a", ["api"]),
        ("clx workers stop ", ["2"]),
        ("clx workers logs ", ["2", "1"]),
        ("clx config show workers.note", ["workers.notebook"]),
        ("clx config set jobs.le", ["jobs.lease"]),
        ("clx config set workers.default_execution_mode ", ["direct", "docker"]),
        ("clx config set workers.auto_start ", ["true", "false"]),
        ("clx config set jobs.lease ", []),
        ("clx help jobs re", ["resume", "retry"]),
        ("clx help build ", []),
        ("clx completion ", ["bash", "zsh", "fish"]),
        ("clx tools install dr", ["drawio", "drawio-math"]),
        ("clx stat", ["status"]),
        ("clx status --che", ["--check"]),
        ("clx nothing ", []),
    ],
)
def test_words_that_are_offered(project: Path, line: str, words: list[str]) -> None:
    found = offered(line, project)
    if line == "clx config show workers.note":
        assert set(found) > {"workers.notebook", "workers.notebook.count"}
    else:
        assert found == words if not line.startswith("clx nothing") else words == []


def test_first_word_is_every_command(project: Path) -> None:
    assert offered("clx ", project) == list(COMMANDS)


def test_database_that_was_named_on_the_line_is_asked(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    database = project / ".clx" / "jobs.db"
    assert offered("clx jobs show ", elsewhere) == []
    assert offered(f"clx jobs show --db-path {database} ", elsewhere) == ["3", "2", "1"]
    assert offered("clx jobs show ", elsewhere, CLX_DATABASE__PATH=str(database)) == ["3", "2", "1"]


def test_targets_and_languages_are_those_of_the_course(tmp_path: Path) -> None:
    course = Course(tmp_path / "course")
    spec = course.spec("one")
    targets = "output_targets:\n  - {name: school, path: a}\n  - {name: the world, path: b}\n"
    spec.write_text(spec.read_text() + targets)
    assert offered("clx build course/course.yaml --target ", tmp_path) == ["school"]
    assert offered("clx build --target s", course.root) == ["school"]
    assert offered("clx build course/course.yaml --language ", tmp_path) == ["de", "en"]
    assert offered("clx build course/course.yaml --kind c", tmp_path) == ["code-along", "completed"]
    spec.write_text("name: [")
    assert offered("clx build course/course.yaml --target ", tmp_path) == []


def every_file(root: Path) -> dict[str, bytes]:
    """What every file holds, but for those by which SQLite lets readers of a database know of each other."""
    found = [path for path in root.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
    return {str(path): path.read_bytes() for path in found}


@pytest.mark.parametrize("what", ["no database", "another file", "an older schema", "a pipe", "wrong settings"])
def test_nothing_is_made_mended_or_said(tmp_path: Path, what: str) -> None:
    database = tmp_path / ".clx" / "jobs.db"
    database.parent.mkdir()
    if what == "another file":
        database.write_text("no database" * 500)
    elif what == "an older schema":
        with Database.open(database) as made:
            made.write("age", lambda connection: connection.execute("UPDATE alembic_version SET version_num = '0'"))
    elif what == "a pipe":
        os.mkfifo(database)
    elif what == "wrong settings":
        (database.parent / "config.toml").write_text("[workers]\ncuont = 2\n")
    before = every_file(tmp_path)
    assert offered("clx jobs show ", tmp_path) == []
    assert offered("clx workers stop ", tmp_path) == []
    assert offered("clx jobs list --type pl", tmp_path) == ["plantuml"]
    assert every_file(tmp_path) == before
    assert what != "a pipe" or stat.S_ISFIFO(database.stat().st_mode)


def test_locked_database_is_not_waited_for_as_others_do(project: Path) -> None:
    """In DELETE mode whoever writes keeps readers out as well, here for as long as the settings would have it."""
    path = project / "locked.db"
    with Database.open(path, journal_mode="delete") as database:
        connection = database.connection()
        connection.execute("BEGIN EXCLUSIVE")
        line = f"clx jobs show --db-path {path} "
        assert offered(line, project, CLX_DATABASE__BUSY_TIMEOUT="600") == []
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGALRM])
def test_whoever_hangs_is_given_up_on_without_a_word(tmp_path: Path, number: signal.Signals) -> None:
    """By Ctrl-C or by itself; a library that never ends stands for a file that nobody serves."""
    (tmp_path / "yaml.py").write_text(
        f"import os, time\nif {number} == {signal.SIGINT}: os.kill(os.getpid(), {number})\ntime.sleep(600)\n"
    )
    (tmp_path / "course.yaml").write_text("name: x\n")
    asked = {"_CLX_COMPLETE": "bash_complete", "COMP_WORDS": "clx build --target ", "COMP_CWORD": "3"}
    done = run(cwd=tmp_path, PYTHONPATH=str(tmp_path), **asked)
    assert (done.stdout, done.stderr) == ("", "")
    assert done.returncode == (-signal.SIGINT if number == signal.SIGINT else 0)


def test_words_that_mean_something_to_a_shell_are_not_offered(tmp_path: Path) -> None:
    """The type of a job may be anybody's text."""
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        for type_ in ("$(touch,boo)", "`x`", "a b", "*", "fine.type", "x;y"):
            queue.enqueue(NewJob(type_))
    assert offered("clx jobs list --type ", tmp_path) == [
        "notebook",
        "plantuml",
        "drawio",
        "graphviz",
        "pdf",
        "fine.type",
    ]


def test_what_is_said_of_a_word_keeps_to_its_line(tmp_path: Path) -> None:
    """zsh takes three lines for each word."""
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        queue.enqueue(NewJob("t", {"source": "a\nplain\n$(boo)\x1b[2J"}))
    asked = {"_CLX_COMPLETE": "zsh_complete", "COMP_WORDS": "clx jobs show ", "COMP_CWORD": "3"}
    said = run(cwd=tmp_path, **asked).stdout
    assert said.splitlines() == ["plain", "1", "t queued a plain $(boo)[2J"]


def test_bash_completes_with_what_is_printed(project: Path) -> None:
    program = project / "bin" / "clx"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m clx "$@"\n')
    program.chmod(0o755)
    lines = (
        'eval "$(clx completion bash)"',
        "complete -p clx",
        "COMP_WORDS=(clx jobs show ''); COMP_CWORD=3",
        "_clx_completion clx",
        'echo "${COMPREPLY[*]}"',
    )
    command = ["bash", "--norc", "-ec", "\n".join(lines)]
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["complete -o nosort -F _clx_completion clx", "3 2 1"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_asks_by_the_variable_that_is_heeded(shell: str, tmp_path: Path) -> None:
    done = run("completion", shell, cwd=tmp_path)
    assert done.returncode == 0
    assert f"_CLX_COMPLETE={shell}_complete" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_unknown_shell_is_a_usage_error(tmp_path: Path) -> None:
    done = run("completion", "tcsh", cwd=tmp_path)
    assert done.returncode == 2
    assert "fish" in done.stderr


def test_completing_loads_no_other_command(tmp_path: Path) -> None:
    """Somebody waits for it at every press of the key."""
    code = "import sys; from clx.__main__ import main\ntry: main()\nfinally: print(*sys.modules)"
    asked = {"_CLX_COMPLETE": "bash_complete", "COMP_WORDS": "clx ", "COMP_CWORD": "1"}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **asked}, capture_output=True, text=True, timeout=60
    )
    loaded = {name for name in done.stdout.split() if name.startswith(("clx.", "rich", "sqlalchemy", "msgspec"))}
    always = {"clx.__main__", "clx.cli", "clx.cli.main", "clx.cli.terminal", "clx.errors", "clx.visible"}
    assert loaded == always | {"clx.platforms", "clx.platforms.posix"}  # to end when it takes too long


# -- help and version -----------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["", "build", "jobs", "jobs retry", "completion", "help"])
def test_help_of_a_command_is_what_its_option_prints(tmp_path: Path, words: str) -> None:
    said = run("help", *words.split(), cwd=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == run(*words.split(), "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("biuld", "No such command 'biuld'. Did you mean 'build'?"),
        ("jobs rety", "No such command 'rety'"),
        ("build course.yaml", "clx build has no commands."),
    ],
)
def test_help_of_what_is_no_command_is_a_usage_error(tmp_path: Path, words: str, message: str) -> None:
    done = run("help", *words.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_short_option_for_the_version(tmp_path: Path) -> None:
    assert run("-V", cwd=tmp_path).stdout == run("--version", cwd=tmp_path).stdout != ""
