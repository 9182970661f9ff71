"""Workers as containers: one bind mount (the database's directory), labels, limits, logs, a reaper.

Each has two connections to the engine: one to ask and to order, one on which a thread copies the container's output
until it ends.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec

from clx.db.apart import apart, is_apart, state_directory
from clx.db.workers import WorkerRow, WorkerTable
from clx.errors import EngineError
from clx.platforms import system
from clx.platforms.container import IMAGE_VARIABLE
from clx.remote.stores import TOKEN_VARIABLE, find_token
from clx.settings.job_types import SECTIONS
from clx.settings.reach import TOOLS
from clx.settings.schema import ROUTINE_WORKERS, Settings
from clx.workers.container_env import DATABASE_VARIABLE, SHARED_AS, inside
from clx.workers.executors.docker import served
from clx.workers.executors.docker.engine import (
    connect,
    engine_errors,
    is_ambiguous,
    is_conflict,
    is_known_to_hang,
    is_not_found,
    look_up,
    where_possible,
)
from clx.workers.executors.docker.images import find, obtain
from clx.workers.executors.docker.network import drop_network, ensure_network
from clx.workers.executors.docker.reaper import (
    DATABASE_LABEL,
    WORKER_LABEL,
    database_label,
    labels_of,
    start_reaper,
    worker_closed,
)
from clx.workers.executors.foreign_worker import log_of
from clx.workers.executors.spec import Spawn, words_for
from clx.workers.executors.worker_process import NOT_STARTED, WorkerProcess, new_log
from clx.workers.platforms import mount_source, surroundings

log = logging.getLogger("clx.docker")

_SIGNALS = {129: "SIGHUP", 130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
_ATTEMPTS = 3
_START_LIMIT = 60.0
"""Seconds the engine has to make a container, or to begin to hand over its output: on a busy machine it may need them,
and a worker that runs is not given up meanwhile."""
_CHECK_IT = "Correct docker.memory, docker.cpus or docker.network where it names them; else type: clx docker check"
_SHARED_MEMORY = "256m"
_HOME = "/home/clx"
_ROUTINES = ["python", "-P", "-m", "clx.routines.worker", "--mode", "docker"]
"""What runs tasks and workflows, in an image of whichever job type."""


class DockerWorker(WorkerProcess):
    """A worker in a container of its own.

    A thread starts the container, so that several start at once, and then follows it.

    Args:
        client: a connection to the engine, closed with the worker.
        container: the container, when it is there already.
        run: makes and starts the container, given a connection of the thread's own.
    """

    def __init__(
        self,
        spawn: Spawn,
        client: Any,
        log: Path,
        *,
        container: Any = None,
        run: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(spawn, log)
        self._client = client
        self._container = container
        self._run = run
        self._unwanted = False
        self._starting = threading.Lock()
        self._failure: EngineError | None = None
        self._state: dict[str, Any] = {}
        self.descriptor, self._ending = os.pipe()  # reaches its end when the container has ended
        self._watch = threading.Thread(target=self._follow, name="container watch", daemon=True)
        self._watch.start()

    def _follow(self) -> None:
        """Start the container where that is to be done, and copy its output until it, or the engine, is gone."""
        try:
            with engine_errors(), closing(connect(_START_LIMIT)) as client:
                self._begin(client)
                if self._container is not None:
                    self._copy(client)
                    client.api.wait(self._container.id, timeout=None)
        except EngineError as error:
            if self._container is None:
                self._failure = error
        finally:
            os.close(self._ending)

    def _begin(self, client: Any) -> None:
        with self._starting:
            if self._run is not None and not self._unwanted:
                self._container = self._client.containers.get(self._run(client).id)

    def _copy(self, client: Any) -> None:
        """Its output into the log; that of a container which another tool started stays with that tool."""
        from requests.exceptions import RequestException

        if not self.log.name:
            return
        try:
            with self.log.open("wb") as stream:
                for chunk in client.api.logs(self._container.id, stream=True, follow=True):
                    stream.write(chunk)
                    stream.flush()
        except RequestException:  # an OSError as well
            raise
        except OSError as error:  # the log cannot be written; the worker goes on without one
            log.warning("the output of a %s worker is not kept: %s", self.spawn.type, error)

    def is_alive(self) -> bool:
        return not self.wait(0.0)

    def ended_well(self) -> bool:
        return not self.is_alive() and self.cause() == {"kind": "exit", "code": 0}

    def is_row(self, row: WorkerRow) -> bool:
        return self._container is not None and bool(row.container_id == self._container.id)

    def tail(self) -> str:
        """The last lines of its output; where it was not started, the reason and the next step."""
        if self._failure is not None:
            return f"{self._failure.fact}\n{self._failure.next_step}"
        return super().tail()

    def cause(self) -> dict[str, object]:
        """``oom``, a signal, an exit code, or ``engine`` when the engine can no longer be asked."""
        state = self._inspect()
        if not state:
            return NOT_STARTED if self._failure else {"kind": "engine", "message": "the container is gone"}
        code = state["ExitCode"]
        if state["OOMKilled"]:
            return {"kind": "oom", "code": code, "limit": self.spawn.settings.docker.memory}
        if code in _SIGNALS:
            return {"kind": "signal", "signal": _SIGNALS[code]}
        return {"kind": "exit", "code": code}

    def _inspect(self) -> dict[str, Any]:
        def look() -> None:
            self._container.reload()
            self._state = self._container.attrs["State"]

        if not self._state and self._container is not None:
            where_possible(look)
        return self._state

    def terminate(self) -> None:
        if self.is_alive():
            self._signal("SIGTERM")

    def kill(self) -> None:
        """SIGKILL to everything in the container; also when it is paused."""
        if self.is_alive():
            self._signal("SIGKILL")

    def _signal(self, name: str) -> None:
        with self._starting:
            self._unwanted = True
        if self._container is not None:
            # gone, ended meanwhile, paused, or the engine is away: whoever waits sees which
            where_possible(lambda: self._container.kill(name))

    def close(self) -> None:
        """Remove the container if CLX made it, and the network when it was the last one in it."""
        if self.descriptor < 0:
            return
        self.ended_well()  # asked now and remembered: soon there is no container to ask about
        if self._container is not None and WORKER_LABEL in self._container.labels:
            _remove(self._container)
        _drop_network(self._client, self.spawn)
        self._watch.join(timeout=0 if is_known_to_hang() else 5)
        super().close()
        self._client.close()
        if self._run is not None:
            _let_go(self.spawn)


def start(spawn: Spawn, state_dir: Path) -> DockerWorker:
    """Start one worker in a container.

    Raises:
        EngineError: the engine does not answer, the image cannot be had, or the database lies where no container
            may look. A container that does not start is one that ends: its tail says why.
    """
    require_place(spawn.database, spawn.settings.docker.network)
    served.require_way_to_artifacts(spawn.settings.artifacts.url, spawn.settings.docker.network)
    file = new_log(spawn, state_dir)
    with ExitStack() as undone:
        client = undone.enter_context(closing(connect()))
        image = _image_id(client, spawn)
        if spawn.service is None:
            start_reaper(spawn.database, spawn.settings.docker.network)
        undone.callback(_let_go, spawn)
        ensure_network(client, spawn.settings.docker.network)
        undone.pop_all()
    return DockerWorker(spawn, client, file, run=lambda own: _run(own, spawn, image, file.name))


def _image_id(client: Any, spawn: Spawn) -> str:
    """The image of which the results are to be: its name may mean another one by now."""
    if spawn.image_id is None:
        return obtain(client, spawn.type, spawn.image or "", spawn.settings.docker).id
    if find(client, spawn.image_id) is None:
        raise EngineError(
            f"The image that {spawn.image} was when its {spawn.type} workers were asked for is not there any more.",
            "Type the command again: it takes the image that has the name now.",
        )
    return spawn.image_id


def _let_go(spawn: Spawn) -> None:
    """Undo what was done for a worker that :func:`start` started or was about to start."""
    if spawn.service is None:
        worker_closed(spawn.database, spawn.settings.docker.network)


def attach(row: WorkerRow, spawn: Spawn, table: WorkerTable) -> DockerWorker:
    """A living worker that another process, or another tool, started."""
    with ExitStack() as undone:
        client = undone.enter_context(closing(connect()))
        container = find_container(client, row.container_id)
        if container is not None and not _serves(container, table.database.path):
            log.warning("worker %s names a container that serves another purpose; it is left alone", row.id)
            container = None
        undone.pop_all()
    worker = DockerWorker(spawn, client, log_of(row.id, table), container=container)
    worker.worker_id = row.id
    return worker


def find_container(client: Any, container_id: str | None) -> Any:
    """The container of that id, or None when it is gone."""
    if not container_id:
        return None
    return look_up(lambda: client.containers.get(container_id), f"look up the container {container_id}")


def _serves(container: Any, database: Path) -> bool:
    """Whether it is a worker's on *database*: a row that a job has written may name any container of the engine."""
    if container.labels.get(DATABASE_LABEL) == database_label(database):
        return True
    sources = [each.get("Source", "") for each in container.attrs["Mounts"] if each.get("Destination") == "/clx/data"]
    here = surroundings(database).platform == "linux"  # elsewhere the engine names directories in its own way
    return bool(sources) and (not here or os.path.realpath(sources[0]) == os.path.realpath(database.parent))


