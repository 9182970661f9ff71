"""draw.io desktop's command line, with a stand-in that notes how it was called (the real one needs a display)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.jobtypes.drawio.diagrams import cell, model, mxfile

from clx.errors import ConversionError
from clx.jobtypes.drawio.converter import DrawioConverter
from clx.jobtypes.drawio.settings import DrawioSettings
from clx.settings.schema import Settings

RECORDED = """#!/bin/sh
printf '%s ' "$@" >>"{log}"; echo >>"{log}"
while [ "$1" != -o ]; do shift; done
cat "$3" >"$2"
echo "$3 -> $2"
"""


def converter_with(script: str, path: Path) -> DrawioConverter:
    path.write_text(script)
    path.chmod(0o755)
    return DrawioConverter(Settings().having(DrawioSettings(executable=str(path))), path.parent)


def run(converter: DrawioConverter, directory: Path, **payload: object) -> list[Path]:
    inputs, outputs = directory / "in", directory / "out"
    inputs.mkdir()
    outputs.mkdir()
    (inputs / "d.drawio").write_text(mxfile(model(cell("first")), model(cell("second"))))
    options = {"source": "d.drawio", "format": "png", "scale": 1.5, "border": 7, **payload}
    converter.convert(options, inputs, outputs, print)
    return sorted(outputs.iterdir())


def test_each_page_is_one_call(tmp_path: Path) -> None:
    log = tmp_path / "calls"
    pictures = run(converter_with(RECORDED.format(log=log), tmp_path / "drawio"), tmp_path)
    assert [path.name for path in pictures] == ["1.png", "2.png"]
    assert "first" in pictures[0].read_text()
    assert "second" in pictures[1].read_text()
    first, second = log.read_text().splitlines()
    assert first.startswith(f"-x -f png -b 7 -s 1.5 -o {pictures[0]} ")
    assert second.startswith(f"-x -f png -b 7 -s 1.5 -o {pictures[1]} ")
    assert not list(tmp_path.glob("drawio-*"))


def test_no_picture_is_an_error_with_what_it_said(tmp_path: Path) -> None:
    converter = converter_with("#!/bin/sh\necho Error: Export failed >&2\n", tmp_path / "drawio")
    with pytest.raises(ConversionError, match=r"wrote no picture of page 1 \(exit code 0\)") as caught:
        run(converter, tmp_path)
    assert caught.value.next_step == "Error: Export failed"


def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    converter = converter_with("#!/bin/sh\nsleep 60\n", tmp_path / "drawio")
    with pytest.raises(ConversionError, match=r"within 0\.3 s"):
        run(converter, tmp_path, timeout=0.3)
