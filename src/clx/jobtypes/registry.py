"""The job types there are, found by their rooms, and which workers may take which job."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib import import_module
from typing import Any

import msgspec

from clx.jobtypes.jobtype import JobType
from clx.settings.job_types import SECTIONS

JOB_TYPES: dict[str, JobType] = {name: import_module(f"clx.jobtypes.{name}.jobtype").JOB_TYPE for name in SECTIONS}
"""Name → job type, in the order in which they are listed."""
TYPE_OF_SOURCE: dict[str, str] = {ending: each.name for each in JOB_TYPES.values() for ending in each.sources}
"""Ending of a file that is a picture to be made → job type."""


def pool_name(mode: str, fingerprint: Mapping[str, Any]) -> str:
    """The pool of workers that give the same results: mode, version and tools alike.

    Part of the claim predicate, so an old version, or one with another PlantUML, never takes a new one's job.
    """
    digest = sha256(msgspec.json.encode(fingerprint, order="sorted")).hexdigest()[:12]
    return f"{mode}:{fingerprint['clx']}:{digest}"
