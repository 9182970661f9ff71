"""What the ways to bring a worker to life have in common."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from clx.settings.schema import Settings
from clx.workers.executors.spec import Spawn, WorkerSpec, spawn_of, words_for
from clx.workers.executors.start import start
from clx.workers.executors.worker_process import tail_of

SPEC = WorkerSpec("notebook", 2, "docker:x", "c.toml:2", "docker", "mine:1", Settings(), "id", "--workers", "v")


@pytest.mark.parametrize("mode", ["direct", "docker"])
def test_worker_is_started_by_the_executor_of_its_mode(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Spawn] = []
    home = "docker.worker" if mode == "docker" else mode
    monkeypatch.setattr(f"clx.workers.executors.{home}.start", lambda spawn, _state: started.append(spawn))
    spawn = spawn_of(msgspec.structs.replace(SPEC, mode=mode), Path("jobs.db"), batch=3)
    start(spawn, Path())
    assert started == [spawn]


def test_worker_is_told_all_that_was_wanted() -> None:
    spawn = spawn_of(SPEC, Path("/c/.clx/jobs.db"), service="services")
    words = words_for(spawn, "/clx/data/jobs.db", spawn.settings, "a.log")
    settings = msgspec.json.encode(Settings()).decode()
    assert words == [
        *("notebook", "--db", "/clx/data/jobs.db", "--pool", "docker:x"),
        *("--config-source=c.toml:2, --workers, v", "--log", "a.log", "--settings", settings, "--service", "services"),
    ]
    assert "--batch" in words_for(spawn_of(SPEC, Path("jobs.db"), batch=3), "jobs.db", spawn.settings, "a.log")


def test_tail_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert tail_of(tmp_path / "a.log") == ""
    (tmp_path / "a.log").write_text("x" * 5000 + "\nthe end\n")
    assert tail_of(tmp_path / "a.log").endswith("x\nthe end")
    assert len(tail_of(tmp_path / "a.log")) < 4001
