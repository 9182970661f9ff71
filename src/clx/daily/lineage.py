"""Which steps made the artifacts that go into one: looked up when that is published, while their jobs are there."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from clx.db.jobs import Queue
from clx.errors import ClxError
from clx.routines.codecs import artifacts_of
from clx.routines.names import parse

if TYPE_CHECKING:
    from clx.db.database import Database
    from clx.db.models import Job

_PAGE, _MOST = 100, 10_000
"""Jobs of a step that are read at a time, newest first, and at most: what goes in was mostly made just now."""


def jobs_of(flow: str, own: Database) -> AbstractContextManager[Database]:
    """The table that has the jobs of the steps of *flow*: that of its project, else *own*, that of a lake.

    They are two where the lake lies elsewhere: on a file system of its own, say.
    """
    from clx.daily.registering import known
    from clx.db.of_project import database_path
    from clx.db.url import open_database
    from clx.settings.resolve import resolve

    there = known().get(flow)
    if there is None:
        return nullcontext(own)
    root = there.file.parent
    with suppress(ClxError):  # what a version is made of is not worth failing for
        path = database_path(resolve(root), None, root)
        if path.exists() and not path.samefile(own.path):
            return open_database(str(path))
    return nullcontext(own)


def made_of(database: Database, flow: str, inputs: str) -> dict[str, dict[str, Any]]:
    """By digest, what made each artifact that canonical *inputs* name, and each that went into those.

    Artifacts that no step of *flow* has made, or whose jobs are gone, are left out.
    """
    wanted = artifacts_of(inputs)
    if not wanted:
        return {}
    makers = _Makers(database, flow)
    found: dict[str, dict[str, Any]] = {}
    while wanted:
        digest = wanted.pop()
        if digest in found or (job := makers.of(digest)) is None:
            continue
        arguments = dict(job.payload["arguments"])
        code = arguments.pop("code", "")
        step = parse(job.type).name.removeprefix(f"{flow}.")
        found[digest] = {"step": step, "code": code, "inputs": arguments, "job": job.id}
        wanted += artifacts_of(msgspec.json.encode(arguments).decode())
    return found


class _Makers:
    """The newest jobs of the steps of a flow, by the artifacts that their results name; read as far as is asked for."""

    def __init__(self, database: Database, flow: str) -> None:
        from clx.daily.registering import known, task_id

        there = known().get(flow)
        self._queue = Queue(database)
        self._found: dict[str, Job] = {}
        self._before: dict[str, int | None] = {task_id(flow, name): None for name in (there.steps if there else ())}
        self._looked = 0

    def of(self, digest: str) -> Job | None:
        """The job that made an artifact; None: none has, or it is gone or very old."""
        while digest not in self._found and self._before and self._looked < _MOST:
            self._read_on()
        return self._found.get(digest)

    def _read_on(self) -> None:
        self._looked += _PAGE
        for type_, before in list(self._before.items()):
            jobs = self._queue.search(type=type_, state="succeeded", before=before, limit=_PAGE)
            for job in jobs:
                arguments = job.payload.get("arguments") if isinstance(job.payload, dict) else None
                if isinstance(arguments, dict):
                    for digest in artifacts_of(msgspec.json.encode(job.result).decode()):
                        self._found.setdefault(digest, job)
            if len(jobs) < _PAGE:
                del self._before[type_]
            else:
                self._before[type_] = jobs[-1].id
