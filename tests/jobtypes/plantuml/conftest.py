from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.jobtypes.plantuml.bench import Bench
from tests.support.tools import require

from clx.jobtypes.plantuml.converter import PlantUmlConverter
from clx.settings.schema import Settings


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlantUmlConverter]:
    require("plantuml")
    converter = PlantUmlConverter(Settings(), work_dir=tmp_path_factory.mktemp("work"))
    yield converter
    converter.close()


@pytest.fixture
def bench(warm: PlantUmlConverter, tmp_path: Path) -> Bench:
    return Bench(warm, tmp_path / "jobs")
