"""Whose jobs a worker takes: on a server's table those, too, whose artifacts it finds."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from clx.jobtypes.registry import pool_name
from clx.settings.schema import Settings
from clx.workers.pools import pool_of

TOOLS = {"clx": "1", "pygments": "2"}
SETTINGS = Settings()


def test_on_a_file_tools_alone_decide(tmp_path: Path) -> None:
    assert pool_of("direct", TOOLS, tmp_path / "jobs.db", SETTINGS) == pool_name("direct", TOOLS)
    assert list(tmp_path.iterdir()) == []


def test_on_a_server_machines_with_directories_of_their_own_have_pools_of_their_own(tmp_path: Path) -> None:
    one, other = (tmp_path / name / ".clx" / "jobs.postgresql" for name in ("one", "other"))
    mine = pool_of("direct", TOOLS, one, SETTINGS)
    assert mine == pool_of("direct", TOOLS, one, SETTINGS)
    assert mine != pool_of("direct", TOOLS, other, SETTINGS)
    assert mine != pool_of("direct", TOOLS | {"pygments": "3"}, one, SETTINGS)
    assert [path.name for path in (one.parent / "artifacts").iterdir()] == ["id"]


def test_with_a_directory_in_common_or_a_server_of_artifacts_they_share_one(tmp_path: Path) -> None:
    one, other = (tmp_path / name / ".clx" / "jobs.postgresql" for name in ("one", "other"))
    with_server = replace(SETTINGS, artifacts=replace(SETTINGS.artifacts, url="http://host:8004"))
    assert pool_of("direct", TOOLS, one, with_server) == pool_of("direct", TOOLS, other, with_server)
    other.parent.mkdir(parents=True)
    (other.parent / "artifacts").symlink_to(one.parent / "artifacts")
    assert pool_of("direct", TOOLS, one, SETTINGS) == pool_of("direct", TOOLS, other, SETTINGS)
