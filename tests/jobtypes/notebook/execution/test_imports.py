"""Which libraries a run will import, read off its cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from clx.jobtypes.notebook.execution.imports import heavy_imports, imports_differently, shadows

ALLOWED = ("numpy", "pandas", "matplotlib")


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("import numpy as np", ["numpy"]),
        ("import os, numpy as np, pandas", ["numpy", "pandas"]),
        ("x = 1\n    import matplotlib.pyplot as plt", ["matplotlib.pyplot"]),
        ("from matplotlib import pyplot as plt, cm", ["matplotlib", "matplotlib.pyplot", "matplotlib.cm"]),
        ("from pandas import (DataFrame, Series)", ["pandas", "pandas.DataFrame", "pandas.Series"]),
        ("import numpyro", []),
        ("# import numpy", []),
        ("text = 'from numpy import x'", []),
        ("%matplotlib inline\n!pip list", []),
    ],
)
def test_imports_are_found(cell: str, found: list[str], tmp_path: Path) -> None:
    assert heavy_imports([cell], ALLOWED, tmp_path) == found


def test_a_module_beside_the_deck_is_not_the_library(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").touch()
    (tmp_path / "numpy").mkdir()
    assert heavy_imports(["import numpy, pandas, matplotlib"], ALLOWED, tmp_path) == ["matplotlib"]
    assert shadows(tmp_path, "numpy.linalg")


@pytest.mark.parametrize("cell", ["import os\nos.environ['A'] = '1'", "%env A=1", "os.putenv('A', '1')"])
def test_cells_that_set_variables_import_for_themselves(cell: str, tmp_path: Path) -> None:
    assert imports_differently([cell], tmp_path)
    assert not imports_differently(["environment = 1"], tmp_path)


def test_a_matplotlibrc_beside_the_deck_counts(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").touch()
    assert imports_differently(["x = 1"], tmp_path)
