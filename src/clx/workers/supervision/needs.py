"""Which workers are wanted, and what they are started with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from clx.jobtypes.registry import JOB_TYPES, pool_name
from clx.settings.resolve import Resolved


@dataclass(frozen=True, slots=True)
class Need:
    """Workers of one type that somebody wants.

    Attributes:
        type: their job type.
        count: how many.
        pool: whose jobs they take.
        config_source: where *count* came from: ``file:line``, a variable, an option or ``default``.
        mode: ``direct`` or ``docker``.
        image: the container image; docker only.
        mode_source: where *mode* came from, as with *config_source*.
        auto_start_source: where it came from whether a build may start workers.
        image_id: what *image* was when *pool* was named after it, whatever it is called by then.
        image_source: where *image* came from, as with *config_source*.
    """

    type: str
    count: int
    pool: str
    config_source: str
    mode: str = "direct"
    image: str | None = None
    mode_source: str = "default"
    auto_start_source: str = "default"
    image_id: str | None = None
    image_source: str = "default"

    @property
    def source(self) -> str:
        """Where what these workers are was set: number, mode and image, each place once (REQ-8.1).

        Of a plain subprocess whose number was set that is where the number was.
        """
        contained = [self.mode_source, self.image_source] if self.mode == "docker" else []
        parts = [each for each in dict.fromkeys([self.config_source, *contained]) if each != "default"]
        return ", ".join(parts) or self.mode_source


def configured_needs(resolved: Resolved, types: Iterable[str] = tuple(JOB_TYPES)) -> list[Need]:
    """The workers that the settings ask for, types with a count of 0 left out.

    Raises:
        SettingsError: docker mode without an image.
    """
    found = []
    for type_ in types:
        worker = resolved.worker(type_)
        if worker.count > 0:
            tools = fingerprint(resolved, type_)
            pool = pool_name(worker.mode, tools)
            found.append(
                Need(
                    type_,
                    worker.count,
                    pool,
                    str(worker.count_origin),
                    worker.mode,
                    worker.image,
                    mode_source=str(worker.mode_origin),
                    image_id=image_id(worker.mode, tools),
                    image_source=str(worker.image_origin),
                )
            )
    return found


def fingerprint(resolved: Resolved, type_: str, *, fetch: bool = True) -> dict[str, str]:
    """What results of *type_* depend on besides their inputs: this machine's tools, or the container image.

    Args:
        fetch: pull an image that is not here where that is allowed; else nothing made so far is of that image.

    Raises:
        SettingsError: docker mode without an image.
        UntrustedError: the project's settings name a program or image that was not trusted.
        ToolMissingError: the interpreter of ``notebook.python`` cannot be run.
        EngineError: the image is not there and cannot be had, or the engine does not answer.
    """
    worker = resolved.worker(type_)
    resolved.require_trusted(type_)  # every worker is started, and every result named, by way of here
    if worker.mode == "docker" and worker.image is not None:
        from clx.workers.executors.docker.images import image_fingerprint

        return image_fingerprint(type_, worker.image, resolved.settings.docker, fetch=fetch)
    with resolved.blamed():
        return JOB_TYPES[type_].fingerprint(resolved.settings)


def image_id(mode: str, tools: Mapping[str, str]) -> str | None:
    """The image that a fingerprint is of; None for that of this machine's tools."""
    return tools["image"] if mode == "docker" else None


class Fingerprints(Mapping[str, dict[str, str]]):
    """The fingerprint of every worker type, each looked up when it is first asked for.

    A course without diagrams so needs no image for them.

    Args:
        fetch: as :func:`fingerprint` takes it.
    """

    def __init__(self, resolved: Resolved, *, fetch: bool = True) -> None:
        self._resolved = resolved
        self._fetch = fetch
        self._found: dict[str, dict[str, str]] = {}

    def __getitem__(self, type_: str) -> dict[str, str]:
        if type_ not in JOB_TYPES:
            raise KeyError(type_)
        if type_ not in self._found:
            self._found[type_] = fingerprint(self._resolved, type_, fetch=self._fetch)
        return self._found[type_]

    def __iter__(self) -> Iterator[str]:
        return iter(JOB_TYPES)

    def __len__(self) -> int:
        return len(JOB_TYPES)
