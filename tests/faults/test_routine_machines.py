"""Workflows on two machines and one server: everybody is killed, a machine is cut off, and every result is right."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.routines.test_storm import HERE, Weather
from tests.support.machines import Machine, network_server, require_namespaces
from tests.support.scene import until
from tests.support.tools import require

from clx import Queue
from clx.db.postgresql.address import parse
from clx.db.workers import WorkerTable

_SOAK = bool(os.environ.get("CLX_SOAK"))
_KILLS = 60 if _SOAK else 6
_CUT = 4.0
"""Seconds for which a machine is cut off: longer than a lease."""


@dataclass(kw_only=True)
class TwoMachines(Weather):
    """Services on this machine and on another; programs ask here."""

    far: Machine
    settings: dict[str, str]
    url: str

    def start(self) -> None:
        self.clx("start-services")
        self.there("start-services")

    def stop(self) -> None:
        self.far.link(up=True)
        self.there("stop-services", "--timeout", "1")
        self.clx("stop-services", "--timeout", "1")

    def there(self, *words: str) -> None:
        """Run a command on the other machine."""
        self.far.environment |= self.settings
        self.far.clx(*words)

    @property
    def where(self) -> str:
        return self.url

    def cut(self) -> None:
        """Cut the other machine off for a while."""
        self.far.link(up=False)
        time.sleep(_CUT)
        self.far.link(up=True)


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoMachines]:
    """Services that run on both."""
    require("postgres")
    require_namespaces()
    shutil.copy(HERE / "stormy.py", tmp_path)
    settings = {
        "CLX_JOBS__LEASE": "3", "CLX_JOBS__HEARTBEAT": "0.5", "CLX_DATABASE__BUSY_TIMEOUT": "2",
        "CLX_PYTHON__MODULES": '["stormy"]', "CLX_PYTHON__PATH": f'["{tmp_path}"]',
        "CLX_WORKERS__PYTHON__COUNT": "1", "CLX_WORKERS__WORKFLOW__COUNT": "1",
        **{f"CLX_WORKERS__{name}__COUNT": "0" for name in ("NOTEBOOK", "PLANTUML", "DRAWIO", "GRAPHVIZ")},
    }  # fmt: skip
    for name, value in {**settings, "XDG_STATE_HOME": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    with (
        tempfile.TemporaryDirectory(prefix="clx-pg-") as folder,
        network_server(Path(folder)) as server,
        Machine(tmp_path, "far") as far,
    ):
        url = server.network_url("clx", far)
        settings["CLX_DATABASE__URL"] = url
        monkeypatch.setenv("CLX_DATABASE__URL", url)
        place = parse(url).place.parent.relative_to(tmp_path / "state")
        far.share(tmp_path / "state" / place / "artifacts", far.home / "state" / place / "artifacts")
        with Queue.open(url) as queue:
            found = TwoMachines(tmp_path, queue, random.Random(1), far=far, settings=settings, url=url)
            try:
                found.start()
                yield found
            finally:
                for program in found.programs.values():
                    program.kill()
                    program.communicate()
                found.stop()


@pytest.mark.slow
def test_on_two_machines_every_result_is_right_and_nothing_is_done_twice(machines: TwoMachines) -> None:
    there = {row.host for row in WorkerTable(machines.queue.database).list()}
    assert "far" in there
    assert len(there) == 2
    cutting = threading.Timer(2.0, machines.cut)
    cutting.start()
    try:
        machines.rage(_KILLS)
    finally:
        cutting.join()
    print("killed:", *machines.kills)
    machines.check()
    machines.stop()
    until(lambda: machines.victims() == {}, 15)
    assert WorkerTable(machines.queue.database).list(live=True) == []
