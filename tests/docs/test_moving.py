"""The page about moving is true: its samples run, and what it says of ports, operators and times is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clx.server import protocol, sweeping
from clx.server.wire import deposits, mongo, ports, viewing

PAGE = (Path(__file__).parents[2] / "docs" / "moving.md").read_text(encoding="utf-8")


def test_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (sample,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(sample, "docs/moving.md", "exec"), namespace)


def test_the_workspace_file_names_the_places_of_the_page(tmp_path: Path) -> None:
    (line,) = re.findall(r"^(clx work workspace .*)$", PAGE, re.MULTILINE)
    script = f'clx() {{ "{sys.executable}" -m clx "$@"; }}\n{line}'
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "clx.yml").read_text(encoding="utf-8")
    for place in re.findall(r"`(/workflow/\w+)", PAGE.partition("## Tokens")[0]):
        assert f"http://127.0.0.1:8004{place}" in written


def test_the_ports_are_those_that_are_listened_at() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|.*\| `(/workflow/[a-z]+)", PAGE, re.MULTILINE)
    assert {int(port): place for told, place in rows for port in told.split(",")} == ports.PORTS


def test_what_it_says_in_numbers_is_so() -> None:
    (told,) = re.findall(r"Queries take `([^`]+)`", PAGE)
    assert tuple(told.split()) == mongo.OPERATORS
    assert f"`null` finds {viewing.NULL}" in PAGE
    assert protocol.HEADER_BYTES == 32 * 1024
    assert deposits._SENT_AGAIN == {False: 0.5, True: 0.1}
    assert "(0.5 s; `workflow-core`\n  0.1 s)" in PAGE
    assert sweeping.RESTED == 60


def test_every_command_of_clx_on_the_page_is_one() -> None:
    from clx.cli.main import cli

    for group, name in re.findall(r"`?clx (work|server|pipelines) ([a-z]+)", PAGE):
        assert name in cli.get_command(None, group).commands, f"clx {group} {name}"  # type: ignore[arg-type, union-attr]