def _run(client: Any, spawn: Spawn, image: str, log_name: str) -> Any:
    """A running container. Names that are taken and networks that somebody removed in between are met."""
    options = _options(client, spawn, log_name)
    for attempt in range(1, _ATTEMPTS + 1):
        name = f"clx-{spawn.type}-{secrets.token_hex(4)}"
        container = None
        try:
            with engine_errors(f"start the container {name} from {spawn.image}"):
                container = client.containers.create(image, name=name, **options)
                container.start()
            return container
        except EngineError as error:
            if container is not None:
                _remove(container)
            if attempt == _ATTEMPTS or not (is_not_found(error) or is_conflict(error) or is_ambiguous(error)):
                _drop_network(client, spawn)
                raise EngineError(error.fact, error.next_step or _CHECK_IT) from error
            ensure_network(client, spawn.settings.docker.network)
    raise AssertionError


def _drop_network(client: Any, spawn: Spawn) -> None:
    where_possible(lambda: drop_network(client, spawn.settings.docker.network))


def _remove(container: Any) -> None:
    where_possible(lambda: container.remove(force=True, v=True))


def _options(client: Any, spawn: Spawn, log_name: str) -> dict[str, Any]:
    docker, is_served = spawn.settings.docker, served.is_served(spawn.database)
    user = invoking_user(client)
    return {
        "command": words_for(spawn, database_inside_of(spawn.database), settings_inside(spawn.settings), log_name),
        "labels": labels_of(spawn),
        "environment": {
            DATABASE_VARIABLE: database_inside_of(spawn.database),
            IMAGE_VARIABLE: spawn.image or "",
            "HOME": _HOME,
            "USER": "clx",
            **({TOKEN_VARIABLE: token} if (token := find_token(spawn.settings.artifacts)) else {}),
            **(served.environment(spawn.database) if is_served else {}),
        },
        "mounts": [
            *(served.mounts(spawn.database) if is_served else [bind(spawn.database)]),
            *module_mounts(spawn),
        ],
        **({"entrypoint": _ROUTINES} if spawn.type in ROUTINE_WORKERS else {}),
        "tmpfs": {_HOME: "rw,exec,mode=1777", **(served.memory(spawn.database) if is_served else {})},
        "network": docker.network,
        "init": True,
        "user": user,
        "mem_limit": docker.memory,
        "memswap_limit": docker.memory,
        "nano_cpus": int(docker.cpus * 1e9) if docker.cpus else None,
        "shm_size": _SHARED_MEMORY,
        "security_opt": ["no-new-privileges"],
        # root needs its capabilities to write where another user owns the directory
        "cap_drop": None if user in {"0:0", ""} else ["ALL"],
    }  # fmt: skip


