"""``clx doctor --daily``: the real command on a flow, with a real staging server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

CLX = [sys.executable, "-P", "-m", "clx"]


def doctor(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [*CLX, "doctor", "--daily", "flow.py", *words], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    subprocess.run([*CLX, "daily", "new", "lab"], cwd=tmp_path, check=True, timeout=60, capture_output=True)
    return tmp_path / "lab"


def test_what_a_flow_stands_on(lab: Path) -> None:
    found = json.loads(doctor(lab, "--format", "json"))
    assert found["ok"]
    names = [each["name"] for each in found["findings"]]
    assert names == ["time zone", "lake", "free space", "artifacts"]
    subprocess.run([*CLX, "daily", "run", "--local"], cwd=lab, check=True, timeout=120, capture_output=True)
    said = doctor(lab)
    assert "9 days of datasets are as they were published" in said
    assert re.search(r"^ok +database", said, re.MULTILINE)
    next((lab / "lake/clean/gold").rglob("*.parquet")).unlink()
    assert re.search(r"^PROBLEM lake's bytes .*day.parquet is not there", doctor(lab, code=3), re.MULTILINE)


def test_a_staging_server_and_what_cannot_be_asked(lab: Path) -> None:
    subprocess.run([*CLX, "staging", "token", "token"], cwd=lab, check=True, timeout=60, capture_output=True)
    command = [*CLX, "staging", "serve", "--token-file", "token", "--port", "0"]
    with subprocess.Popen(command, cwd=lab, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        (url,) = re.findall(r"http://[\w.:]+", server.stdout.readline())
        said = doctor(lab, "--staging", url, "--token-file", "token")
        assert re.search(r"^ok +staging .*MiB free", said, re.MULTILINE)
        assert re.search(r"^ok +staging's token", said, re.MULTILINE)
        assert re.search(r"^ok +clock .* that of staging", said, re.MULTILINE)
        server.terminate()
    assert "does not answer" in doctor(lab, "--staging", url, "--token-file", "token", code=3)
    assert "there is no default one" in doctor(lab, "--staging", url, code=2)
    (lab / "token").write_text("changeme")
    assert "too easy to guess" in doctor(lab, "--staging", url, "--token-file", "token", code=2)
    assert "Leave the other out" in doctor(lab, "--db", code=2)
