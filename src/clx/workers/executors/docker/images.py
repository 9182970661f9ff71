"""Container images: which one a worker type runs in, whether it is there, and whether it fits this CLX."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from clx import __version__
from clx.db.durations import counted
from clx.errors import EngineError
from clx.settings.schema import ROUTINE_WORKERS, ROUTINES_IN, DockerSettings
from clx.workers.executors.docker.engine import ANSWER_LIMIT, connect, engine_errors, look_up
from clx.workers.executors.docker.wheel import digest_of_running

log = logging.getLogger("clx.docker")

VERSION_LABEL = "clx.version"
TYPE_LABEL = "clx.type"
CODE_LABEL = "clx.code"
CONTEXT_LABEL = "clx.context"

_LABELS = {"type": TYPE_LABEL, "version": VERSION_LABEL, "code": CODE_LABEL, "context": CONTEXT_LABEL}


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is there; empty is what it does not say of itself."""

    name: str
    """What it was asked for by."""
    id: str
    """``sha256:…`` of its configuration; two images with one id are the same."""
    type: str
    """The worker type it is for."""
    version: str
    """The version of CLX inside."""
    size: int
    """Bytes."""
    code: str = ""
    """Digest of the CLX inside (:mod:`clx.workers.executors.docker.wheel`)."""
    context: str = ""
    """Digest of what it was built from."""


def find(client: Any, name: str) -> Image | None:
    """The image called *name*, or None when it is not there."""
    try:
        found = look_up(lambda: client.images.get(name), f"look up the image {name}")
    except EngineError as error:
        if "invalid reference format" in error.fact:
            raise EngineError(
                f"{name} is no name of an image: {error.fact.rpartition('invalid reference format')[2].lstrip(': ')}",
                "Correct it where it is named (--base-image, workers.<type>.image): lower case, NAME:TAG.",
            ) from error
        raise
    if found is None:
        return None
    labels = found.attrs["Config"].get("Labels") or {}
    says = {key: labels.get(label, "") for key, label in _LABELS.items()}
    return Image(name, found.id, size=found.attrs["Size"], **says)


def obtain(client: Any, type_: str, name: str, settings: DockerSettings) -> Image:
    """The image that *type_* workers are to run in, pulled where that is needed and allowed.

    Raises:
        EngineError: it is not there and cannot be had, or it holds another CLX than this one.
    """
    image = find(client, name)
    if image is None:
        if not settings.auto_pull or not _may_be_elsewhere(name):
            raise _missing(type_, name)
        _pull(type_, name, settings.pull_timeout)
        image = find(client, name)
    if image is None:
        raise _missing(type_, name)
    if wrong := misfit(image, type_):
        raise wrong
    return image


def image_fingerprint(type_: str, name: str, settings: DockerSettings, *, fetch: bool = True) -> dict[str, str]:
    """What results made in a container depend on: this CLX and the image, by its id.

    Args:
        fetch: pull one that is not here; else its name stands for it.
    """
    with closing(connect()) as client:
        if not fetch and settings.auto_pull and _may_be_elsewhere(name) and find(client, name) is None:
            return {"clx": __version__, "image": name}
        return {"clx": __version__, "image": obtain(client, type_, name, settings).id}


def _may_be_elsewhere(name: str) -> bool:
    """Whether a registry could have it: plain names such as ``clx-notebook:0.1.0`` are built here, not published."""
    return "/" in name


def _missing(type_: str, name: str) -> EngineError:
    built = ROUTINES_IN if type_ in ROUTINE_WORKERS else type_
    return EngineError(
        f"The image {name} for {type_} workers is not there.",
        f"Type: clx docker build {built} (or name another in workers.{type_}.image, or use --workers direct)",
    )


def misfit(image: Image, type_: str) -> EngineError | None:
    """Why *image* is none that *type_* workers of this CLX can run in; None where it is one."""
    if not image.version:
        return EngineError(
            f"The image {image.name} is no CLX worker image: it has no label {VERSION_LABEL}.",
            f"Type: clx docker build {type_}, or correct workers.{type_}.image.",
        )
    if type_ in ROUTINE_WORKERS:  # any image of CLX will do
        type_ = image.type or ROUTINES_IN
    if image.type != type_:
        return EngineError(
            f"The image {image.name} is for {image.type or 'unknown'} workers, not for {type_}.",
            f"Correct workers.{type_}.image.",
        )
    if image.version != __version__:
        return EngineError(
            f"The image {image.name} holds CLX {image.version}; this is CLX {__version__}.",
            f"Type: clx docker build {type_}, or name an image of version {__version__} in workers.{type_}.image.",
        )
    if image.code != digest_of_running():
        return EngineError(
            f"The image {image.name} holds CLX {image.version} too, but its code is not that of this one.",
            f"Type: clx docker build {type_}, and build anew what is made from it; or correct workers.{type_}.image.",
        )
    return None


def _pull(type_: str, name: str, limit: float) -> None:
    """Fetch an image within *limit* seconds; the engine itself knows no such bound."""
    log.info("pulling %s", name)
    failure: list[EngineError] = []
    thread = threading.Thread(target=_pull_now, args=(name, limit, failure), name=f"pull {name}", daemon=True)
    thread.start()
    thread.join(limit)
    if thread.is_alive():
        raise EngineError(
            f"The image {name} for {type_} workers was not pulled within {counted(limit, 'second')}.",
            f"Type: docker pull {name} (or raise docker.pull_timeout, or: clx docker build {type_})",
        )
    if failure:
        raise failure[0]


def _pull_now(name: str, limit: float, failure: list[EngineError]) -> None:
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(name)
    try:
        with engine_errors(f"pull the image {name}"), closing(connect(limit + ANSWER_LIMIT)) as client:
            lines = client.api.pull(repository, tag=tag or "latest", stream=True, decode=True)
            said = next((line["error"] for line in lines if "error" in line), None)
        fact = f"The image {name} cannot be pulled: {said}" if said else ""
    except EngineError as error:
        fact = error.fact
    if fact:
        failure.append(EngineError(fact, f"Check the name, or type: docker pull {name}"))