def settings_inside(settings: Settings) -> Settings:
    """*settings* as they hold inside a container: an image brings its own tools, so no path of this machine."""
    replace = msgspec.structs.replace
    bare: dict[str, Any] = {}
    for key in {key for type_ in SECTIONS for key in TOOLS[type_]}:  # a type may use the tool of another one
        section, _, field = key.rpartition(".")
        bare[section] = replace(bare.get(section, getattr(settings, section)), **{field: None})
    path = tuple(modules_inside(number) for number, _ in enumerate(settings.python.path))
    return replace(settings, **bare, python=replace(settings.python, interpreter=None, path=path))


def modules_inside(number: int) -> str:
    """Where a container sees the directory of that number in ``python.path``."""
    return f"/clx/modules/{number}"


def module_mounts(spawn: Spawn) -> list[Any]:
    """The directories of the modules of tasks and workflows, which a container may read.

    Raises:
        EngineError: one holds the state of services.
    """
    from docker.types import Mount

    found = []
    for number, each in enumerate(spawn.settings.python.path if spawn.type in ROUTINE_WORKERS else ()):
        path = Path(os.path.realpath(each))
        if Path(os.path.realpath(state_directory(spawn.database))).is_relative_to(path):
            raise EngineError(
                f"{each} has the modules of tasks, and the state of services, which no container may see.",
                "Keep modules in a directory of their own, as src: clx config set python.path src",
            )
        source = mount_source(str(path), surroundings(spawn.database).platform)
        found.append(Mount(modules_inside(number), source, type="bind", read_only=True))
    return found


def database_inside_of(database: Path) -> str:
    """Where a container sees *database*."""
    if served.is_served(database):
        return str(served.inside_of(database))
    return inside(SHARED_AS, database.name)


def require_place(database: Path, network: str) -> None:
    """See that a container can get at the database, and at nothing else."""
    if served.is_served(database):
        served.require_way(database, network)
    else:
        require_apart(database)


def require_apart(database: Path) -> None:
    """See that a container which gets the directory of *database* sees nothing else there that no job may write."""
    if not is_apart(database):
        raise EngineError(
            f"{database} lies beside settings and the state of services, which no container may write.",
            f"Type the command again: it moves the database to {apart(database)}.",
        )


def bind(database: Path) -> Any:
    """The bind mount of the directory that holds *database* and nothing else of this machine.

    The directory and never the file: in WAL mode a file mount reads silently empty. As a mount and not as a
    volume string, because the engine silently makes a missing directory for the latter.
    """
    from docker.types import Mount

    source = mount_source(str(database.parent), surroundings(database).platform)
    return Mount("/clx/data", source, type="bind")


def invoking_user(client: Any) -> str:
    """``uid:gid`` a container runs as, so that its files are this user's; empty: the image's own.

    Under a rootless engine the container's root is this user.
    """
    if system.user_id() is None:
        return ""
    with engine_errors():
        rootless = any("rootless" in option for option in client.info().get("SecurityOptions") or ())
    return "0:0" if rootless else f"{system.user_id()}:{system.group_id()}"
