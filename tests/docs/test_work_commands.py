"""The samples of docs/work.md for a shell run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "work.md").read_text(encoding="utf-8")


def test_the_samples_for_a_shell_run(tmp_path: Path) -> None:
    section = PAGE.partition("## On the command line")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 3
    script = f'clx() {{ "{sys.executable}" -m clx "$@"; }}\nset -euo pipefail\n' + "\n".join(blocks)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("CLX_WORK", "CLX_DATABASE", "WORK_"))}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "2 work(s) would be cancelled" in done.stdout
    assert re.search(r"^detect +1 +0 +0 +0 +0$", done.stdout, re.MULTILINE), "the last look at the buckets"
    assert done.stdout.endswith("\n0\n")


def test_every_command_of_the_section_is_one() -> None:
    from clx.cli.main import cli

    groups = {name: cli.get_command(None, name) for name in ("work", "buckets", "results")}  # type: ignore[arg-type]
    for group, name in re.findall(r"`clx (work|buckets|results) ([a-z]+)", PAGE):
        assert name in groups[group].commands, f"clx {group} {name}"  # type: ignore[union-attr]
