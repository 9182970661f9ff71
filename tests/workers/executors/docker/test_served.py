"""Workers in containers on a table of a server: by the network, by its socket, or told why not."""

from __future__ import annotations

import ipaddress
import platform
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.support.courses import Course, clx
from tests.support.machines import PASSWORD, NetworkServer, network_server
from tests.support.serving import listening
from tests.support.tools import require
from tests.workers.executors.docker.machine import Machine

from clx import __version__
from clx.artifacts.store import ArtifactStore
from clx.db.database import Database
from clx.db.jobs import Queue
from clx.db.postgresql.address import parse
from clx.db.workers import WorkerTable
from clx.errors import EngineError
from clx.settings.schema import ArtifactsSettings, Settings
from clx.workers.executors.docker import served
from clx.workers.platforms import Surroundings
from clx.workers.supervision.checks import require_ready

_QUOTED = "geh%3Aeim%2F%40%23%25"


@pytest.fixture(scope="module")
def net() -> Iterator[NetworkServer]:
    """A server that containers reach by the network of the engine, with a password."""
    require("postgres")
    with tempfile.TemporaryDirectory(prefix="clx-pg-") as name, network_server(Path(name)) as found:
        with (found.folder / "data" / "pg_hba.conf").open("a", encoding="ascii") as rules:
            rules.write("host all all samenet scram-sha-256\n")  # an engine gives each network another range
        found.execute("SELECT pg_reload_conf()")
        yield found


@pytest.fixture
def placed(net: NetworkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkServer:
    """The same, with an empty database; PlantUML is to run in containers."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("CLX_WORKERS__PLANTUML__EXECUTION_MODE", "docker")
    monkeypatch.setenv("CLX_WORKERS__PLANTUML__IMAGE", f"clx-plantuml:{__version__}")
    net.execute("DROP DATABASE IF EXISTS inside WITH (FORCE)")
    net.execute("CREATE DATABASE inside")
    return net


def _gateway(client: Any) -> str:
    """By which address containers reach this machine."""
    bridge = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    return str(bridge.get("Gateway") or ipaddress.ip_network(bridge["Subnet"])[1])  # not every engine says it


def _by_network(placed: NetworkServer, client: Any) -> str:
    return f"postgresql://clx:{_QUOTED}@{_gateway(client)}:{placed.port}/inside"


@pytest.mark.parametrize("way", ["network", "socket"])
def test_a_container_does_the_jobs_of_a_table_on_a_server(
    way: str, placed: NetworkServer, machine: Machine, client: Any, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = _by_network(placed, client) if way == "network" else placed.url("inside")
    monkeypatch.setenv("CLX_DATABASE__URL", url)
    course.deck("one")
    course.write("slides/module_1/topic_100_one/x.pu", "@startuml\nA -> B\n@enduml\n")
    course.spec("one")
    built = course.build()
    assert built.report["failures"] == []
    assert list(course.output.rglob("x.png"))
    with Queue.open(url) as queue:
        rows = {row.type: row for row in WorkerTable(queue.database).list(live=False)}
    assert (rows["plantuml"].mode, rows["plantuml"].host) == ("docker", platform.node())
    assert rows["plantuml"].jobs_succeeded == 1
    assert "geh" not in clx("workers", "list", "--all").stdout


def test_a_container_takes_artifacts_from_a_server_and_gives_them_to_it(
    placed: NetworkServer,
    machine: Machine,
    client: Any,
    course: Course,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Table and artifacts by the network together."""
    monkeypatch.setenv("CLX_DATABASE__URL", _by_network(placed, client))
    course.deck("one")
    course.write("slides/module_1/topic_100_one/x.pu", "@startuml\nA -> B\n@enduml\n")
    course.spec("one")
    with (
        Queue.open(tmp_path / "kept" / "jobs.db") as keeper,
        listening(keeper, host=_gateway(client)) as artifacts,
    ):
        monkeypatch.setenv("CLX_ARTIFACTS__URL", artifacts.url)
        monkeypatch.setenv("CLX_ARTIFACTS__TOKEN", artifacts.secrets["work"])
        monkeypatch.setenv("CLX_ARTIFACTS__INSECURE", "true")
        built = course.build()
        store = ArtifactStore(keeper.database.state.shared / "artifacts")
    assert built.report["failures"] == []
    (picture,) = {each.read_bytes() for each in course.output.rglob("x.png")}
    assert store.has(sha256(picture).hexdigest())


def test_a_server_of_this_machine_alone_is_refused_with_the_way_out(placed: NetworkServer, course: Course) -> None:
    """The container would look for it within itself."""
    url = f"postgresql://clx@localhost:{placed.port}/inside"
    with Queue.open(url) as queue:
        place = queue.database.path
        served.require_way(place, "host")
        with pytest.raises(EngineError, match="is this machine itself") as refused:
            served.require_way(place, "clx_app-network")
    assert "docker.network host" in refused.value.next_step


def test_a_socket_cannot_be_had_where_containers_run_in_a_machine_of_their_own(
    placed: NetworkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Queue.open(placed.url("inside")) as queue:
        place = queue.database.path
        served.require_way(place, "clx_app-network")
        monkeypatch.setattr(served, "surroundings", lambda _path: Surroundings("macos", ""))
        with pytest.raises(EngineError, match="by a socket of this machine") as refused:
            served.require_way(place, "clx_app-network")
    assert "Let the server listen on an address" in refused.value.next_step


def test_a_container_is_told_the_password_by_its_environment_and_mounts_the_artifacts_alone(
    placed: NetworkServer,
) -> None:
    pytest.importorskip("docker")
    url = placed.url("inside").replace("clx@", f"clx:{_QUOTED}@")
    with Queue.open(url) as queue:
        place = queue.database.path
        told = served.environment(place)
        found = parse(told["CLX_DATABASE__URL"])
        assert (found.host, found.port, found.database) == (str(placed.folder), str(placed.port), "inside")
        mounted = {each["Source"]: each["Target"] for each in served.mounts(place)}
        assert mounted == {
            str(place.parent / "artifacts"): str(served.inside_of(place).parent / "artifacts"),
            str(placed.folder): str(placed.folder),
        }
        assert PASSWORD not in str(found)
        assert _QUOTED not in parse(url).without_secrets()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_artifacts_of_this_machine_alone_are_refused_with_the_way_out(host: str, tmp_path: Path) -> None:
    """Before any worker is started: each job would wait for a server within its container."""
    url = f"http://{host}:8004"
    served.require_way_to_artifacts(url, "host")
    served.require_way_to_artifacts("http://db.example.org:8004", "clx_app-network")
    served.require_way_to_artifacts(None, "clx_app-network")
    with pytest.raises(EngineError, match="would be the container") as refused:
        served.require_way_to_artifacts(url, "clx_app-network")
    assert "docker.network host" in refused.value.next_step
    settings = Settings(artifacts=ArtifactsSettings(url=url))
    with Database.open(tmp_path / "jobs.db") as database, pytest.raises(EngineError, match="this machine itself"):
        require_ready(database, {"plantuml": "an-image"}, settings, print)
