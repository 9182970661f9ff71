"""The one directory that PlantUML may read: laid out around the source, and nothing else in it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from clx.errors import ConversionError
from clx.jobtypes.plantuml.stage import Stage

SOURCE = PurePosixPath("slides/m/pu/a.pu")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    for path in ("slides/m/pu/a.pu", "slides/m/pu/b.pu", "slides/m/img/x.png", "slides/n/c.pu", "style.puml"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "private").mkdir()
    return Stage(tmp_path / "private")


def seen(stage: Stage, name: str) -> str | None:
    """What a diagram reads by this name; None where there is nothing."""
    path = Path(stage.directory, name)
    return path.read_text() if path.is_file() else None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.pu", "slides/m/pu/a.pu"),
        ("b.pu", "slides/m/pu/b.pu"),
        ("../img/x.png", "slides/m/img/x.png"),
        ("../pu/b.pu", "slides/m/pu/b.pu"),
        ("../../n/c.pu", "slides/n/c.pu"),
        ("../../../style.puml", "style.puml"),
        ("../../../slides/m/pu/b.pu", "slides/m/pu/b.pu"),
        ("../../../../in/style.puml", None),
        ("style.puml", None),
        ("c.pu", None),
    ],
)
def test_names_lead_where_they_lead_in_the_course(stage: Stage, inputs: Path, name: str, found: str | None) -> None:
    stage.fill(inputs, SOURCE)
    assert seen(stage, name) == found


def test_the_next_job_finds_nothing_of_the_one_before(stage: Stage, inputs: Path, tmp_path: Path) -> None:
    stage.fill(inputs, SOURCE)
    other = tmp_path / "other"
    other.mkdir()
    (other / "z.pu").write_text("z")
    stage.fill(other, PurePosixPath("z.pu"))
    files = [path.relative_to(stage.box).name for path in stage.box.rglob("*") if path.is_file()]
    assert files == ["z.pu"]
    assert seen(stage, "z.pu") == "z"


def test_links_come_in_as_the_files_they_lead_to_and_only_from_inside(
    stage: Stage, inputs: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    for name, target in {"inside": "b.pu", "outside": str(tmp_path / "secret"), "nothing": "gone"}.items():
        (inputs / "slides/m/pu" / name).symlink_to(target)
    stage.fill(inputs, SOURCE)
    assert (seen(stage, "inside"), seen(stage, "outside"), seen(stage, "nothing")) == ("slides/m/pu/b.pu", None, None)
    assert not any(path.is_symlink() for path in stage.box.rglob("*"))


def test_a_changed_content_is_seen_everywhere_and_never_in_the_inputs(stage: Stage, inputs: Path) -> None:
    stage.fill(inputs, SOURCE)
    stage.replace(inputs, SOURCE, inputs / "slides/m/pu/b.pu", b"changed")
    for name in ("b.pu", "../pu/b.pu", "../../../slides/m/pu/b.pu"):
        assert seen(stage, name) == "changed"
    assert (inputs / "slides/m/pu/b.pu").read_text() == "slides/m/pu/b.pu"
    stage.replace(inputs, SOURCE, inputs / "style.puml", b"new")
    assert seen(stage, "../../../style.puml") == "new"


def test_where_no_hard_link_can_be_made_files_are_copied(
    stage: Stage, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("another file system")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    stage.fill(inputs, SOURCE)
    assert seen(stage, "b.pu") == "slides/m/pu/b.pu"


@pytest.mark.parametrize(("depth", "is_too_deep"), [(15, False), (16, True)])
def test_a_source_that_lies_too_deep_is_refused(stage: Stage, inputs: Path, depth: int, is_too_deep: bool) -> None:
    source = PurePosixPath(*["d"] * depth, "a.pu")
    (inputs / source).parent.mkdir(parents=True)
    (inputs / source).write_text("deep")
    if is_too_deep:
        with pytest.raises(ConversionError, match="more than 15 directories deep"):
            stage.fill(inputs, source)
        return
    stage.fill(inputs, source)
    assert seen(stage, "a.pu") == "deep"
