"""What docs/serving.md types with curl, typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tritonclient.http
from tests.support.model_servers import model_server, write_model
from tests.support.scene import until

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_lines_with_curl_are_answered(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (lines,) = [each for each in blocks if each.startswith("curl -s http://127.0.0.1:8000/v2/models/digits\n")]
    model = write_model(tmp_path / "digits.onnx")
    with model_server(tmp_path, "--model", f"digits={model}") as server:
        with tritonclient.http.InferenceServerClient(server.address) as client:
            while not client.is_model_ready("digits"):
                os.sched_yield()
        typed = lines.replace("127.0.0.1:8000", server.address).replace("curl -s", "curl -sS --fail-with-body")
        done = subprocess.run(["sh", "-ec", typed], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"outputs":[{"name":"y"' in done.stdout
    assert '"inference_count":1' in done.stdout
    assert 'clx_serving_requests_total{model="digits",version="1",outcome="success"} 1' in done.stdout


def test_an_upload_by_curl_is_served(tmp_path: Path) -> None:
    (line,) = re.findall(r"^curl -T model.onnx http://\S+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    write_model(tmp_path / "model.onnx")
    with model_server(tmp_path) as server:
        typed = line.replace("127.0.0.1:8000", server.address) + " -sS --fail-with-body"
        done = subprocess.run(
            ["sh", "-ec", typed], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        status = [sys.executable, "-m", "clx", "serve", "status"]
        until(lambda: "digits  3 " in subprocess.check_output(status, cwd=tmp_path, text=True))
