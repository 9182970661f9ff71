"""``clx work workspace``: a file that the client of the Workflow System reads, whatever is asked to stand in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from clx.cli.main import cli
from clx.cli.work_workspace import lines
from clx.errors import ClxError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CLX_WORK__URL", "CLX_SERVER__PORT", "WORK_SITE"):
        monkeypatch.delenv(name, raising=False)


def _printed(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["work", "workspace", *words])
    assert done.exit_code == 0, f"{done.output}{done.exception}"
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def test_every_store_is_below_one_address() -> None:
    found = _printed("--url", "https://clx.example.org/below/")
    base = "https://clx.example.org/below/workflow"
    assert found["http"]["baseurls"] == {
        "buckets": f"{base}/buckets",
        "results": f"{base}/results",
        **dict.fromkeys(("pipelines", "configs", "schedules"), f"{base}/pipelines/v2"),
    }
    assert (found["workspace"], found["sites"]) == ("clx", ["local"])
    assert found["config"]["archive"]["plots"] == {"methods": ["bypass"], "storage": "posix"}


def test_the_server_is_the_one_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _printed()["http"]["baseurls"]["buckets"] == "http://127.0.0.1:8004/workflow/buckets"
    monkeypatch.setenv("CLX_SERVER__PORT", "9000")
    assert _printed()["http"]["baseurls"]["buckets"] == "http://127.0.0.1:9000/workflow/buckets"
    monkeypatch.setenv("CLX_WORK__URL", "http://far:1")
    assert _printed()["http"]["baseurls"]["buckets"] == "http://far:1/workflow/buckets"


def test_sites_and_an_archive_are_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORK_SITE", "aro")
    assert _printed()["sites"] == ["local", "aro"]
    odd = ["chime", "no", "1", "a: b", "ä'\"#\\", "🔭"]
    found = _printed("--archive", "in here", *(word for site in odd for word in ("--site", site)))
    assert found["sites"] == odd
    assert found["archive"]["posix"] == dict.fromkeys(odd, str(tmp_path / "in here"))
    assert found["config"]["archive"]["products"]["methods"] == ["bypass", "copy", "move", "delete"]


@pytest.mark.parametrize(
    "url", ["", "ftp://a", "http://", "http://a b", "http://u:p@a", "http://a:x", "http://a\n#", "http://a/?x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    done = CliRunner().invoke(cli, ["work", "workspace", "--url", url])
    assert isinstance(done.exception, ClxError)
    assert "is no address of a server" in done.exception.fact


def test_nothing_breaks_out_of_its_line() -> None:
    assert isinstance(CliRunner().invoke(cli, ["work", "workspace", "--site", "a\nb"]).exception, ClxError)
    assert all("\n" not in line for line in lines("http://a", "clx", ["local"], None))
