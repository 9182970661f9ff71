"""What differs between a lake's folders and what was published, and that it can be mended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from shutil import rmtree

import pyarrow as pa
import pytest

from clx.daily import Lake
from clx.daily.settling import differences, not_laid_out, published, repaired
from clx.errors import ArtifactMissingError

DAY = date(2026, 11, 27)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake(tmp_path / "lake", database=tmp_path / "jobs.db") as found:
        yield found


def _other_version(folder: Path) -> None:
    told = json.loads((folder / "_schema.json").read_text())
    (folder / "_schema.json").write_text(json.dumps({**told, "version": 7}))


def _one_bit(folder: Path) -> None:
    found = bytearray((folder / "x.parquet").read_bytes())
    found[9] ^= 1
    (folder / "x.parquet").write_bytes(found)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (rmtree, "there is no folder"),
        (lambda folder: (folder / "_schema.json").unlink(), "nothing says which version"),
        (_other_version, "version 7 lies there"),
        (_one_bit, "x.parquet has other bytes"),
        (lambda folder: (folder / "x.parquet").unlink(), "x.parquet is not there"),
        (lambda folder: (folder / "more.parquet").write_bytes(b""), "more.parquet was not published"),
    ],
)
def test_what_differs_is_told_and_laid_out_anew(lake: Lake, spoil: Callable[[Path], None], why: str) -> None:
    lake.publish("gold/a", DAY, {"x": pa.table({"n": [1]})})
    lake.publish("gold/a", DAY, {"x": pa.table({"n": [2]})})
    lake.publish("bronze/b", DAY, {"x": pa.table({"n": [1]})})
    assert (list(differences(lake)), published(lake)) == ([], 2)
    spoil(lake.path("gold/a", DAY))
    (found,) = differences(lake)
    assert (found.dataset, found.day, found.version) == ("gold/a", "2026-11-27", 2)
    assert found.why.startswith(why)
    assert repaired(lake, found) == ""
    assert list(differences(lake)) == []


def test_bytes_that_are_gone_everywhere_are_told(lake: Lake) -> None:
    made = lake.publish("gold/a", DAY, {"x": pa.table({"n": [1]})})
    rmtree(lake.path("gold/a", DAY))
    lake.store.path(made.files["x.parquet"]).unlink()
    (found,) = differences(lake)
    assert made.files["x.parquet"][:12] in repaired(lake, found)


def test_a_lake_that_nobody_has_made_is_not_made(tmp_path: Path) -> None:
    with Lake(tmp_path / "lake", database=tmp_path / "jobs.db") as lake:
        assert (list(differences(lake)), published(lake)) == ([], 0)
    assert not (tmp_path / "lake").exists()


def test_what_was_removed_from_the_store_is_taken_from_the_folder(lake: Lake) -> None:
    for number in (1, 2):
        lake.publish("gold/a", DAY, {"x": pa.table({"n": [number]})})
    rmtree(lake.store.root)
    (found,) = differences(lake)
    assert (found.why, repaired(lake, found), list(differences(lake))) == (
        "x.parquet is not in the store of artifacts", "", [],
    )  # fmt: skip
    rmtree(lake.store.root)
    assert lake.read("gold/a", DAY).to_pydict() == {"n": [2]}
    assert [each.exists() for each in lake.files("gold/a", DAY)] == [True]
    with pytest.raises(ArtifactMissingError, match=r"x\.parquet of gold/a 2026-11-27, version 1"):
        lake.read("gold/a", DAY, version=1)
    rmtree(lake.store.root)
    (lake.path("gold/a", DAY) / "x.parquet").write_bytes(b"other")
    with pytest.raises(ArtifactMissingError, match="version 2"):
        lake.read("gold/a", DAY)
    (found,) = differences(lake)
    assert "is not in the store" in repaired(lake, found)


def test_a_lake_whose_folder_was_removed_is_the_same_again(tmp_path: Path) -> None:
    def opened() -> Lake:
        return Lake(tmp_path / "lake", database=tmp_path / "jobs.db")

    with opened() as lake:
        lake.publish("gold/a", DAY, {"x": pa.table({"n": [1]})})
    rmtree(tmp_path / "lake")
    with opened() as lake:
        assert [each.why for each in not_laid_out(lake, "", "2026-11-27")] == ["there is no folder"]
        (found,) = differences(lake)
        assert (found.why, published(lake)) == ("there is no folder", 1)
        assert not lake.folder.exists(), "a look makes nothing"
        assert repaired(lake, found) == ""
        assert (list(differences(lake)), list(not_laid_out(lake, "", "2026-11-27"))) == ([], [])
    rmtree(tmp_path / "lake")
    with opened() as lake:
        assert lake.publish("gold/a", DAY, {"x": pa.table({"n": [2]})}).version == 2
        assert lake.read("gold/a", DAY, version=1).to_pydict() == {"n": [1]}


def test_another_lake_in_its_place_is_that_one(tmp_path: Path) -> None:
    for name in ("one", "other"):
        with Lake(tmp_path / name, database=tmp_path / "jobs.db") as lake:
            lake.publish("gold/a", DAY, {"x": pa.table({"n": [len(name)]})})
    rmtree(tmp_path / "one")
    (tmp_path / "other").rename(tmp_path / "one")
    with Lake(tmp_path / "one", database=tmp_path / "jobs.db") as lake:
        assert lake.read("gold/a", DAY).to_pydict() == {"n": [5]}


def test_a_look_at_a_lake_that_never_was_makes_no_table(tmp_path: Path) -> None:
    with Lake(tmp_path / "lake", database=tmp_path / "jobs.db") as lake:
        assert published(lake) == 0
    assert list(tmp_path.iterdir()) == []
