"""``--artifacts``: real workers share what they need and make by a server; nobody is shown the token."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import psutil
from tests.support.courses import tree
from tests.support.scene import Scene
from tests.support.serving_process import server_process

from clx.artifacts.store import ArtifactStore
from clx.db.state import StateDirectory


def kept_by(database: Path) -> ArtifactStore:
    """What a server of that database keeps."""
    return ArtifactStore(StateDirectory.of(database).shared / "artifacts")


def test_a_build_shares_what_it_needs_and_makes(scene: Scene, tmp_path: Path) -> None:
    """Real workers: sources are there before their jobs are queued, outputs before they have ended; nobody shows the
    token, and what the cache has lost comes back from the server."""
    database = tmp_path / "server" / "jobs.db"
    database.parent.mkdir()
    scene.decks("one", cell='import os; print("TOKEN:", os.environ.get("CLX_ARTIFACTS__TOKEN", "none"))')
    with server_process(database) as server:
        token: dict[str, Any] = {"CLX_ARTIFACTS__TOKEN": server.token}
        scene.build("--artifacts", server.url, **token)
        first = tree(scene.course.root / "output")
        assert any("TOKEN: none" in path.read_text() for path in (scene.course.root / "output").rglob("*.html"))
        kept = kept_by(database)
        named = {digest for job in scene.jobs("succeeded") for _, digest, _ in job.result["outputs"]}
        named |= {digest for job in scene.jobs("succeeded") for _, digest in job.payload["files"]}
        assert named
        assert all(kept.verify(digest) for digest in named)
        shutil.rmtree(scene.shared / "artifacts")
        shutil.rmtree(scene.course.root / "output")
        again = scene.build("--artifacts", server.url, "--progress", "plain", **token)
        assert tree(scene.course.root / "output") == first
        assert "0 to run" in again.stdout
        scene.clx("start-services", "--artifacts", server.url, "--notebook-workers", "1", *_NO_OTHERS, **token)
        try:
            assert server.token not in (scene.state / "worker-state.json").read_text()
            assert server.url in (scene.state / "worker-state.json").read_text()
            assert not [p for p in psutil.process_iter() if server.token in " ".join(_words(p))]
            scene.decks("two")
            scene.build("--no-auto-start", "--artifacts", server.url, **token)
            made = [job for job in scene.jobs("succeeded") if "slides_two" in job.payload["source"]]
            assert made
            assert all(kept.verify(digest) for job in made for _, digest, _ in job.result["outputs"])
        finally:
            scene.clx("stop-services")
    lost = scene.build(code=2, CLX_ARTIFACTS__URL="http://192.0.2.1:1", **token)
    assert "unencrypted" in lost.stderr


_NO_OTHERS = ("--plantuml-workers", "0", "--drawio-workers", "0")


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def test_the_token_is_not_shown(scene: Scene) -> None:
    said = scene.clx("config", "set", "--user", "artifacts.token", "clx_secret").stdout
    assert "clx_secret" not in said
    assert 'artifacts.token = "***"' in said
    shown = scene.clx("config", "show", "--origin", "artifacts").stdout
    assert "clx_secret" not in shown
    found = scene.json("config", "show", "artifacts", CLX_ARTIFACTS__TOKEN="clx_other")["settings"]
    assert found["artifacts.token"]["value"] == "***"
    assert found["artifacts.token"]["where"] == "CLX_ARTIFACTS__TOKEN"
    assert found["artifacts.url"]["value"] is None


def test_a_unit_of_systemd_says_where_artifacts_are(scene: Scene) -> None:
    unit = scene.clx("start-services", "--artifacts", "https://cas.example", "--print-systemd").stdout
    assert "--artifacts https://cas.example" in unit
