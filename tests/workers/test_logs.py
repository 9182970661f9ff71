"""Structured logs: whole lines from many processes, set aside when full, human on a terminal (REQ-8)."""

from __future__ import annotations

import fcntl
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.scene import PATIENCE, WAITS, Scene, until

from clx.workers import logs

WRITER = """
import logging, sys
from pathlib import Path
from clx.workers import logs
logs.FULL = 20_000
with logs.logged(Path(sys.argv[1]), "info", worker=int(sys.argv[2])):
    for number in range(300):
        logging.getLogger("clx.worker").info("line %s %s", number, "x" * 100, extra={"number": number})
"""


def test_many_processes_write_whole_lines_and_set_the_file_aside(tmp_path: Path) -> None:
    """REQ-8.1: nothing is torn, nothing grows without bound."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(number)]) for number in (1, 2, 3)]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0, 0]
    folder = tmp_path / "logs"
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["clx.1.jsonl", "clx.2.jsonl", "clx.3.jsonl", "clx.jsonl"]
    for path in folder.iterdir():
        assert path.stat().st_size < 25_000
        for line in path.read_text().splitlines():
            assert json.loads(line)["message"].startswith("line ")
    for worker in (1, 2, 3):
        numbers = [entry["number"] for entry in logs.entries(tmp_path, worker=worker)]
        assert numbers == sorted(numbers)


def test_file_that_somebody_else_has_just_set_aside_is_not_set_aside_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was set aside before would be lost: the other one came first, and has written nothing since."""
    monkeypatch.setattr(logs, "FULL", 100)
    path = tmp_path / "clx.jsonl"
    line = logging.LogRecord("clx", logging.INFO, "", 0, "x" * 200, None, None)
    mine = logs.JsonLines(path)

    def other_is_first(_descriptor: int, _operation: int) -> None:
        path.replace(logs.set_aside_name(path, 1))

    mine.emit(line)
    written = path.read_text()
    monkeypatch.setattr(fcntl, "flock", other_is_first)
    mine.emit(line)
    mine.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["clx.1.jsonl", "clx.jsonl"]
    assert logs.set_aside_name(path, 1).read_text() == written


def test_every_start_and_stop_of_a_build_is_logged(scene: Scene) -> None:
    """REQ-8.1, REQ-8.2: type, mode, id, configuration source; id, reason, jobs processed, uptime."""
    scene.settings("[workers.notebook]\ncount = 2\n")
    scene.decks("one", "two", cell=WAITS.format(go=scene.seen("go")))
    build = scene.begin("build", "course.yaml")
    until(lambda: sum(entry.get("action") == "worker_started" for entry in scene.log()) == 2)
    (scene.shared / "go").touch()
    assert build.wait(PATIENCE) == 0
    source = f"{scene.course.root}/.clx/config.toml:2"
    started = [entry for entry in scene.log() if entry.get("action") == "worker_started"]
    assert [(entry["type"], entry["mode"], entry["config_source"]) for entry in started] == [
        ("notebook", scene.mode, source)
    ] * 2
    stopped = [entry for entry in scene.log() if entry.get("action") == "worker_stopped"]
    assert sorted(entry["worker"] for entry in stopped) == sorted(entry["worker"] for entry in started) == [1, 2]
    assert sum(entry["jobs"] for entry in stopped) == 4
    assert all(entry["reason"] == "no longer needed" and entry["uptime"] > 0 for entry in stopped)
    starting = [entry for entry in scene.log() if entry.get("action") == "worker_starting"]
    assert {entry["batch"] for entry in starting} == {1}


def test_verbose_tells_of_workers(scene: Scene) -> None:
    """REQ-8.3: with -v on the terminal, without it only in the file."""
    scene.decks("one")
    assert "starting a notebook worker (direct), settings from default" in scene.build("-v").stderr
    assert "starting a notebook worker" not in scene.build("--force").stderr
    told = scene.clx("start-services", "-v", "--notebook-workers", "1", "--worker-count", "0").stdout
    assert re.search(r"#\d+ notebook, direct, pid \d+, settings from --notebook-workers", told)
    scene.clx("stop-services")


def test_progress_has_workers_queue_and_mean(scene: Scene) -> None:
    """REQ-8.4: as JSON lines, so that programs can follow."""
    scene.decks("one", "two", cell="import time; time.sleep(0.3)")
    lines = [json.loads(line) for line in scene.build("--progress", "json").stdout.splitlines()]
    seen = [line["types"]["notebook"] for line in lines if line["event"] == "progress"]
    assert max(each["workers"] for each in seen) == 1
    assert {0, 1} <= {each["running"] for each in seen}
    assert seen[0]["queued"] > 0 == seen[-1]["queued"]
    assert seen[-1]["mean_seconds"] > 0


def test_level_of_the_file(scene: Scene) -> None:
    """`logging.level` is for the file, not for the terminal."""
    scene.settings('[logging]\nlevel = "warning"\n')
    scene.decks("one")
    scene.build()
    assert [entry for entry in scene.log() if entry["level"] == "info"] == []


def test_log_that_cannot_be_written_does_not_stop_the_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The directory went away under it."""
    folder = tmp_path / "state"
    with logs.logged(folder, "info"):
        (folder / "logs").rmdir()
        logging.getLogger("clx.worker").info("into the void")
    assert not (folder / "logs").exists()
