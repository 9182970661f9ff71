"""A small course on disk, and ways to convert its decks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clx.jobtypes.notebook.converter import NotebookConverter
from clx.settings.schema import Settings

TOPIC = "slides/module_100_m/topic_100_x"


@dataclass
class Course:
    """A course root with one topic; converting writes into a new directory each time."""

    root: Path
    results: Path
    converter: NotebookConverter
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def write(self, name: str, text: str) -> str:
        """Write a file of the topic, or of the course where *name* has a directory; returns its path."""
        path = name if "/" in name else f"{TOPIC}/{name}"
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8", newline="")
        return path

    def convert(self, text: str, *, name: str = "slides_x.py", task: str = "render", **options: Any) -> Path:
        """Convert a deck with this text; returns the directory of outputs."""
        payload = {
            "task": task,
            "source": self.write(name, text),
            "topic": TOPIC,
            "lang": "en",
            "prog_lang": "python",
            "evaluate": True,
            "course": "My Course",
            "section": "Week 1",
            "number": 1,
            "variables": {},
            "cell_timeout": 60.0,
            **options,
        }
        outputs = self.results / str(len(list(self.results.iterdir())))
        outputs.mkdir()
        self.facts = self.converter.convert(payload, self.root, outputs, self.warnings.append)
        return outputs


@pytest.fixture(scope="session")
def converter() -> Iterator[NotebookConverter]:
    """One converter for all tests, as a worker has one for all jobs."""
    made = NotebookConverter(Settings())
    yield made
    made.close()


@pytest.fixture
def course(tmp_path: Path, converter: NotebookConverter) -> Course:
    """An empty course."""
    (tmp_path / "course" / TOPIC).mkdir(parents=True)
    (tmp_path / "results").mkdir()
    return Course(tmp_path / "course", tmp_path / "results", converter)
