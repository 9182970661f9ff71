"""``scripts/system-packages.sh`` with an apt that only writes down what it is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "system-packages.sh"


def program(path: Path, text: str = "") -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Programs of a machine that has everything but a browser and npm; its package lists are not fetched yet."""
    for name in ("sh", "env", "ls", "grep", "touch"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    for name in ("java", "dot", "git", "python3"):
        program(tmp_path / name)
    program(tmp_path / "apt-get", f'echo "$*" >> {tmp_path}/asked; touch {tmp_path}/fetched')
    return tmp_path


def candidate(machine: Path, version: str) -> None:
    """What apt knows about the browser once the lists are there."""
    program(machine / "apt-cache", f'[ -e {machine}/fetched ] && echo "  Candidate: {version}" || true')


def asked(machine: Path) -> list[str]:
    environment = {**os.environ, "PATH": str(machine), "SUDO": ""}
    subprocess.run(["sh", SCRIPT], env=environment, check=True, capture_output=True, timeout=120)
    log = machine / "asked"
    return log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize(
    ("version", "package"), [("156.0-1~deb12u1", "chromium-headless-shell"), ("(none)", "npm"), ("", "npm")]
)
def test_a_browser_or_what_fetches_one(machine: Path, version: str, package: str) -> None:
    candidate(machine, version)
    first, last = asked(machine)
    assert first == "update -qq"
    assert last.startswith("install ")
    assert package in last.split()
    assert len({"chromium-headless-shell", "npm"} & set(last.split())) == 1


def test_no_browser_is_asked_for_where_there_is_one(machine: Path) -> None:
    candidate(machine, "(none)")
    program(machine / "chromium")
    assert not {"chromium-headless-shell", "npm"} & set(" ".join(asked(machine)).split())


def test_a_server_of_databases_is_installed_and_none_is_made_that_runs(machine: Path) -> None:
    """The tests start their own; Debian's package would make one and start it, unless it is told before."""
    candidate(machine, "(none)")
    (machine / "ls").unlink()
    program(machine / "ls", 'case "$*" in *initdb*) exit 1 ;; esac; exec /bin/ls "$@"')
    program(machine / "mkdir", f'echo "mkdir $*" >> {machine}/asked')
    program(machine / "tee", f'read -r line; echo "$line > $*" >> {machine}/asked')
    said = [line for line in asked(machine) if not line.startswith("update")]
    assert said[:2] == [
        "mkdir -p /etc/postgresql-common/createcluster.d",
        "create_main_cluster = false > /etc/postgresql-common/createcluster.d/clx.conf",
    ]
    assert "postgresql" in said[2].split()
