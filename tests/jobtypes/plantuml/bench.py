"""A converter with a job directory for each conversion."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from clx.jobtypes.plantuml.converter import PlantUmlConverter

SOURCE = "slides/module/topic/pu/a.pu"


@dataclass
class Bench:
    """A warm converter and a fresh job directory for every conversion."""

    converter: PlantUmlConverter
    directory: Path
    warnings: list[str] = field(default_factory=list)
    jobs: int = 0

    def job(self, files: Mapping[str, str | bytes]) -> tuple[Path, Path]:
        self.jobs += 1
        inputs, outputs = self.directory / f"in{self.jobs}", self.directory / f"out{self.jobs}"
        outputs.mkdir(parents=True)
        for name, content in files.items():
            path = inputs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return inputs, outputs

    def convert(
        self,
        source: str | bytes,
        others: Mapping[str, str | bytes] | None = None,
        prepare: Callable[[Path], None] = lambda inputs: None,
        **payload: Any,
    ) -> list[bytes]:
        """The pictures of *source*, with *others* beside it (names relative to its directory)."""
        folder = PurePosixPath(SOURCE).parent
        files = {os.path.normpath(f"{folder}/{name}"): text for name, text in (others or {}).items()}
        inputs, outputs = self.job({SOURCE: source, **files})
        prepare(inputs)
        wanted = {"source": SOURCE, "format": "svg", **payload}
        facts = self.converter.convert(wanted, inputs, outputs, self.warnings.append)
        pictures = [outputs / f"{number}.{wanted['format']}" for number in range(1, facts["pictures"] + 1)]
        assert sorted(outputs.iterdir()) == sorted(pictures)
        return [picture.read_bytes() for picture in pictures]

    def uml(self, body: str, **options: Any) -> str:
        """One ``@startuml`` diagram as SVG text."""
        (picture,) = self.convert(f"@startuml\n{body}\n@enduml\n", **options)
        return picture.decode()
