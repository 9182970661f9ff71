"""Every setting CLX knows: its type, its default and what it means.

The structures here are plain data. Where a value came from is kept beside it by
:mod:`clx.settings.resolve`; nothing in this module reads a file or a variable. The sections of the job
types stand in their rooms.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from clx.settings.job_types import SECTIONS, for_each_job_type
from clx.settings.section import (
    Count,
    Image,
    JobTypeSection,
    Mode,
    Names,
    Network,
    OwnPlace,
    Place,
    Places,
    Program,
    Pull,
    Seconds,
    Secret,
    Section,
    Server,
)

ROUTINE_WORKERS = ("python", "workflow")
"""Types of workers that are no job types: each takes jobs of the types that its modules define."""
ROUTINES_IN = "notebook"
"""The job type in whose image they run where none is named: it has the most packages."""
J = TypeVar("J", bound=JobTypeSection)


class WorkerTypeSettings(Section, frozen=True):
    """``[workers.<type>]``: what differs from ``[workers]`` for one worker type."""

    execution_mode: Mode | None = None
    """``direct`` or ``docker``; unset: ``workers.default_execution_mode``."""
    count: Count | None = None
    """How many workers to start; 0 means none of this type; unset: ``workers.default_worker_count``."""
    image: Image | None = None
    """Container image; required where the execution mode is ``docker`` (REQ-2.2)."""


class PythonWorkersSettings(Section, frozen=True):
    """``[workers.python]``: workers that run tasks, where ``python.modules`` names some."""

    execution_mode: Mode | None = None
    """``direct`` or ``docker``; unset: ``workers.default_execution_mode``."""
    count: Count | None = None
    """How many workers of tasks services have; each runs one task at a time; unset: as many as there are processors."""
    image: Image | None = None
    """Container image; required where the execution mode is ``docker``."""


class WorkflowWorkersSettings(Section, frozen=True):
    """``[workers.workflow]``: hosts of workflows, where ``python.modules`` names some."""

    execution_mode: Mode | None = None
    """``direct`` or ``docker``; unset: ``workers.default_execution_mode``."""
    count: Count | None = None
    """How many hosts of workflows services have; unset: one."""
    image: Image | None = None
    """Container image; required where the execution mode is ``docker``."""
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] = 100
    """How many workflows that nobody else has called one host has begun at a time; the others wait in the queue."""


@for_each_job_type(lambda _name: WorkerTypeSettings)
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

    python: PythonWorkersSettings = PythonWorkersSettings()
    workflow: WorkflowWorkersSettings = WorkflowWorkersSettings()

    def of(self, type_: str) -> WorkerTypeSettings:
        """What differs for one job type."""
        found: WorkerTypeSettings = getattr(self, type_)
        return found


class DatabaseSettings(Section, frozen=True):
    """``[database]``: where the job table lies and how it is kept."""

    path: Place | None = None
    """The database file; unset: ``<course root>/.clx/jobs.db``."""
    url: Server | None = None
    """A database of a server instead of a file: ``postgresql://USER@HOST:PORT/DATABASE``; of it and ``path`` holds what
    is said in a higher layer. Best without a password: that may stand in ``~/.pgpass``, or in ``CLX_DATABASE__URL``."""
    journal_mode: Literal["auto", "wal", "delete"] = "auto"
    """``auto`` chooses from platform, worker mode and file system (REQ-4.1)."""
    busy_timeout: Seconds = 10.0
    """Seconds to wait for a lock that somebody else holds, or for a server (60 in DELETE mode unless set)."""


class ArtifactsSettings(Section, frozen=True):
    """``[artifacts]``: a server that keeps artifacts for other machines; a project cannot say so itself."""

    url: OwnPlace | None = None
    """Its address, ``http://HOST:PORT``; unset: artifacts lie beside the database alone."""
    token: Secret | None = None
    """What it is shown, a token with the role ``work``; never printed, nor passed on by command lines or files."""
    ca_file: OwnPlace | None = None
    """The certificate of who vouches for the server's, where the system does not know it."""
    insecure: Annotated[bool, Meta(extra={"reach": "own"})] = False
    """Whether the token may go to another machine over plain ``http://``."""
    patience: Seconds = 60.0
    """Seconds for which a transfer that makes no progress is tried again."""


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
    prune: bool = True
    """Whether builds and services remove once a day what is long over; ``clx db prune`` does it at any time."""


class DiagramSettings(Section, frozen=True):
    """``[diagrams]``: what the diagram renderers produce."""

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


