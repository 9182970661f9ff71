"""Which worker types there are, and whose jobs are theirs."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from clx import __version__
from clx.jobtypes import jobtype
from clx.jobtypes.jobtype import JobType
from clx.jobtypes.registry import JOB_TYPES, pool_name
from clx.settings.job_types import SECTIONS
from clx.settings.keys import all_keys
from clx.settings.schema import ROUTINE_WORKERS, Settings


def test_the_settings_know_the_same_types() -> None:
    assert tuple(JOB_TYPES) == tuple(SECTIONS) == ("notebook", "plantuml", "drawio", "graphviz", "pdf")
    images = [key for key in all_keys() if key.endswith(".image")]
    assert images == [f"workers.{name}.image" for name in (*ROUTINE_WORKERS, *JOB_TYPES)]
    assert [kind.name for kind in JOB_TYPES.values()] == list(JOB_TYPES)


@pytest.mark.parametrize("kind", JOB_TYPES.values(), ids=str)
def test_every_type_names_a_converter_and_what_its_results_depend_on(kind: JobType) -> None:
    module, _, name = kind.converter.partition(":")
    assert callable(getattr(import_module(module), name))
    found = kind.fingerprint(Settings())
    assert found["clx"] == __version__
    assert len(found) > 1


def test_converters_are_known_by_their_own_files() -> None:
    assert len({kind.fingerprint(Settings())["converter"] for kind in JOB_TYPES.values()}) == len(JOB_TYPES)


def test_a_converter_changes_with_each_of_its_files_and_with_the_version_of_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "room/converter.py": "1",
        "room/assets/page.css": "1",
        "room/assets/it.js": "1" * 200_000,
        "source.py": "1",
    }
    for name in (*files, "browser.py", "browser_page.py", "glyphs.py", "../tools/program.py"):
        path = tmp_path / "jobtypes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files.get(name, "1"))
    (tmp_path / "jobtypes" / "room" / "notes.txt").write_text("1")
    monkeypatch.setattr(jobtype, "__file__", str(tmp_path / "jobtypes" / "jobtype.py"))

    def digest() -> str:
        jobtype._digest_of.cache_clear()
        return jobtype._digest_of("room")

    found = [digest()]
    for name, before in files.items():
        (tmp_path / "jobtypes" / name).write_text(f"{before[:-1]}2")
        found.append(digest())
    (tmp_path / "jobtypes" / "room" / "assets" / "it.js").write_text("2" + "1" * 199_998 + "2")
    found.append(digest())
    (tmp_path / "jobtypes" / "room" / "converter.py").rename(tmp_path / "jobtypes" / "room" / "other.py")
    found.append(digest())
    assert len(set(found)) == len(found)
    (tmp_path / "jobtypes" / "room" / "notes.txt").write_text("2")
    assert digest() == found[-1]
    jobtype._digest_of.cache_clear()


def test_a_converter_gets_its_directory_made(tmp_path: Path) -> None:
    JOB_TYPES["plantuml"].make_converter(Settings(), tmp_path / "a" / "b").close()
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("mode", "fingerprint", "is_the_same"),
    [
        ("direct", {"clx": "1", "java": "21"}, True),
        ("direct", {"java": "21", "clx": "1"}, True),
        ("docker", {"clx": "1", "java": "21"}, False),
        ("direct", {"clx": "2", "java": "21"}, False),
        ("direct", {"clx": "1", "java": "17"}, False),
    ],
)
def test_workers_share_a_pool_when_their_results_are_the_same(
    mode: str, fingerprint: dict[str, Any], is_the_same: bool
) -> None:
    pool = pool_name("direct", {"clx": "1", "java": "21"})
    assert pool.startswith("direct:1:")
    assert (pool_name(mode, fingerprint) == pool) is is_the_same
