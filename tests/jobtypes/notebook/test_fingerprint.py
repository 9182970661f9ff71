"""The fingerprint of converted decks."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from clx.jobtypes.notebook import fingerprint
from clx.settings.schema import Settings


def test_versions_are_those_of_the_installed_packages() -> None:
    found = fingerprint.fingerprint(Settings())
    for name in ("jinja2", "jupytext", "markdown-it-py", "mdit-py-plugins", "mini-racer", "pygments"):
        assert found[name.replace("-", "_")] == version(name)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_package_that_is_not_there_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Jinja2-9.9.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "nowhere")])
    found = fingerprint.fingerprint(Settings())
    assert found["jinja2"] == "9.9"
    assert found["pygments"] == "missing"
