"""A directory's mark: one for whoever asks, at the same moment or later, by whatever path."""

from __future__ import annotations

import threading
from pathlib import Path

from clx.regular import mark_of


def test_whoever_asks_gets_the_same_mark(tmp_path: Path) -> None:
    folder, found = tmp_path / "deep" / "folder", []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        found.append(mark_of(folder, ".mark"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [each.name for each in folder.iterdir()] == [".mark"], "nothing is left beside it"
    (tmp_path / "other").symlink_to(folder, target_is_directory=True)
    assert mark_of(tmp_path / "other", ".mark") == found[0]
    assert mark_of(tmp_path / "third", ".mark") != found[0]
