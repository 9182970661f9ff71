"""The page about values is true: its examples run, and its tables name what there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.routines.codecs.examples import DIFFERENT

from clx.routines.codecs import canonical, objects
from clx.routines.codecs.canonical import READERS
from clx.routines.codecs.finding import reader_for

PAGE = (Path(__file__).parents[3] / "docs" / "routines-values.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("fresh_registry")
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("shop")
    monkeypatch.setitem(sys.modules, "shop", module)
    module.folder = tmp_path
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/routines-values.md", "exec"), vars(module))
    assert objects._BY_NAME.keys() >= {"shop.Point", "shop.Order", "Fraction"}


def test_every_tag_is_on_the_page() -> None:
    named = set(re.findall(r'"(\$\w+)"', PAGE))
    written = {tag for value in DIFFERENT for tag in re.findall(r'\{"(\$\w+)":', canonical(value))}
    assert written - {"$date", "$time", "$timedelta", "$uuid", "$complex", "$path"} <= named
    for tag in named - READERS.keys() - {"$large"}:
        reader_for(tag)
