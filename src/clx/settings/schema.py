"""Every setting CLX knows: its type, its default and what it means.

The structures here are plain data. Where a value came from is kept beside it by
:mod:`clx.settings.resolve`; nothing in this module reads a file or a variable.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Reach = Literal["program", "image", "place", "network", "pull", "mode", "own"]
"""What a setting makes the machine do outside of the project that wrote it; :mod:`clx.settings.reach` decides by it."""


def _reach(kind: Reach) -> dict[str, Reach]:
    return {"reach": kind}


ExecutionMode = Literal["direct", "docker"]
Count = Annotated[int, Meta(ge=0, le=256)]
Seconds = Annotated[float, Meta(gt=0, le=7 * 24 * 3600)]

# Text that names something is never empty, and every kind of it says what it reaches.
Program = Annotated[str, Meta(min_length=1, extra=_reach("program"))]
"""What is run on this machine."""
Image = Annotated[str, Meta(min_length=1, extra=_reach("image"))]
"""What is fetched and run in a container."""
Place = Annotated[str, Meta(min_length=1, extra=_reach("place"))]
"""What is opened and written."""
Network = Annotated[str, Meta(min_length=1, extra=_reach("network"))]
"""What containers can talk to."""
OwnPlace = Annotated[str, Meta(min_length=1, extra=_reach("own"))]
"""What only the user can name."""
Pull = Annotated[bool, Meta(extra=_reach("pull"))]
"""Whether a registry is asked."""
Mode = Annotated[ExecutionMode, Meta(extra=_reach("mode"))]
"""Whether the code of a course runs in containers."""


class Section(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Base of all settings sections: unknown keys are errors, values never change."""


class WorkerTypeSettings(Section, frozen=True):
    """``[workers.<type>]``: what differs from ``[workers]`` for one worker type."""

    execution_mode: Mode | None = None
    """``direct`` or ``docker``; unset: ``workers.default_execution_mode``."""
    count: Count | None = None
    """How many workers to start; 0 means none of this type; unset: ``workers.default_worker_count``."""
    image: Image | None = None
    """Container image; required where the execution mode is ``docker`` (REQ-2.2)."""


class WorkersSettings(Section, frozen=True):
    """``[workers]``: which workers a build or a service starts (REQ-2.1)."""

    default_execution_mode: Mode = "direct"
    """How workers run unless their type says otherwise."""
    default_worker_count: Count = 1
    """Workers per type unless the type says otherwise."""
    auto_start: bool = True
    """Whether a build may start workers; if false it uses those that are there or fails with exit code 3."""
    startup_retries: Annotated[int, Meta(ge=0, le=100)] = 3
    """How often a worker that failed to start is started again (REQ-7.2)."""
    startup_timeout: Seconds = 30.0
    """Seconds within which a started worker must have registered."""
    grace_period: Seconds = 5.0
    """Seconds a worker has on SIGTERM to finish its job before it hands it back."""
    notebook: WorkerTypeSettings = WorkerTypeSettings()
    plantuml: WorkerTypeSettings = WorkerTypeSettings()
    drawio: WorkerTypeSettings = WorkerTypeSettings()


class DatabaseSettings(Section, frozen=True):
    """``[database]``: where the job table lies and how SQLite keeps it."""

    path: Place | None = None
    """The database file; unset: ``<course root>/.clx/jobs.db``."""
    journal_mode: Literal["auto", "wal", "delete"] = "auto"
    """``auto`` chooses from platform, worker mode and file system (REQ-4.1)."""
    busy_timeout: Seconds = 10.0
    """Seconds to wait for a lock that somebody else holds (60 in DELETE mode unless set)."""


class JobsSettings(Section, frozen=True):
    """``[jobs]``: the rules a job lives by."""

    lease: Seconds = 30.0
    """Seconds after which a silent worker's job is given to another."""
    heartbeat: Seconds = 5.0
    """Seconds between two renewals of a lease; at most half of it."""
    max_runs: Annotated[int, Meta(ge=1, le=100)] = 3
    """How many runs a job gets before it is failed."""
    timeout: Seconds = 1800.0
    """Seconds one run may take before its process group is killed."""


class NotebookSettings(Section, frozen=True):
    """``[notebook]``: how decks are executed."""

    cell_timeout: Seconds = 300.0
    """Seconds one cell may take."""
    python: Program | None = None
    """Interpreter whose packages the cells see; unset: the one CLX runs in."""


class PlantUmlSettings(Section, frozen=True):
    """``[plantuml]``: the diagram renderer for ``.pu``, ``.puml`` and ``.plantuml`` files."""

    jar: Program | None = None
    """Path of ``plantuml.jar``; unset: looked up as ``clx tools list`` shows."""
    java: Program | None = None
    """Java executable; unset: ``java`` on the path."""


class DrawioSettings(Section, frozen=True):
    """``[drawio]``: the diagram renderer for ``.drawio`` files."""

    executable: Program | None = None
    """draw.io desktop or a headless Chromium; unset: looked up as ``clx tools list`` shows."""
    scale: Annotated[float, Meta(gt=0, le=10)] = 2.0
    """Pixels per diagram unit in PNG files."""
    border: Annotated[int, Meta(ge=0, le=1000)] = 10
    """Empty margin around a page, in diagram units."""


class DiagramSettings(Section, frozen=True):
    """``[diagrams]``: what both diagram renderers produce."""

    format: Literal["png", "svg"] = "png"
    """Picture format of converted diagrams."""


class DockerSettings(Section, frozen=True):
    """``[docker]``: containers as workers."""

    network: Network = "clx_app-network"
    """Network the containers join; CLX creates it when it is missing."""
    auto_pull: Pull = True
    """Whether a missing image is pulled."""
    pull_timeout: Seconds = 600.0
    """Seconds a pull may take in all."""
    memory: Annotated[str, Meta(pattern="^[0-9]+[bkmgBKMG]?$")] | None = None
    """Memory limit per container as Docker writes it, e.g. ``2g``."""
    cpus: Annotated[float, Meta(gt=0, le=1024)] | None = None
    """CPU limit per container, e.g. ``1.5``."""


class CourseSettings(Section, frozen=True):
    """``[course]``: what a course may be made of; a project cannot say so itself."""

    shared_modules: OwnPlace | None = None
    """Directory outside of a course into which its links may lead; unset: links to outside are left out."""


class LoggingSettings(Section, frozen=True):
    """``[logging]``: what is written where."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that reaches log files."""


class Settings(Section, frozen=True):
    """All settings, by section."""

    workers: WorkersSettings = WorkersSettings()
    database: DatabaseSettings = DatabaseSettings()
    jobs: JobsSettings = JobsSettings()
    notebook: NotebookSettings = NotebookSettings()
    plantuml: PlantUmlSettings = PlantUmlSettings()
    drawio: DrawioSettings = DrawioSettings()
    diagrams: DiagramSettings = DiagramSettings()
    docker: DockerSettings = DockerSettings()
    course: CourseSettings = CourseSettings()
    logging: LoggingSettings = LoggingSettings()
