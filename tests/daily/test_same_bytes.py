"""A day is the same day wherever it is done: on one machine, on two with a server, on Temporal."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.daily.temporal.test_engine import Server, on, server
from tests.support.laboratory import Laboratory, gold_of_one_process, laboratory
from tests.support.machines import Machine, network_server, require_namespaces, with_url
from tests.support.serving_process import ServerProcess
from tests.support.tools import require

__all__ = ["server"]


def on_one_machine(folder: Path) -> str:
    with laboratory(folder) as lab:
        lab.stage()
        lab.said(lab.run("--workers", "2"))
        return lab.gold()


def on_temporal(folder: Path, server: Server) -> str:
    with laboratory(folder) as lab:
        lab.stage()
        lab.start("daily", "work", "flow.py", "--workers", "4", *on(server))
        lab.said(lab.run(*on(server)))
        return lab.gold()


class TwoMachines:
    """One with the lake, staging and a worker; another with a worker that has models; both reach a table and a store.

    Args:
        clock: by how many seconds the clock of the other one is ahead.
    """

    def __init__(self, beside: ExitStack, folder: Path, *, clock: int = 0, **variables: str) -> None:
        pg = beside.enter_context(tempfile.TemporaryDirectory(prefix="clx-pg-"))
        self.net = beside.enter_context(network_server(Path(pg)))
        self.home = beside.enter_context(Machine(folder, "home", 1))
        self.far = beside.enter_context(Machine(folder, "far", 2, clock=clock))
        self.artifacts = ServerProcess(
            self.net.url("clx"), "--host", "0.0.0.0", "--behind-proxy", folder=folder
        )  # fmt: skip
        beside.callback(self.artifacts.kill)
        common = {"CLX_JOBS__LEASE": "3", "CLX_JOBS__HEARTBEAT": "0.5", "CLX_DATABASE__BUSY_TIMEOUT": "2",
                  "CLX_ARTIFACTS__TOKEN": self.artifacts.token, "CLX_ARTIFACTS__INSECURE": "true",
                  "CLX_ARTIFACTS__PATIENCE": "10", **variables}  # fmt: skip
        (folder / "control").mkdir()
        self.labs = {
            each.name: beside.enter_context(
                laboratory(
                    each.home / "daily", control=folder / "control", prefix=each.prefix,
                    environment={**each.environment, **with_url(self.net.network_url("clx", each)), **common,
                                 "CLX_ARTIFACTS__URL": f"http://{each.gateway}:{self.artifacts.port}"},
                )
            )
            for each in (self.home, self.far)
        }  # fmt: skip

    @property
    def lab(self) -> Laboratory:
        """Where the lake is."""
        return self.labs["home"]

    def work_there(self) -> None:
        """Have the other machine take models."""
        worker = self.labs["far"].start("daily", "work", "flow.py", "--workers", "1", CLX_PYTHON__POOLS='["models"]')
        assert worker.stdout is not None

    def start(self, *pools: str) -> None:
        """Run the day beside the lake."""
        self._asked = self.lab.run("--workers", "1", CLX_PYTHON__POOLS=json.dumps(["lake", *pools]))

    def ended(self) -> None:
        """Wait until it has ended, however."""
        self._asked.communicate(timeout=120)

    def said(self) -> str:
        """What that has said at its end."""
        return self.lab.said(self._asked)


@pytest.fixture
def two_machines(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TwoMachines]:
    require("postgres")
    require_namespaces()
    with ExitStack() as beside:
        yield TwoMachines(beside, tmp_path, **getattr(request, "param", {}))


def test_gold_has_the_same_bytes_on_one_machine_on_two_and_on_temporal(
    tmp_path: Path, two_machines: TwoMachines, server: Server
) -> None:
    expected = gold_of_one_process(tmp_path / "local")
    assert on_one_machine(tmp_path / "one") == expected
    assert on_temporal(tmp_path / "temporal", server) == expected
    two_machines.lab.stage(port=8080)
    two_machines.work_there()
    two_machines.start()
    found = json.loads(two_machines.said())
    assert (found["missing"], found["errors"]) == ({}, {})
    hosts = {step: host for step, _, host, _ in two_machines.lab.begun()}
    assert hosts == dict.fromkeys(hosts, "home") | {"infer": "far"}
    assert (two_machines.lab.gold(), two_machines.lab.counts()) == (expected, {7})
    assert not (two_machines.labs["far"].folder / "output" / "lake").exists()
