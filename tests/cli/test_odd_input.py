"""Numbers that no row has and no clock counts: exit code 2 and the option's name, never a traceback."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from tests.support.scene import PATIENCE, Scene, until

HUGE = "99999999999999999999"


@pytest.mark.parametrize(
    "arguments",
    [
        ["jobs", "show", HUGE],
        ["jobs", "show", "0"],
        ["jobs", "cancel", HUGE],
        ["jobs", "retry", "--", "-1"],
        ["jobs", "list", "--batch", HUGE],
        ["jobs", "list", "--limit", HUGE],
        ["workers", "stop", HUGE],
        ["workers", "stop", "1", "--timeout", "nan"],
        ["workers", "stop", "1", "--timeout", "inf"],
        ["workers", "logs", HUGE],
        ["stop-services", "--timeout", "nan"],
        ["db", "prune", "--days", "nan"],
        ["db", "prune", "--days", "1e300"],
        ["selftest", "--seconds", "nan"],
        ["bench", "--scale", "nan"],
    ],
    ids=" ".join,
)
def test_numbers_out_of_range(scene: Scene, arguments: list[str]) -> None:
    """With a database there, so that they would reach it."""
    scene.state.mkdir()
    scene.open().close()
    failed = scene.clx(*arguments, code=2)
    assert "Invalid value for" in failed.stderr


@pytest.mark.parametrize(
    "command", ["status", "workers list", "stop-services", "start-services", "config check", "build course.yaml"]
)
def test_directory_that_is_gone(scene: Scene, command: str) -> None:
    """Removed by somebody while the shell was in it."""
    gone = scene.course.root / "gone"
    gone.mkdir()
    words = scene.command(*command.split())
    failed = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *words], cwd=gone, capture_output=True, text=True
    )
    assert (failed.returncode, failed.stderr) == (
        2,
        "Error: The current directory is gone.\nChange to one that exists.\n",
    )


def test_full_standard_output(scene: Scene) -> None:
    """No traceback, exit code 1."""
    with Path("/dev/full").open("w") as full:
        for arguments in (["config", "show"], ["config", "show", "--format", "json"]):
            failed = subprocess.run(
                scene.command(*arguments), cwd=scene.course.root, stdout=full, stderr=subprocess.PIPE, text=True
            )
            assert failed.returncode == 1
            assert failed.stderr.startswith("Error: Standard output cannot be written: No space left on device.")
            assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(scene: Scene, closed: str) -> None:
    """A build goes on without anybody to tell, as do the commands around it."""
    scene.decks("one")
    for command in ("build course.yaml --format code", "status", "workers list --all", "jobs list"):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {closed}', "sh", *scene.command(*command.split())],
            cwd=scene.course.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
    assert list(scene.course.root.glob("output/**/*.py"))


def test_path_that_is_no_text(scene: Scene, tmp_path: Path) -> None:
    """A directory named in another encoding: neither the table nor a state file could say it."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    odd.mkdir()
    for command in ("start-services", "stop-services", "workers list", "status --format json"):
        failed = scene.clx(*command.split(), "--db-path", str(odd / "jobs.db"), code=2)
        assert "the path of the database is not UTF-8" in failed.stderr
    scene.decks("one")
    for option in ("--db-path", "-o"):
        assert "not UTF-8" in scene.clx("build", "course.yaml", option, str(odd / "there"), code=2).stderr
    scene.course.root.rename(odd / "course")
    scene.course.root.mkdir()
    failed = scene.clx("build", str(odd / "course" / "course.yaml"), "--db-path", str(tmp_path / "jobs.db"), code=2)
    assert "not UTF-8" in failed.stderr
    assert list(odd.iterdir()) == [odd / "course"]


def test_path_that_is_too_long(scene: Scene) -> None:
    """No file can be of that name."""
    scene.decks("one")
    for command in (["status"], ["start-services"], ["build", "course.yaml"]):
        failed = scene.clx(*command, "--db-path", "x" * 300, code=4)
        assert "File name too long" in failed.stderr
    assert "File name too long" in scene.clx("build", "course.yaml", "-o", "x" * 300, code=2).stderr


def test_no_colour_where_none_is_wanted(scene: Scene) -> None:
    """``NO_COLOR``, on a terminal."""
    command = scene.command("jobs", "show", "7")
    assert "\x1b" in on_terminal(scene, command, {"NO_COLOR": ""})
    said = on_terminal(scene, command, {"NO_COLOR": "1"})
    assert ("Error: There is no job 7." in said, "\x1b" in said) == (True, False)


def test_dumb_terminal_is_told_of_every_job(scene: Scene) -> None:
    """One that cannot redraw would show the live display only at its end, that is never."""
    scene.decks("one")
    said = on_terminal(scene, scene.command("build", "course.yaml", "--format", "code"), {"TERM": "dumb"})
    assert ("[1/1] notebook: " in said, "\x1b" in said) == (True, False)


