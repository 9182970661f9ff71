"""Which steps made the artifacts that go into one: looked up when that is published, while their jobs are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from clx.db.jobs import Queue
from clx.routines.codecs import artifacts_of
from clx.routines.names import parse

if TYPE_CHECKING:
    from clx.db.database import Database
    from clx.db.models import Job

_LOOKED_AT = 2000
"""Newest jobs of a flow's steps among which the ones that made something are looked for."""


def made_of(database: Database, flow: str, inputs: str) -> dict[str, dict[str, Any]]:
    """By digest, what made each artifact that canonical *inputs* name, and each that went into those.

    Artifacts that no step of *flow* has made, or whose jobs are gone, are left out.
    """
    wanted = artifacts_of(inputs)
    if not wanted:
        return {}
    made = _made(database, flow)
    found: dict[str, dict[str, Any]] = {}
    while wanted:
        digest = wanted.pop()
        if digest in found or digest not in made:
            continue
        job = made[digest]
        arguments = dict(job.payload["arguments"])
        code = arguments.pop("code", "")
        step = parse(job.type).name.removeprefix(f"{flow}.")
        found[digest] = {"step": step, "code": code, "inputs": arguments, "job": job.id}
        wanted += artifacts_of(msgspec.json.encode(arguments).decode())
    return found


def _made(database: Database, flow: str) -> dict[str, Job]:
    """The newest jobs of the steps of *flow*, by each artifact that their results name."""
    from clx.daily.registering import known, task_id

    there = known().get(flow)
    found: dict[str, Job] = {}
    for name in there.steps if there is not None else ():
        for job in Queue(database).search(type=task_id(flow, name), state="succeeded", limit=_LOOKED_AT):
            arguments = job.payload.get("arguments") if isinstance(job.payload, dict) else None
            if isinstance(arguments, dict):
                for digest in artifacts_of(msgspec.json.encode(job.result).decode()):
                    found.setdefault(digest, job)
    return found
