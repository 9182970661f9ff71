"""Which workers the settings ask for, and what their results depend on.

Docker mode without an image is a SettingsError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from clx.jobtypes.registry import JOB_TYPES
from clx.settings.resolve import EffectiveWorker, Resolved
from clx.settings.schema import Settings
from clx.workers.executors.spec import WorkerSpec
from clx.workers.pools import artifacts_pool, pool_of


def configured_workers(
    resolved: Resolved, settings: Settings, database: Path, types: Iterable[str] | None = None
) -> list[WorkerSpec]:
    """The workers that the settings ask for, types with a count of 0 left out.

    Args:
        settings: what they are started with.
        database: whose jobs they take.
        types: of these job types; default: of all that services have workers of, tasks and workflows among them.

    Raises:
        SettingsError: docker mode without an image.
    """
    asked = resolved.served_types() if types is None else types
    workers = [worker for type_ in asked if (worker := resolved.worker(type_)).count > 0]
    found = [spec_of(worker, settings, database, fingerprint(resolved, worker.type)) for worker in workers]
    return found if types is not None else found + routine_workers(resolved, settings, database)


def routine_workers(resolved: Resolved, settings: Settings, database: Path) -> list[WorkerSpec]:
    """The workers for tasks and workflows that the settings ask for: none where they name no modules.

    Raises:
        UntrustedError: the project's settings name an interpreter or a directory that was not trusted.
        SettingsError: docker mode without an image.
    """
    found = []
    for worker in map(resolved.worker, resolved.routine_workers()):
        if worker.count > 0:
            resolved.require_trusted(worker.type)
            found.append(
                WorkerSpec(
                    *(worker.type, worker.count, artifacts_pool(database, settings), str(worker.count_origin)),
                    *(worker.mode, worker.image, settings),
                    mode_source=str(worker.mode_origin),
                    image_source=str(worker.image_origin),
                )
            )
    return found


def spec_of(worker: EffectiveWorker, settings: Settings, database: Path, tools: Mapping[str, str]) -> WorkerSpec:
    """Workers of one type as they were chosen, to take the jobs of *database* that depend on *tools*."""
    return WorkerSpec(
        *(worker.type, worker.count, pool_of(worker.mode, tools, database, settings), str(worker.count_origin)),
        *(worker.mode, worker.image, settings),
        image_id=image_id(worker.mode, tools),
        mode_source=str(worker.mode_origin),
        image_source=str(worker.image_origin),
    )


def fingerprint(resolved: Resolved, type_: str, *, fetch: bool = True) -> dict[str, str]:
    """What results of *type_* depend on besides their inputs: this machine's tools, or the container image.

    Args:
        fetch: pull an image that is not here where that is allowed; else nothing made so far is of that image.

    Raises:
        UntrustedError: the project's settings name a program or image that was not trusted.
        ToolMissingError: the interpreter of ``notebook.python`` cannot be run.
        EngineError: the image is not there and cannot be had, or the engine does not answer.
    """
    worker = resolved.worker(type_)
    resolved.require_trusted(type_)  # every worker is started, and every result named, by way of here
    if worker.mode == "docker" and worker.image is not None:
        from clx.workers.executors.docker.images import image_fingerprint  # nothing of it else

        return image_fingerprint(type_, worker.image, resolved.settings.docker, fetch=fetch)
    with resolved.blamed():
        return JOB_TYPES[type_].fingerprint(resolved.settings)


def image_id(mode: str, tools: Mapping[str, str]) -> str | None:
    """The image that a fingerprint is of; None for that of this machine's tools."""
    return tools["image"] if mode == "docker" else None


class Fingerprints(dict[str, dict[str, str]]):
    """The fingerprint of every worker type, each looked up when it is first asked for.

    A course without diagrams so needs no image for them.

    Args:
        fetch: as :func:`fingerprint` takes it.
    """

    def __init__(self, resolved: Resolved, *, fetch: bool = True) -> None:
        super().__init__()
        self._look_up = partial(fingerprint, resolved, fetch=fetch)

    def __missing__(self, type_: str) -> dict[str, str]:
        found = self[type_] = self._look_up(type_)
        return found
