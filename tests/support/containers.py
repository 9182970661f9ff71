"""A real engine with real worker images, made once per session from this tree, and what CLX has left in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.tools import require

_ENGINE = Path(__file__).parents[2] / ".ci" / "engine"
_BASES = {
    "notebook": "clx-base-tools:local",
    "plantuml": "clx-base-tools:local",
    "drawio": "clx-base-tools:local",
    "graphviz": "clx-base-tools:local",
    "pdf": "clx-base-tools:local",
}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """An engine that answers: the one that is there, else one that is started for the session."""
    require("docker")
    script = str(_ENGINE / "engine-up.sh")
    mine = subprocess.run(["bash", script, "status"], capture_output=True).returncode != 0
    if mine:
        _run("bash", script)
    yield
    if mine:
        _run("bash", script, "down")


@pytest.fixture(scope="session")
def images(engine: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The worker images, built from this tree on local bases; nothing is done for those that are current."""
    from clx.workers.executors.docker.build import make_wheel

    _run("bash", str(_ENGINE / "tools.sh"))
    _run("bash", str(_ENGINE / "mkbase.sh"))
    folder = tmp_path_factory.mktemp("images")
    wheel = str(make_wheel(folder))
    requirements = folder / "requirements.txt"
    requirements.write_text("matplotlib\nnumpy\npandas\nplotly\n", encoding="utf-8")
    for type_, base in _BASES.items():
        extra = ["--requirements", str(requirements)] if type_ == "notebook" else []
        options = ["--wheel", wheel, "--base-image", base, "--fetch", *extra]
        _run(sys.executable, "-m", "clx", "docker", "build", type_, *options)


@pytest.fixture
def client(engine: None) -> Iterator[Any]:
    """A connection to the engine."""
    from clx.workers.executors.docker.engine import connect

    with closing(connect()) as found:
        yield found


def containers_of_clx(client: Any, **labels: str) -> list[Any]:
    """Containers of CLX, running or not; those that carry all *labels*, given without their ``clx.``."""
    wanted = [f"clx.{name}={value}" for name, value in labels.items()] or ["clx.worker"]
    return list(client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True))


def left_in(client: Any) -> set[str]:
    """Names of everything of CLX in the engine, and of every network that is not the engine's own."""
    networks = {each.name for each in client.networks.list()} - {"bridge", "host", "none"}
    mine = [*containers_of_clx(client), *containers_of_clx(client, probe="1")]
    return networks | {each.name for each in mine}
