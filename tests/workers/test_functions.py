"""What `clx worker` is given: functions found by module and name, or told in words why not, and where."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clx.errors import ClxError, UsageError
from clx.workers.functions import load
from clx.workers.importing import imported

_MODULE = """
from clx import task

@task
def resize(file: str) -> str:
    return file

@task(type="mail")
def send(to: str) -> str:
    return to

def plain(job):
    return None

handlers = {"plain": plain, "mail": send}
both = [resize, send]
made = lambda: both
count = 5
twice = [resize, resize]
strange = {"t": 5}

class Group:
    handlers = {"inner": plain}

def breaks():
    return 1 / 0

def leaves():
    raise SystemExit("no")
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    (tmp_path / "shop").mkdir()
    for name, text in {
        "jobs": _MODULE,
        "wants": "import not_there_at_all\n",
        "broken": "x = 1\ny = (\n",
        "raises": "\n\nraise ValueError('first\\nsecond')\n",
        "leaves": "import sys\nsys.exit(3)\n",
        "none": "x = 1\n",
    }.items():
        (tmp_path / "shop" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("target", "types", "found"),
    [
        ("shop.jobs:handlers", [], {"plain", "mail"}),
        ("shop.jobs:both", [], {"resize", "mail"}),
        ("shop.jobs:resize", [], {"resize"}),
        ("shop.jobs:made", [], {"resize", "mail"}),
        ("shop.jobs:Group.handlers", [], {"inner"}),
        ("shop.jobs", [], {"resize", "mail"}),
        ("shop.jobs:both", ["mail"], {"mail"}),
    ],
)
def test_functions_are_found(target: str, types: list[str], found: set[str]) -> None:
    assert load(target, types).keys() == found


@pytest.mark.parametrize(
    ("target", "types", "fact", "next_step"),
    [
        ("shop.jobs:", [], "names no functions", "MODULE:NAME"),
        (":handlers", [], "names no functions", "MODULE:NAME"),
        ("shap.jobs:handlers", [], "There is no module shap", "in the directory that shap lies in"),
        ("shop.jabs:handlers", [], "There is no module shop.jabs", "in the directory that shop lies in"),
        ("shop.jobs:handler", [], "jobs.py) has no handler", "Did you mean handlers?"),
        ("shop.jobs:Group.xyz", [], "has no Group.xyz", "MODULE:NAME"),
        ("shop.jobs:count", [], "is int", "handlers = "),
        ("shop.jobs:twice", [], "Two functions", "@task"),
        ("shop.jobs:strange", [], "5 is no function", "function"),
        ("shop.jobs:breaks", [], "ZeroDivisionError: division by zero ({}/shop/jobs.py, line 26)", "line 26"),
        ("shop.jobs:leaves", [], "SystemExit: no ({}/shop/jobs.py, line 29)", "line 29"),
        ("shop.jobs:both", ["male"], "no function for the type 'male'", "Did you mean mail?"),
        ("shop.jobs:both", ["xxxxxx"], "no function for the type 'xxxxxx'", "There are: resize, mail."),
        ("shop.none", [], "has no @task function", "MODULE:NAME"),
        ("shop.wants", [], "No module named 'not_there_at_all' ({}/shop/wants.py, line 1)", "line 1"),
        ("shop.broken", [], "SyntaxError: '(' was never closed ({}/shop/broken.py, line 2)", "line 2"),
        ("shop.raises", [], "ValueError: first ({}/shop/raises.py, line 3)", "line 3"),
        ("shop.leaves", [], "SystemExit: 3 ({}/shop/leaves.py, line 2)", "line 2"),
    ],
)
def test_what_cannot_be_had_is_told_with_file_and_line(
    tmp_path: Path, target: str, types: list[str], fact: str, next_step: str
) -> None:
    with pytest.raises(ClxError) as told:
        load(target, types)
    assert fact.format(tmp_path) in told.value.fact
    assert "\n" not in told.value.fact
    assert next_step in told.value.next_step
    assert told.value.exit_code == UsageError.exit_code


def test_a_file_is_no_module_and_its_name_as_a_module_is_said() -> None:
    with pytest.raises(UsageError, match="name of a file") as refused:
        imported("shop/jobs.py")
    assert refused.value.next_step == "Write it as it is imported: shop.jobs"
