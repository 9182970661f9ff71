from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.tools import require

from clx.jobtypes.drawio.converter import DrawioConverter
from clx.settings.schema import Settings


class Studio:
    """A converter with directories: draws a text and hands back the pictures."""

    def __init__(self, root: Path, converter: DrawioConverter) -> None:
        self.converter = converter
        self.warnings: list[str] = []
        self._root = root
        self._count = 0

    def draw(self, text: str, **payload: object) -> dict[str, bytes]:
        """The outputs by name."""
        self._count += 1
        inputs, outputs = self._root / f"in-{self._count}", self._root / f"out-{self._count}"
        inputs.mkdir()
        outputs.mkdir()
        (inputs / "d.drawio").write_text(text, "utf-8")
        self.warnings = []
        options = {"source": "d.drawio", "format": "png", "scale": 1.0, "border": 0, **payload}
        self.converter.convert(options, inputs, outputs, self.warnings.append)
        return {path.name: path.read_bytes() for path in sorted(outputs.iterdir())}

    def png(self, text: str, **payload: object) -> bytes:
        return self.draw(text, **payload)["1.png"]

    def svg(self, text: str, **payload: object) -> str:
        return self.draw(text, format="svg", **payload)["1.svg"].decode()


@pytest.fixture(scope="session")
def warm_converter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DrawioConverter]:
    require("drawio")
    work_dir = tmp_path_factory.mktemp("drawio")
    converter = DrawioConverter(Settings(), work_dir)
    yield converter
    converter.close()
    assert list(work_dir.iterdir()) == []


@pytest.fixture
def studio(warm_converter: DrawioConverter, tmp_path: Path) -> Studio:
    """The converter that all tests share, warm as in a worker."""
    root = tmp_path / "warm"
    root.mkdir()
    return Studio(root, warm_converter)


@pytest.fixture
def own_studio(tmp_path: Path) -> Iterator[Studio]:
    """A converter of the test's own."""
    require("drawio")
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    converter = DrawioConverter(Settings(), work_dir)
    yield Studio(tmp_path, converter)
    converter.close()
    assert list(work_dir.iterdir()) == []
