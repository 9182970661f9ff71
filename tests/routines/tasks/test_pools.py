"""Which tasks a machine runs: those of its pools, and those that name none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clx.routines import registry
from clx.routines.tasks.keeper import _routines

_MODULE = """
from clx import define

for pool in ("", "gpu", "data"):
    @define.task(name="of." + (pool or "any"), version="1.0.0", pool=pool)
    def found(): ...
"""


@pytest.mark.parametrize(
    ("pools", "taken"),
    [((), ["any", "data", "gpu"]), (("gpu",), ["any", "gpu"]), (("gpu", "data"), ["any", "data", "gpu"]),
     (("other",), ["any"])],
    ids=["none set", "one", "two", "another"],
)  # fmt: skip
def test_what_is_taken(
    pools: tuple[str, ...], taken: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_known", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "pooled", raising=False)
    (tmp_path / "pooled.py").write_text(_MODULE)
    prepared = _routines({"modules": ["pooled"], "path": [str(tmp_path)], "pools": pools})
    assert prepared.ids == [f"task:of.{each}:1.0.0" for each in taken]
