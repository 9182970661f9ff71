"""A file travels by what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clx.artifacts.store import ArtifactStore
from clx.errors import ArtifactError, RoutineValueError
from clx.routines.codecs import canonical, restore, restore_text
from clx.routines.codecs.files import File


@pytest.fixture
def files(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    return path


def test_a_file_comes_back_with_its_bytes_and_name(files: ArtifactStore, model: Path) -> None:
    text = canonical({"model": File(model)}, files=files)
    model.unlink()
    back = restore_text(text, files=files)["model"]
    assert (back.name, back.size, back.path.read_bytes()) == ("model.bin", 7, b"weights")
    with open(back, "rb") as stream:  # noqa: PTH123  (what users write)
        assert stream.read() == b"weights"
    assert canonical({"model": back}, files=files) == text


def test_where_it_lay_does_not_matter_but_its_name_does(files: ArtifactStore, model: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    moved = model.rename(tmp_path / "other" / "model.bin")
    text = canonical(File(moved), files=files)
    assert restore_text(text, files=files) == File(moved)
    assert hash(restore_text(text, files=files)) == hash(File(moved))
    assert canonical(File(moved, name="b"), files=files) != text
    assert File(moved, name="b") != File(moved)
    assert str(tmp_path) not in text


def test_a_file_that_changed_is_another_value(files: ArtifactStore, model: Path) -> None:
    file = File(model)
    before = canonical(file, files=files)
    model.write_bytes(b"other")
    assert canonical(file, files=files) != before


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "/etc/passwd", "a\0"])
def test_names_lead_to_no_other_directory(files: ArtifactStore, model: Path, name: str) -> None:
    with pytest.raises(RoutineValueError):
        File(model, name=name)
    digest = files.put_bytes(b"x")
    with pytest.raises(RoutineValueError):
        restore({"$file": [digest, 1, name]}, files=files)


def test_what_is_no_file_is_refused_by_its_place(files: ArtifactStore, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(RoutineValueError, match=r"^data\[0\]: "):
            canonical([File(path, name="x")], path="data", files=files)


@pytest.mark.parametrize(
    "change", [lambda d: [d[0], 8, d[2]], lambda d: [d[0], True, d[2]], lambda d: d[:2], lambda d: 5]
)
def test_forged_files_are_refused(files: ArtifactStore, model: Path, change: Any) -> None:
    data = json.loads(canonical(File(model), files=files))["$file"]
    with pytest.raises(RoutineValueError):
        restore({"$file": change(data)}, files=files)


def test_a_damaged_file_is_not_given_out(files: ArtifactStore, model: Path) -> None:
    back = restore_text(canonical(File(model), files=files), files=files)
    path = files.path(back.sha256)
    path.chmod(0o644)
    path.write_bytes(b"forgery")
    with pytest.raises(ArtifactError, match="damaged"):
        back.path.read_bytes()
