"""Workers for a program: :class:`WorkerPoolManager` starts them, keeps them up and ends them with the program.

::

    from clx.workers import WorkerConfig, WorkerPoolManager

    with WorkerPoolManager("jobs.db", worker_configs=[WorkerConfig("plantuml", count=2)]) as pools:
        ...  # queue jobs in pools.pool("plantuml"); two workers take them
        print(pools.get_worker_stats())

``examples/worker_pool.py`` is a whole program.
Without ``worker_configs`` the settings decide, and without settings there is one worker of each type.
For workers that outlive the program see ``clx start-services``.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from clx.db.apart import link, state_directory
from clx.db.database import Database
from clx.errors import SettingsError, WorkerStartupError
from clx.jobtypes.registry import JOB_TYPES
from clx.platforms import system
from clx.settings.origin import OptionValue
from clx.settings.problems import Problem, did_you_mean, raise_problems
from clx.settings.resolve import Resolved, resolve
from clx.workers.executors.docker.reaper import dismiss_idle_reapers
from clx.workers.executors.spec import are_there, images_of
from clx.workers.liveness import mark_lost
from clx.workers.platforms import database_options
from clx.workers.supervision.checks import place_database, require_ready, settings_for
from clx.workers.supervision.configured_workers import configured_workers
from clx.workers.supervision.registration import await_registration
from clx.workers.supervision.restart_policy import RestartingGroup
from clx.workers.supervision.status import worker_statuses

log = logging.getLogger("clx.workers")

_NUMBERS = ("total", "idle", "busy", "hung", "dead", "jobs_succeeded", "jobs_failed")


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """Workers of one type."""

    worker_type: str
    """``notebook``, ``plantuml`` or ``drawio``."""
    count: int = 1
    execution_mode: Literal["direct", "docker"] | None = None
    """None: as the settings say."""
    image: str | None = None
    """The container image, needed in docker mode; None: the one that the settings name for the type."""


class WorkerPoolManager:
    """Workers of one database that live as long as this object, and at most as long as this process.

    Args:
        db_path: the job table, made where there is none.
        workspace_path: where settings are looked for; default: the database's directory.
        worker_configs: which workers; default: as the settings say.
        network_name: Docker network the containers join; default: as the settings say.
        log_level: ``debug``, ``info``, ``warning`` or ``error``: what reaches the log files.

    Raises:
        SettingsError: a setting or one of *worker_configs* is wrong.
        DatabaseError: the database cannot be used.

    Safe to use from several threads. Usable as a context manager: starts the pools and monitors them,
    and closes at the end.
    """

    def __init__(
        self,
        db_path: Path | str,
        workspace_path: Path | str | None = None,
        worker_configs: Sequence[WorkerConfig] | None = None,
        *,
        network_name: str | None = None,
        log_level: str | None = None,
    ) -> None:
        named = Path(db_path).absolute()
        options = _options(worker_configs, network_name, log_level)
        resolved = resolve(Path(workspace_path or state_directory(named).parent), options=options)
        _require_images(worker_configs or (), resolved)
        types = None if worker_configs is None else [each.worker_type for each in worker_configs]
        self._resolved = resolved
        path = place_database(resolved, named)
        self._settings = settings_for(resolved, path)
        self._wanted = configured_workers(resolved, self._settings, path, types)
        self.database = Database.open(path, **database_options(self._settings))
        link(named)
        self._group = RestartingGroup(self.database, self._settings, log.warning)
        self._lock = threading.RLock()
        self._closed = False
        self._monitor: threading.Thread | None = None
        self._end_monitor: socket.socket | None = None

    # -- starting ---------------------------------------------------------------------------------

    def start_pools(self) -> dict[str, list[int]]:
        """Start the workers and wait until all have registered.

        Returns:
            Worker type → ids.

        Raises:
            ToolMissingError, EngineError: what a type needs is not there; nothing was started.
            WorkerStartupError: a worker did not start; all are ended again.
        """
        with self._resolved.blamed():
            require_ready(self.database, images_of(self._wanted), self._settings, log.warning)
        with self._lock:
            self._group.want(self._wanted)
        try:
            await_registration(self.database, self._settings.workers, self._have_registered)
        except BaseException:
            self.stop_pools(timeout=1.0)
            raise
        with self._lock:
            return {
                each.type: sorted(member.worker_id or 0 for member in self._group.of(*each.key))
                for each in self._wanted
            }

    def _have_registered(self, _waited: float) -> bool:
        if self._look():
            return True
        for fact, next_step in self._group.given_up.values():
            raise WorkerStartupError(fact, next_step)
        return False

    def _look(self) -> bool:
        """Tend the workers once; whether every wanted one has registered."""
        with self._lock:
            self._group.tend()
            self._group.reconcile()
            registered = (member.spawn.key for member in self._group.members if member.worker_id is not None)
            return are_there(self._wanted, registered)

    def start_monitoring(self, check_interval: float = 1.0) -> None:
        """Keep the workers up from a thread of its own: one that ends is noticed at once and replaced.

        Args:
            check_interval: seconds between two looks at what cannot be noticed at once, such as containers.
        """
        if self._monitor is None:
            ending, self._end_monitor = socket.socketpair()
            self._monitor = threading.Thread(
                target=self._keep, args=(check_interval, ending), name="clx pools", daemon=True
            )
            self._monitor.start()

    def _keep(self, interval: float, ending: socket.socket) -> None:
        with ending:
            while not self._await_death(interval, ending):
                try:
                    self._look()
                except Exception:
                    log.exception("looking after the workers failed; it is tried again")
                    if system.wait_readable([ending], interval):
                        return

    def _await_death(self, interval: float, ending: socket.socket) -> bool:
        """Until a worker ends, or for *interval* seconds; true when the monitoring is to end."""
        with self._lock:
            waiting = [ending.fileno(), *self._group.descriptors()]
        try:
            return ending.fileno() in system.wait_readable(waiting, interval)
        except (OSError, ValueError):  # somebody else has just buried one of them
            return False

    def stop_monitoring(self) -> None:
        """Look after the workers no more; they go on. Idempotent."""
        if self._monitor is not None and self._end_monitor is not None:
            self._end_monitor.close()
            self._monitor.join()
            self._monitor = self._end_monitor = None

    def pool(self, worker_type: str) -> str:
        """The pool to queue jobs in for these workers; names their mode, version and tools.

        Raises:
            KeyError: there are none of this type.
        """
        return {each.type: each.pool for each in self._wanted}[worker_type]

    # -- looking ----------------------------------------------------------------------------------

    def get_worker_stats(self) -> dict[str, dict[str, int]]:
        """Per worker type: how many are ``idle``, ``busy``, ``hung``, ``dead``; their jobs done and failed."""
        found: dict[str, dict[str, int]] = {}
        for member in worker_statuses(self.database, self._settings.jobs):
            numbers = found.setdefault(member.row.type, dict.fromkeys(_NUMBERS, 0))
            numbers["total"] += 1
            numbers[member.status] = numbers.get(member.status, 0) + 1
            numbers["jobs_succeeded"] += member.row.jobs_succeeded
            numbers["jobs_failed"] += member.row.jobs_failed
        return found

    def cleanup_stale_workers(self) -> int:
        """Mark dead the workers of this database that are gone, and give their jobs to others; returns how many."""
        with self._lock:
            mine = {member.worker_id for member in self._group.members}
            return len(mark_lost(self.database, self._settings.jobs, spare=mine))

    # -- ending -----------------------------------------------------------------------------------

    def stop_pools(self, timeout: float | None = None) -> None:
        """End the workers; jobs not finished within *timeout* seconds (default: the grace period) are handed back."""
        self.stop_monitoring()
        with self._lock:
            self._group.stop(
                grace=self._settings.workers.grace_period if timeout is None else timeout, reason="pools were stopped"
            )
            self._group = RestartingGroup(self.database, self._settings, log.warning)
        dismiss_idle_reapers()

    def close(self) -> None:
        """End the workers and close the database. Idempotent."""
        if not self._closed:
            self.stop_pools()
            self.database.close()
            self._closed = True

    def __enter__(self) -> Self:
        try:
            self.start_pools()
        except BaseException:
            self.close()
            raise
        self.start_monitoring()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _options(configs: Sequence[WorkerConfig] | None, network: str | None, level: str | None) -> dict[str, OptionValue]:
    found = {
        "docker.network": OptionValue(network, "network_name"),
        "logging.level": OptionValue(level.lower() if level else None, "log_level"),
    }
    for each in configs or ():
        _check(each)
        own, source = f"workers.{each.worker_type}", f"WorkerConfig({each.worker_type!r})"
        if f"{own}.count" in found:
            raise SettingsError(f"There are two {source}.", "Give one for each type.")
        found[f"{own}.count"] = OptionValue(each.count, source)
        found[f"{own}.execution_mode"] = OptionValue(each.execution_mode, source)
        found[f"{own}.image"] = OptionValue(each.image, source)
    return found


def _check(config: WorkerConfig) -> None:
    """See what the settings, which are read from text, would take for something else."""
    type_, count = config.worker_type, config.count
    if type_ not in JOB_TYPES:
        raise SettingsError(f'"{type_}" is not a worker type.', did_you_mean(type_, JOB_TYPES))
    if not isinstance(count, int) or isinstance(count, bool):
        raise SettingsError(f"WorkerConfig({type_!r}): {count!r} is not a whole number.", "Give it count=1, say.")


def _require_images(configs: Sequence[WorkerConfig], resolved: Resolved) -> None:
    """See that an image is named for whatever is to run in containers (REQ-2.2); no default is taken from a program."""
    problems = [
        Problem(
            f"WorkerConfig({each.worker_type!r})",
            f'execution_mode is "docker", but no image is named: {each.worker_type} workers need one',
            f"Give it image=…, or set workers.{each.worker_type}.image.",
        )
        for each in configs
        if each.execution_mode == "docker"
        and each.count > 0
        and resolved.origin(f"workers.{each.worker_type}.image").kind == "default"
    ]
    raise_problems(problems, SettingsError, "worker_configs")
