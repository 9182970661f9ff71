"""Jobs as the server's interface writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from clx.db.models import Job, NewJob

_NEW = {field.name: field.default for field in fields(NewJob)}
_JOB = {field.name for field in fields(Job) if field.init and not field.name.startswith("_")}


def job_document(job: NewJob) -> dict[str, Any]:
    """What a job is besides what it is by itself."""
    given = {name: getattr(job, name) for name in _NEW}
    told = {name: value for name, value in given.items() if _NEW[name] is MISSING or value != _NEW[name]}
    return {**told, "payload": job.payload} | ({"needs": list(job.needs)} if job.needs else {})


def job_of(told: Mapping[str, Any]) -> Job:
    """A job as it was told; what a newer server says besides is left out."""
    known = {name: value for name, value in told.items() if name in _JOB}
    return Job(**{**known, "odd": tuple(known.get("odd", ()))})
