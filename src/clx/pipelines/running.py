"""Pipelines deployed and looked at from a program: on a database, or on a server.

::

    import clx.pipelines

    made = clx.pipelines.deploy("pipeline.yaml")
    for pipeline in clx.pipelines.wait(made.config):
        print(pipeline["status"], [(step["name"], step["status"]) for step in pipeline["steps"]])
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from clx.errors import UsageError
from clx.settings.problems import shortened

if TYPE_CHECKING:
    from clx.db.pipelines.models import ConfigDefinition
    from clx.db.pipelines.table import Deployed
    from clx.pipelines.definition import Config

Where = Any
"""A path, a URL, a :class:`~clx.db.jobs.Queue`; None: as :func:`clx.work.at` or the settings say."""
Document = dict[str, Any]


class Store(Protocol):
    """What keeps pipelines; :class:`clx.db.pipelines.table.Pipelines` says what each of these means."""

    def deploy(self, config: ConfigDefinition) -> Deployed: ...
    def pause(self, ids: Iterable[str]) -> list[str]: ...
    def resume(self, ids: Iterable[str]) -> list[str]: ...
    def stop(self, ids: Iterable[str]) -> list[str]: ...
    def retry(self, ids: Iterable[str]) -> list[str]: ...
    def remove(self, ids: Iterable[str]) -> list[str]: ...
    def configs(
        self, *, ids: Iterable[str] | None = None, name: str | None = None, pipeline: str | None = None,
        limit: int = 1000,
    ) -> list[Document]: ...  # fmt: skip
    def find(
        self, *, ids: Iterable[str] | None = None, name: str | None = None, config: str | None = None,
        status: Sequence[str] = (), limit: int = 1000,
    ) -> list[Document]: ...  # fmt: skip
    def wait(self, ids: Iterable[str], timeout: float | None = None) -> list[Document]: ...


def store(where: Where = None) -> Store:
    """What keeps the pipelines beside the works *where* these lie.

    Raises:
        UsageError, DatabaseError: it cannot be opened.
    """
    from clx.work.place import store as works

    found: Store = works(where).pipelines
    return found


def deploy(source: str | os.PathLike[str] | Config, *, where: Where = None, user: str | None = None) -> Deployed:
    """Deploy a pipeline file; the works of the first stage of its pipelines can be withdrawn when this returns.

    Args:
        source: its path; or what :func:`clx.pipelines.document.read` has made of a text.
        user: who deploys it, where the file does not say; None: the login name.

    Returns:
        The id of the config (``config``), and those of its pipelines (``pipelines``).

    Raises:
        PipelineProblems: it cannot be used as it is written: everything that is wrong.
        UsageError, DatabaseError, ServerError: where it is to lie cannot be used.
    """
    from clx.pipelines.document import load
    from clx.pipelines.planning import planned

    config = load(Path(source)) if isinstance(source, str | os.PathLike) else source
    return store(where).deploy(planned(config, user=user))


def show(pipeline_id: str, *, where: Where = None) -> Document:
    """A pipeline with its steps as they are now.

    Raises:
        UsageError: there is none of that id.
    """
    for found in store(where).find(ids=[pipeline_id], limit=1):
        return found
    raise UsageError(f"There is no pipeline {shortened(str(pipeline_id))}.", "See `clx pipelines list`.")


def search(
    *, name: str | None = None, config: str | None = None, status: Sequence[str] = (), limit: int = 100,
    where: Where = None,
) -> list[Document]:  # fmt: skip
    """Pipelines that fit everything given, newest first."""
    return store(where).find(name=name, config=config, status=status, limit=limit)


def configs(*, name: str | None = None, limit: int = 100, where: Where = None) -> list[Document]:
    """What was deployed, newest first."""
    return store(where).configs(name=name, limit=limit)


def pause(*ids: str, where: Where = None) -> list[str]:
    """Begin no stage and give out no work of pipelines until they are resumed; returns those that are paused now."""
    return store(where).pause(ids)


def resume(*ids: str, where: Where = None) -> list[str]:
    """Let paused pipelines go on; returns those that do."""
    return store(where).resume(ids)


def stop(*ids: str, where: Where = None) -> list[str]:
    """Cancel pipelines with their works; returns those that were live."""
    return store(where).stop(ids)


def retry(*ids: str, where: Where = None) -> list[str]:
    """Let failed and cancelled pipelines go on from the first stage that did not succeed; returns those that do."""
    return store(where).retry(ids)


def remove(*ids: str, where: Where = None) -> list[str]:
    """Remove pipelines and configs that have ended, not their works; returns what was removed."""
    return store(where).remove(ids)


def wait(*ids: str, timeout: float | None = None, where: Where = None) -> list[Document]:
    """Wait until pipelines have ended, or for *timeout* seconds; returns them as they are then."""
    return store(where).wait(ids, timeout)
