"""The worker types there are, and which workers may take which job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from clx import __version__
from clx.jobtypes.converter import Converter
from clx.settings.schema import Settings


@dataclass(frozen=True, slots=True)
class Kind:
    """One worker type.

    Attributes:
        name: the job type it serves.
        converter: ``module:class`` of its converter, imported in the worker only.
        identity: ``module`` whose ``fingerprint(settings)`` names all a result depends on besides its inputs.
        title: what a person calls what it does.
    """

    name: str
    converter: str
    identity: str
    title: str

    def fingerprint(self, settings: Settings) -> dict[str, str]:
        """Tool and converter versions that results of this type depend on."""
        found: Mapping[str, str] = import_module(self.identity).fingerprint(settings)
        return {"clx": __version__, **found}

    def make_converter(self, settings: Settings, scratch: Path) -> Converter:
        """A converter of this type; imports whatever it needs.

        Args:
            scratch: a directory it may keep files in while it lives; made here.

        Raises:
            ToolMissingError: a package it needs is not installed.
        """
        module, _, name = self.converter.partition(":")
        scratch.mkdir(parents=True, exist_ok=True)
        made: Converter = getattr(import_module(module), name)(settings, scratch)
        return made


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "notebook", "clx.jobtypes.notebook.converter:NotebookConverter", "clx.jobtypes.notebook.identity", "decks"
        ),
        Kind(
            "plantuml",
            "clx.jobtypes.plantuml.converter:PlantUmlConverter",
            "clx.jobtypes.plantuml.identity",
            "PlantUML",
        ),
        Kind("drawio", "clx.jobtypes.drawio.converter:DrawioConverter", "clx.jobtypes.drawio.identity", "draw.io"),
    )
}


def pool_name(mode: str, fingerprint: Mapping[str, Any]) -> str:
    """The pool of workers that give the same results: mode, version and tools alike.

    Part of the claim predicate, so an old version, or one with another PlantUML, never takes a new one's job.
    """
    digest = sha256(msgspec.json.encode(fingerprint, order="sorted")).hexdigest()[:12]
    return f"{mode}:{fingerprint['clx']}:{digest}"
