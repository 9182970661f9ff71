"""Views are waited for, however much else the machine has to do; that one is late is tested in tests/server."""

from __future__ import annotations

import pytest

from clx.server.views import page


@pytest.fixture(autouse=True)
def patient_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second would be too short for a machine that runs other tests."""
    monkeypatch.setattr(page, "_PATIENCE", 120.0)
