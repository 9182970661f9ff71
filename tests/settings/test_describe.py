"""Every setting is documented, and the package stays cheap to import."""

from __future__ import annotations

import subprocess
import sys

from clx.settings.describe import describe
from clx.settings.keys import all_keys


def test_every_setting_has_words_a_type_and_its_default() -> None:
    found = describe()
    assert [each.key for each in found] == list(all_keys())
    for each in found:
        assert each.doc.endswith("."), each.key
        assert each.type
        assert each.default == all_keys()[each.key].default
    by_key = {each.key: each for each in found}
    assert by_key["workers.notebook.count"].type == "a whole number from 0 to 256"
    assert by_key["workers.default_execution_mode"].type == '"direct" or "docker"'


def test_resolving_without_files_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; import clx.settings.resolve as s;"
        "s.resolve(Path('/'), environ={}, files=[]);"
        "print(*sorted(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "clx.settings.resolve" in loaded
    heavy = {"tomllib", "pydantic", "yaml", "rich", "jinja2", "sqlalchemy", "difflib", "clx.settings.describe"}
    assert not heavy & set(loaded)
