"""No process that CLX starts takes a file of the current directory for one of Python's modules, or for CLX itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clx
from clx.jobtypes.notebook.execution.interpreter import python_command

_SOURCES = Path(clx.__file__).parent
_ROOT = Path(__file__).parents[2]
_HIJACKED = ("clx", "msgspec", "psutil", "json", "sqlite3", "platform", "tempfile", "ipykernel", "ipykernel_launcher")


def started() -> Iterator[tuple[str, list[str]]]:
    """Every list in the sources that begins with an interpreter, and where."""
    for path in sorted(_SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 1:
                words = [ast.unparse(each) for each in node.elts]
                named = words[0] in {"python", "self.python", "self._python", "'python'", "'python3'"}
                if words[0] == "sys.executable" or (named and {"'-m'", "'-c'", "'-P'"} & {*words}):
                    yield f"{path.relative_to(_SOURCES)}:{node.lineno}", words


def test_every_python_is_started_with_safe_path() -> None:
    """Also one that is added later."""
    found = dict(started())
    assert len(found) >= 7
    assert {place: words for place, words in found.items() if "'-P'" not in words[1]} == {}


def test_every_python_of_the_images_is_started_with_safe_path() -> None:
    """Entry points and health checks."""
    found = [
        (path, line)
        for path in (_ROOT / "docker").rglob("Dockerfile")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"(ENTRYPOINT|CMD|HEALTHCHECK)\b.*python", line)
    ]
    assert len(found) == 2 * len(list((_ROOT / "docker").rglob("Dockerfile"))) >= 8
    assert all('["python", "-P", ' in line for _, line in found)


def test_an_interpreter_without_that_option_is_started_without(tmp_path: Path) -> None:
    """As those before 3.11 are, which say that they do not know it."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text('#!/bin/sh\n[ "$1" = -P ] && exit 2\nexit 0\n')
    new.write_text("#!/bin/sh\nexit 0\n")
    for each in (old, new):
        each.chmod(0o755)
    assert python_command(str(old)) == [str(old)]
    assert python_command(str(new)) == [str(new), "-P"]
    assert python_command(sys.executable) == [sys.executable, "-P"]


@pytest.mark.parametrize(
    "command", ["bench --scale 0.01", "selftest --seconds 1 --workers 1", "doctor", "build c.yaml"]
)
def test_modules_in_the_current_directory_are_not_imported(tmp_path: Path, command: str) -> None:
    """Whatever they are called."""
    for name in _HIJACKED:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write(__name__)\n")
    (tmp_path / "clx").mkdir()
    (tmp_path / "clx.py").rename(tmp_path / "clx" / "__init__.py")
    deck = tmp_path / "slides" / "m" / "topic_100_a" / "slides_a.py"
    deck.parent.mkdir(parents=True)
    deck.write_text("# %%\nprint(1)\n")
    (tmp_path / "c.yaml").write_text("name: {en: C}\nprog_lang: python\nsections: [{name: {en: S}, topics: [a]}]\n")
    program = [sys.executable, "-P", "-m", "clx", *command.split()]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert done.returncode in ({0, 3} if command == "doctor" else {0}), done.stderr
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()