class ServerSettings(Section, frozen=True):
    """``[server]``: the job table over HTTP."""

    autostart: bool = False
    """Whether services (``clx start-services``) have a server too."""
    host: OwnPlace = "127.0.0.1"
    """The address to listen at; a project cannot say so."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8004
    """The port to listen at; 0: any that is free."""


class WorkSettings(Section, frozen=True):
    """``[work]``: where works lie that ``clx.Work`` deposits and withdraws."""

    url: Server | None = None
    """A server (``http://HOST:PORT``) or a database (``postgresql://USER@HOST/DATABASE``, ``sqlite:///PATH``); unset:
    the project's database."""
    token: Secret | None = None
    """What a server is shown, a token with the role ``work``; never printed, nor passed on."""
    maintenance: Literal["auto", "on-request"] = "auto"
    """``auto``: a server has works of other clients that failed tried again, and moves what has ended to the results, a
    minute after; ``on-request``: only when a client asks for it."""
    commands: Annotated[Names, Meta(extra={"reach": "own"})] = ()
    """Programs that works may name as their ``command``, with any arguments, as ``["/usr/bin/gzip"]``; a project cannot
    say so."""


ArchivePolicy = Literal["bypass", "copy", "move", "delete"]


class ArchiveSettings(Section, frozen=True):
    """``[archive]``: what becomes of the files of works that ``clx work run`` has done, where they do not say so."""

    posix: Place | None = None
    """The directory that copies go into, as ``YYYYMMDD/pipeline/id/name``; unset: none."""
    s3: Server | None = None
    """The bucket that copies go into, ``s3://BUCKET/PREFIX``; unset: none. Keys, region and address are read from the
    variables ``AWS_…``."""
    results: ArchivePolicy = "bypass"
    """``copy`` and ``move`` write them into a file too; they stay in the work, but for ``delete``."""
    products: ArchivePolicy = "copy"
    """``bypass`` leaves them where they are, ``move`` removes them there once a copy was verified, ``delete`` keeps
    none."""
    plots: ArchivePolicy = "copy"
    """The same for pictures."""
    logs: ArchivePolicy = "bypass"
    """The same for outputs, which are kept with their attempts but for ``delete``."""
    sources: Annotated[Places, Meta(extra={"reach": "places"})] = ()
    """Directories from which files are archived, beside the current one of the runner."""
    artifact_mb: Annotated[int, Meta(ge=0, le=1_000_000)] = 64
    """MiB up to which a file is put among the artifacts too, where the page finds it."""


class PythonSettings(Section, frozen=True):
    """``[python]``: tasks and workflows, functions of one's own that run as jobs."""

    modules: Names = ()
    """Modules whose tasks and workflows workers run, as ``["shop.tasks"]``; none: services have no such workers."""
    path: Annotated[Places, Meta(extra={"reach": "places"})] = ()
    """Directories in which modules are looked for first; none: the project's own."""
    pools: Names = ()
    """Pools whose tasks workers of this machine run, besides those that name none; none: all tasks."""
    interpreter: Program | None = None
    """The Python that runs them, with the same CLX installed; unset: that of CLX."""
    start: Literal["auto", "fork", "spawn"] = "auto"
    """How a process for tasks begins: ``fork`` from one that has imported the modules (Linux), ``spawn`` as a fresh
    interpreter; ``auto`` forks where no module has started a thread."""
    recycle_mb: Annotated[int, Meta(ge=1, le=1_000_000)] = 1024
    """MiB by which a process for tasks may have grown before another takes its place."""


class ServingSettings(Section, frozen=True):
    """``[serving]``: models that answer requests (``clx serve``)."""

    modules: Names = ()
    """Modules that workers may import for models that are Python, as ``["shop.models"]``; none: models are of ONNX."""
    memory_budget: Annotated[str, Meta(pattern="^[1-9][0-9]{0,17}[bkmgBKMG]?$")] | None = None
    """Bytes of models in each process that holds them, e.g. ``2g``; the least recently asked are given up."""


class LoggingSettings(Section, frozen=True):
    """``[logging]``: what is written where."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that reaches log files."""


@for_each_job_type(SECTIONS.__getitem__)
class _WithJobTypes(Section, frozen=True):
    """The sections up to those of the job types, which stand before the others where settings are listed."""

    workers: WorkersSettings = WorkersSettings()
    database: DatabaseSettings = DatabaseSettings()
    artifacts: ArtifactsSettings = ArtifactsSettings()
    jobs: JobsSettings = JobsSettings()

    def section(self, kind: type[J]) -> J:
        """The section that a job type brings."""
        found: J = getattr(self, _name_of(kind))
        return found


class Settings(_WithJobTypes, frozen=True):
    """All settings, by section."""

    diagrams: DiagramSettings = DiagramSettings()
    docker: DockerSettings = DockerSettings()
    course: CourseSettings = CourseSettings()
    server: ServerSettings = ServerSettings()
    work: WorkSettings = WorkSettings()
    archive: ArchiveSettings = ArchiveSettings()
    python: PythonSettings = PythonSettings()
    serving: ServingSettings = ServingSettings()
    logging: LoggingSettings = LoggingSettings()

    def having(self, *sections: JobTypeSection) -> Settings:
        """The same with other sections of job types."""
        return msgspec.structs.replace(self, **{_name_of(type(each)): each for each in sections})


def _name_of(kind: type[JobTypeSection]) -> str:
    return next(name for name, each in SECTIONS.items() if each is kind)
