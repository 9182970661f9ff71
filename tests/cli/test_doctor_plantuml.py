"""``clx doctor`` says which PlantUML confines a course's includes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.tools import require

from clx.jobtypes.plantuml.settings import PlantUmlSettings
from clx.settings.schema import Settings
from clx.workers.supervision.checks import examine


def _detail(settings: Settings) -> str:
    return next(finding.detail for finding in examine(["plantuml"], settings) if finding.name == "plantuml")


def test_only_the_pinned_jar_is_said_to_confine_includes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("plantuml")
    monkeypatch.delenv("PLANTUML_JAR", raising=False)
    assert "outside the course" not in _detail(Settings())
    other = tmp_path / "plantuml.jar"
    other.write_bytes(b"PK")
    detail = _detail(Settings().having(PlantUmlSettings(jar=str(other))))
    assert "may include files from outside the course: clx tools install plantuml" in detail
