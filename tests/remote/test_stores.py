"""Which store the settings ask for, and how a worker finds the token that nobody passes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.support.serving import Listening

from clx.artifacts.store import ArtifactStore
from clx.errors import SettingsError, UsageError
from clx.remote.stores import TOKEN_VARIABLE, find_token, open_store, own_token
from clx.settings.resolve import SettingsFile, resolve
from clx.settings.schema import ArtifactsSettings
from clx.workers.supervision.checks import settings_for


def test_without_an_address_it_is_the_directory_and_nothing_is_imported(tmp_path: Path) -> None:
    assert type(open_store(tmp_path, ArtifactsSettings())) is ArtifactStore
    code = (
        "import sys, pathlib; from clx.remote.stores import open_store; from clx.settings.schema import Settings; "
        "open_store(pathlib.Path('x'), Settings().artifacts); import clx.course.build, clx.workers.__main__; "
        "print([name for name in ('urllib3', 'clx.remote.artifacts', 'clx.remote.connection', 'starlette') "
        "if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


def test_with_an_address_it_stands_in_front_of_the_server(tmp_path: Path, served: Listening) -> None:
    secret = served.secrets["work"]
    one = open_store(tmp_path / "a", ArtifactsSettings(url=served.url, token=secret))
    digest = one.put_bytes(b"x")
    one.share([digest])
    other = open_store(tmp_path / "b", ArtifactsSettings(url=served.url), token=secret)
    assert other.get_bytes(digest) == b"x"


def test_a_token_that_others_could_read_is_refused(tmp_path: Path) -> None:
    asked = ArtifactsSettings(url="http://192.0.2.1:8004", token="clx_x")
    with pytest.raises(UsageError, match="unencrypted"):
        open_store(tmp_path, asked)
    open_store(tmp_path, ArtifactsSettings(url="http://192.0.2.1:8004", token="clx_x", insecure=True))


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    for file in ("ca.pem", "absent.pem"):
        asked = ArtifactsSettings(url="https://192.0.2.1", ca_file=str(tmp_path / file))
        with pytest.raises(UsageError, match="is no file of certificates"):
            open_store(tmp_path, asked)


def test_a_worker_finds_its_token_and_what_it_starts_does_not_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "clx_secret")
    assert find_token(ArtifactsSettings()) == ""
    assert find_token(ArtifactsSettings(url="http://localhost:1")) == "clx_secret"
    assert TOKEN_VARIABLE in os.environ
    assert own_token(ArtifactsSettings(url="http://localhost:1")) == "clx_secret"
    assert TOKEN_VARIABLE not in os.environ


def test_a_worker_finds_the_token_in_the_users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "clx").mkdir()
    (tmp_path / "clx/config.toml").write_text('[artifacts]\ntoken = "clx_mine"\n')
    assert own_token(ArtifactsSettings(url="http://localhost:1")) == "clx_mine"


def test_what_workers_are_told_has_no_token(tmp_path: Path) -> None:
    resolved = resolve(files=[], environ={"CLX_ARTIFACTS__TOKEN": "clx_secret", "CLX_ARTIFACTS__URL": "http://h"})
    assert resolved.settings.artifacts.token == "clx_secret"
    told = settings_for(resolved, tmp_path / "jobs.db")
    assert (told.artifacts.url, told.artifacts.token) == ("http://h", None)
    assert b"clx_secret" not in msgspec.json.encode(told)


@pytest.mark.parametrize("setting", ['url = "http://h"', 'token = "x"', 'ca_file = "x"', "insecure = true"])
def test_a_project_cannot_say_where_artifacts_go(tmp_path: Path, setting: str) -> None:
    file = tmp_path / ".clx" / "config.toml"
    file.parent.mkdir()
    file.write_text(f"[artifacts]\n{setting}\n")
    with pytest.raises(SettingsError, match="cannot be set by a project"):
        resolve(files=[SettingsFile("project", file)], environ={})
