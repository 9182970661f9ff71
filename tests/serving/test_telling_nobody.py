"""A worker of models speaks with its controller and with nobody else: onnxruntime tells its makers nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import os
import clx.serving.worker.onnx
print(os.environ["ORT_DISABLE_TELEMETRY"])
print(*(os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{each}")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("wanted", [None, "0"], ids=["as it is", "let"])
def test_onnxruntime_tells_its_makers_nothing_unless_it_is_let(wanted: str | None, tmp_path: Path) -> None:
    # where it takes the machine for one of CI it does so anyway
    environment = {key: each for key, each in os.environ.items() if key in {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"}}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    if wanted is not None:
        environment["ORT_DISABLE_TELEMETRY"] = wanted
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    said, opened = done.stdout.splitlines()
    assert said == (wanted or "1")
    if wanted is None:
        assert str(tmp_path) not in opened
        assert list(tmp_path.iterdir()) == []