def on_terminal(scene: Scene, command: list[str], variables: dict[str, str]) -> str:
    """What *command* says on a terminal of its own."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        command, cwd=scene.course.root, env={**os.environ, "TERM": "xterm", **variables},
        stdin=there, stdout=there, stderr=there, start_new_session=True,
    )  # fmt: skip
    os.close(there)
    said = b""
    with contextlib.suppress(OSError):  # EIO: nobody has it open any more
        while part := os.read(here, 65536):
            said += part
    os.close(here)
    process.wait(30)
    return said.decode()


def test_interrupted_command_speaks_of_builds_only_where_it_is_one(scene: Scene) -> None:
    """Ctrl-C."""
    scene.clx("start-services", "--plantuml-workers", "0", "--drawio-workers", "0")
    follower = scene.begin("workers", "logs", "1", "-f")
    assert follower.stdout is not None
    assert "started" in follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    assert follower.wait(PATIENCE) == 130
    assert follower.stdout.read().splitlines()[-1] == "Interrupted."
    scene.clx("stop-services")


def test_both_signals_at_once_end_a_command_in_order(scene: Scene) -> None:
    """As a terminal and a service manager send them; many rounds, because which comes first is a race."""
    scene.state.mkdir()
    scene.open().close()
    for number in range(24):
        follower = scene.begin("status", "--follow", "--format", "json")
        assert follower.stdout is not None
        follower.stdout.readline()
        for each in (signal.SIGINT, signal.SIGTERM) if number % 2 else (signal.SIGTERM, signal.SIGINT):
            follower.send_signal(each)
        assert follower.wait(PATIENCE) in (130, 143)
        said = [line for line in follower.stdout.read().splitlines() if not line.startswith("{")]
        assert said in ([], ["Interrupted."])


def test_follower_of_a_removed_database_ends(scene: Scene) -> None:
    """What cannot be read is never shown as if nothing had happened."""
    scene.state.mkdir()
    scene.open().close()
    follower = scene.begin("status", "--follow", "--format", "json")
    assert follower.stdout is not None
    follower.stdout.readline()
    scene.database.unlink()
    assert follower.wait(PATIENCE) == 4
    assert "was removed or replaced" in follower.stdout.read()


def test_logs_of_a_worker_are_not_those_of_its_namesake(scene: Scene) -> None:
    """A database that was made anew counts its workers from 1 again; the log stays; one that is gone is waited for."""
    start = ("start-services", "--plantuml-workers", "0", "--drawio-workers", "0")
    scene.clx(*start)
    scene.clx("stop-services")
    for path in scene.state.glob("jobs.db*"):
        path.unlink()
    scene.clx(*start)
    # the log, and its own output; it is there a moment before it says so
    until(lambda: scene.clx("workers", "logs", "1").stdout.count("worker 1 started") == 2)
    assert "ended" not in scene.clx("workers", "logs", "1").stdout
    (scene.state / "logs" / "clx.jsonl").unlink()
    follower = scene.begin("workers", "logs", "1", "-f")
    scene.clx("stop-services")
    assert follower.wait(PATIENCE) == 0


def test_database_that_is_no_regular_file(scene: Scene) -> None:
    """A pipe would block for ever, a device is never what was meant; nothing is made beside either."""
    pipe = scene.course.root / "pipe"
    os.mkfifo(pipe)
    before = sorted(scene.course.root.iterdir())
    for command in ("status", "stop-services", "start-services", "jobs list"):
        assert "is not a regular file" in scene.clx(*command.split(), "--db-path", str(pipe), code=4).stderr
    assert sorted(scene.course.root.iterdir()) == before


def test_state_directory_that_is_a_file(scene: Scene) -> None:
    """Whatever wants to write there says so."""
    scene.decks("one")
    (scene.course.root / ".clx").write_text("")
    assert "cannot be made" in scene.clx("config", "set", "workers.notebook.count", "2", code=2).stderr
    assert "cannot be made" in scene.clx("config", "init", code=2).stderr
    assert ".clx is a file, which CLX has not made" in scene.clx("start-services", code=2).stderr
    assert ".clx is a file, which CLX has not made" in scene.build(code=2).stderr


def test_damaged_state_file(scene: Scene) -> None:
    """It tells of nothing: stopping removes it, starting replaces it."""
    scene.state.mkdir()
    state = scene.state / "worker-state.json"
    state.write_text('{"broken')
    assert "No services were running" in scene.clx("stop-services").stdout
    assert not state.exists()
    state.write_text('{"broken')
    scene.clx("start-services", "--plantuml-workers", "0", "--drawio-workers", "0")
    assert "1 worker(s) stopped" in scene.clx("stop-services").stdout
    assert not state.exists()
