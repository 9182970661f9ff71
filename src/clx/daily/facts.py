"""What is known about a flow's ground on this machine: time zones, lakes, disk, artifacts, clock, staging."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from clx.daily.machines import LITTLE, machines_of
from clx.db.facts import Fact
from clx.errors import ClxError

if TYPE_CHECKING:
    from clx.daily.flow import Flow
    from clx.daily.lake import Lake
    from clx.db.database import Database

_SAMPLE = 20
"""Days of datasets whose folders are compared with what was published."""
_SKEW, _PATIENCE = 5.0, 10.0
"""Seconds that a clock may be wrong by, its second included; and that a server may take."""


def zone_fact(flow: Flow) -> Fact:
    """Whether this machine knows the flow's time zone."""
    from clx.db.schedules.cron import zone_of

    try:
        zone_of(flow.zone)
    except ClxError as error:
        return Fact("time zone", False, error.fact, error.next_step)
    return Fact("time zone", True, flow.zone)


def machine_facts(database: Database) -> Iterator[Fact]:
    """Whether the machines that have workers have room, as these told with their last heartbeats."""
    for each in machines_of(database):
        if each.free is not None:
            hint = "make room there: clx db prune, or a larger disk" if each.is_short else ""
            yield Fact(f"machine {each.host}", not each.is_short, f"{each.free >> 20} MiB free", hint)


def lake_facts(lake: Lake) -> Iterator[Fact]:
    """Whether a lake can be written, has room, and its newest days have the bytes that were published."""
    there = next(each for each in (lake.folder, *lake.folder.parents) if each.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor.", dir=there) as folder:
            Path(folder, "tried").write_bytes(b"tried")
    except OSError as error:
        yield Fact("lake", False, f"{there} cannot be written: {error.strerror}", f"ls -ld {there}")
    else:
        yield Fact("lake", True, f"{lake.folder} can be {'written' if there == lake.folder else 'made'}")
    free = shutil.disk_usage(there).free
    hint = "" if free >= LITTLE else "clx db prune, or a larger disk"
    yield Fact("free space", free >= LITTLE, f"{free >> 20} MiB at {there}", hint)
    if there == lake.folder or lake.known_mark is not None:  # also one that was removed
        yield _bytes(lake)


def _bytes(lake: Lake) -> Fact:
    from clx.daily.settling import sampled

    found = list(sampled(lake, _SAMPLE))
    bad = [each for each in found if each.why]
    if not bad:
        return Fact("lake's bytes", True, f"the newest {len(found)} days of datasets are as they were published")
    said = f"{bad[0].dataset} {bad[0].day}: {bad[0].why}" + (f", and {len(bad) - 1} more" if bad[1:] else "")
    return Fact("lake's bytes", False, said, "clx daily check --repair")


def store_fact(lake: Lake) -> Fact:
    """Whether the store of artifacts answers."""
    try:
        lake.store.has("0" * 64)  # which asks a server, where the settings name one
    except ClxError as error:
        return Fact("artifacts", False, error.fact, error.next_step)
    return Fact("artifacts", True, f"{lake.store.root} answers")


def staging_facts(url: str, token: str, *, ca_file: Path | None = None) -> Iterator[Fact]:
    """Whether a staging server answers, takes the token and nobody without one, has room, and what its clock says.

    Args:
        url: ``https://worker:8080``.
        ca_file: certificates to be believed; None: those of the system.

    Raises:
        UsageError: the URL is none, or the token would be read on the way: none is asked then.
    """
    status, said, date = _asked(url, token, ca_file)
    serve = "see there: systemctl status, or clx staging serve"
    if status == 0:
        yield Fact("staging", False, f"{url} does not answer: {said}", serve)
        return
    if status == 401:
        yield Fact("staging", False, f"{url} does not take the token", "give that server's: --token-file FILE")
    elif status != 200:
        yield Fact("staging", False, f"{url} answers {status}", serve)
    else:
        free = _free(said)
        ok = free >= LITTLE
        yield Fact(
            "staging", ok, f"{url}: {free >> 20} MiB free", "" if ok else "clean up there: POST /staging/cleanup"
        )
    if status == 200:
        other, *_ = _asked(url, "", ca_file)
        ok = other == 401
        told = "nobody is answered without" if ok else "it answers whoever asks"
        yield Fact("staging's token", ok, told, "" if ok else "serve with clx staging serve --token-file FILE")
    if date:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
        ok = abs(ahead) <= _SKEW
        told = f"this machine's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of staging"
        yield Fact("clock", ok, told, "" if ok else "set both by NTP")


def _free(said: str) -> int:
    try:
        found = msgspec.json.decode(said, type=dict[str, Any]).get("free")
    except msgspec.MsgspecError:
        return 0
    return found if isinstance(found, int) else 0


def _asked(url: str, token: str, ca_file: Path | None) -> tuple[int, str, str]:
    """Status (0: there is no answer), text and date of what a staging server says of itself."""
    import urllib3

    from clx.remote.connection import make_pool

    pool = make_pool(url, token, ca_file=ca_file, insecure=False, retries=False, timeout=_PATIENCE)
    try:
        answer = pool.request("GET", f"{url.rstrip('/')}/staging/status", redirect=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return 0, str(error).partition(": ")[2] or type(error).__name__, ""
    return answer.status, answer.data.decode("utf-8", "replace"), answer.headers.get("date", "")
