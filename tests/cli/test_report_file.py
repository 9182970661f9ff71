"""``--report`` writes a report and takes nothing else's place."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from clx.cli.report_file import check_report_place, write_report
from clx.errors import UsageError

DOCUMENT = {"exit_code": 0, "title": "Ü"}


def test_a_report_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for code in (0, 1):
        check_report_place(path)
        write_report(path, {"exit_code": code})
    assert json.loads(path.read_text(encoding="utf-8")) == {"exit_code": 1}
    path.write_text("")  # as mktemp makes one
    check_report_place(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["name: C\n", "# %%\nx = 1\n", '{"other": "document"}', "[1]", '{"exit_code": 0', "7"])
def test_what_is_no_report_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "course.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="no report of an earlier build"):
        check_report_place(path)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with pytest.raises(UsageError, match="no report of an earlier build"):
        check_report_place(link)


def test_no_link_is_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path = tmp_path / "report.json"
    (tmp_path / ".report.json.tmp").symlink_to(victim)
    path.symlink_to(tmp_path / "nowhere")
    check_report_place(path)
    write_report(path, DOCUMENT)
    assert victim.read_text() == "mine"
    assert not path.is_symlink()
    assert json.loads(path.read_text(encoding="utf-8")) == DOCUMENT


def test_a_pipe_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text(encoding="utf-8")))
    reader.start()
    check_report_place(path)
    write_report(path, DOCUMENT)
    reader.join(10)
    assert json.loads(read[0]) == DOCUMENT
    assert path.is_fifo()


def test_where_no_file_can_be_made_that_is_said_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        check_report_place(tmp_path / "nowhere" / "report.json")
    with pytest.raises(UsageError, match="cannot be written"):
        check_report_place(tmp_path)
