"""What a run says of itself."""

from __future__ import annotations

import subprocess
import sys

from clx.workers.process.job_run import peak_memory


def test_peak_memory_is_the_processes_own_and_not_its_starters() -> None:
    held = bytearray(200 << 20)
    mine = peak_memory()
    code = "from clx.workers.process.job_run import peak_memory; print(peak_memory())"
    started = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)

    assert mine is not None
    assert mine > len(held)
    assert 1 << 20 < started < 150 << 20
