"""The files of one work that was done: copied, noted in it, and only then removed where they were."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clx.artifacts.store import ArtifactStore
from clx.db.models import encode
from clx.errors import ClxError
from clx.settings.schema import ArchiveSettings
from clx.work.archiving.places import Bucket, Directory, Place, folder_of
from clx.work.archiving.policy import Policy, policies
from clx.work.archiving.sources import Mark, Refused, Source, marks, source

log = logging.getLogger("clx.work")

_GONE = ("move", "delete")


class Kept(NamedTuple):
    """What was archived.

    Attributes:
        fields: what the work says of it.
        removable: files that are not wanted where they are, once the work says so.
        keeps_output: whether the output is still kept with the attempt.
    """

    fields: dict[str, Any]
    removable: Sequence[Source]
    keeps_output: bool

    def remove(self) -> None:
        """Remove what is not wanted any more; what cannot be removed stays."""
        for each in self.removable:
            try:
                if not each.remove():
                    log.warning("%s was changed after it was copied, and stays", each.path)
            except OSError as error:
                log.warning("%s could not be removed: %s", each.path, error.strerror)


class _Noted:
    """What a work is to say of its files."""

    def __init__(self) -> None:
        self.kept: dict[str, list[dict[str, Any]]] = {}
        self.refused: list[dict[str, str]] = []
        self.deleted: list[str] = []

    def refuse(self, kind: str, path: str, reason: str) -> None:
        self.refused.append({"kind": kind, "path": path, "reason": reason})

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {name: each for name, each in self.kept.items() if each}
        if self.refused:
            found["refused"] = self.refused
        if self.deleted:
            found["deleted"] = self.deleted
        return found


class Archive:
    """Archives the files of works.

    Args:
        artifacts: keeps what the page shows; None: nothing is.
        directory: the current directory of functions; paths of works begin there.

    Raises:
        UsageError: the settings name a place that is none.
    """

    def __init__(self, settings: ArchiveSettings, artifacts: ArtifactStore | None, directory: Path) -> None:
        self._settings, self._artifacts, self._directory = settings, artifacts, directory
        self._places = [Path(os.path.realpath(directory / each)) for each in (".", *settings.sources)]
        self._targets: list[Place] = []
        if settings.posix is not None:
            self._targets.append(Directory(Path(os.path.abspath(directory / settings.posix))))  # noqa: PTH100
        if settings.s3 is not None:
            self._targets.append(Bucket(settings.s3))

    def look(self, work: Mapping[str, Any]) -> dict[str, Mark | None]:
        """What there is, before the run, of files that who deposited a work has named."""
        named = [*(work.get("products") or ()), *(work.get("plots") or ())]
        return marks(self._directory, named) if named else {}

    def keep(
        self, work: Mapping[str, Any], before: Mapping[str, Mark | None], output: bytes, returned: Sequence[str]
    ) -> Kept:
        """Archive the files of a work that has succeeded.

        Args:
            work: as it is to be updated.
            before: as :meth:`look` gave it.
            returned: paths that the function itself has told.
        """
        wanted, wrong = policies(work, self._settings)
        noted, removable = _Noted(), list[Source]()
        for kind, reason in wrong.items():
            noted.refuse(kind, "", reason)
        named = {each: mark for each, mark in before.items() if each not in returned}
        fields: dict[str, Any] = {}
        for kind in ("products", "plots"):
            if work.get(kind) and wanted[kind] != "bypass":
                fields[kind] = self._files(kind, work, wanted[kind], named, noted, removable)
        if wanted["results"] == "delete" and work.get("results") is not None:
            fields["results"] = None
            noted.deleted.append("results")
        elif wanted["results"] in ("copy", "move") and self._targets and work.get("results") is not None:
            self._written("results", work, "results.json", encode(work["results"]).encode(), noted)
        if wanted["logs"] in ("copy", "move") and output:
            self._written("logs", work, "output.log", output, noted)
        if found := noted.document():
            fields["artifacts"] = found
        return Kept(fields, removable, wanted["logs"] != "delete")

    def _files(
        self,
        kind: str,
        work: Mapping[str, Any],
        policy: Policy,
        before: Mapping[str, Mark | None],
        noted: _Noted,
        removable: list[Source],
    ) -> list[str]:
        """Archive the files of one kind; returns what the work names from now on."""
        named: list[str] = []
        for each in work[kind]:
            try:
                found = self._source(each, policy, before, picture=kind == "plots")
                if policy == "delete":
                    noted.deleted.append(each)
                    removable.append(found)
                    continue
                named.append(self._copied(kind, work, found, noted))
                if policy == "move":
                    removable.append(found)
            except Refused as error:
                noted.refuse(kind, each, str(error))
                named.append(each)
            except (OSError, ClxError) as error:
                noted.refuse(kind, each, f"it could not be kept: {str(error).splitlines()[0]}")
                named.append(each)
        return named

    def _source(self, named: str, policy: Policy, before: Mapping[str, Mark | None], *, picture: bool) -> Source:
        found = source(named, self._directory, self._places, before, picture=picture)
        if policy in _GONE and found.is_link:
            raise Refused("it is a link, which is not followed to remove what it leads to")
        if policy == "move" and not self._targets:
            raise Refused("neither archive.posix nor archive.s3 says where it is to go")
        return found

    def _copied(self, kind: str, work: Mapping[str, Any], found: Source, noted: _Noted) -> str:
        """Keep copies everywhere; returns where the first is."""
        with found.open() as file:
            places = []
            digest = "" if self._targets else hashlib.file_digest(file, "sha256").hexdigest()
            for target in self._targets:
                file.seek(0)
                where, kept, _ = target.keep(file, folder_of(work), os.path.basename(found.named))  # noqa: PTH119
                if digest and kept != digest:
                    raise Refused("it was changed while it was copied")
                digest = kept
                places.append(where)
        where = places[0] if places else found.named
        entry = {"name": os.path.basename(found.named), "path": where, "bytes": found.size}  # noqa: PTH119
        if len(places) > 1:
            entry["copies"] = places[1:]
        if self._artifacts is None or found.size > self._settings.artifact_mb << 20:
            if not places and self._artifacts is None:
                raise Refused("the server keeps no artifacts, and neither archive.posix nor archive.s3 is set")
            if not places:
                raise Refused("it is larger than archive.artifact_mb, and no other place is named")
        else:
            entry["digest"] = self._shown(found.path, digest)
        noted.kept.setdefault(kind, []).append(entry)
        return where

    def _shown(self, path: Path, digest: str) -> str:
        """Put a file where the page finds it; returns its digest."""
        assert self._artifacts is not None
        stored, _ = self._artifacts.put_file(path)
        if stored != digest:
            raise Refused("it was changed while it was copied")
        self._artifacts.share([stored])
        return stored

    def _written(self, kind: str, work: Mapping[str, Any], name: str, data: bytes, noted: _Noted) -> None:
        entry: dict[str, Any] = {"name": name, "path": name, "bytes": len(data)}
        try:
            for target in self._targets:
                entry["path"], _, _ = target.keep(io.BytesIO(data), folder_of(work), name)
            if self._artifacts is not None and len(data) <= self._settings.artifact_mb << 20:
                entry["digest"] = self._artifacts.put_bytes(data)
                self._artifacts.share([entry["digest"]])
        except (OSError, ClxError) as error:
            noted.refuse(kind, name, f"it could not be kept: {str(error).splitlines()[0]}")
            return
        noted.kept.setdefault(kind, []).append(entry)
