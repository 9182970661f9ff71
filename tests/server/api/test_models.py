"""Models as programs read them."""

from __future__ import annotations

from clx.db.serving.figures import Figures, Watched
from clx.db.serving.models import ModelRow
from clx.server.api.models import ServedModel, document

ROW = ModelRow("m", "2", "", 0, "a:b", 0, 0, 1, "warm", "loading", "", 0, 0, 0)


def test_what_its_server_said_comes_before_what_the_table_has() -> None:
    said = Figures("m", "1", 1, 1, "ready", 5, 4, 3, 2, 1, 7, 10, 20, 30, {})
    assert document(Watched("m", ROW, said)) == ServedModel("m", "1", "warm", "ready", 5, 4, 3, 2, 10, 20, 30, 7)
    assert document(Watched("m", ROW, None)) == ServedModel("m", "2", "warm", "loading")
    assert document(Watched("m", None, said)).residence == ""
