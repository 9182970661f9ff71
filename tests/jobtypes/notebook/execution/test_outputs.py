"""Messages become outputs that depend on what was written, not on when it was flushed."""

from __future__ import annotations

from typing import Any

import pytest

from clx.jobtypes.notebook.execution.outputs import CellOutputs


def stream(name: str, text: str) -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def display(text: str, display_id: str | None = None, kind: str = "display_data") -> tuple[str, dict[str, Any]]:
    transient = {"display_id": display_id} if display_id else {}
    return kind, {"data": {"text/plain": text}, "metadata": {}, "transient": transient}


def outputs_of(*messages: tuple[str, dict[str, Any]], limit: int = 1000) -> list[dict[str, Any]]:
    cell = CellOutputs(limit)
    for kind, content in messages:
        cell.add(kind, content)
    return cell.result().outputs


def test_split_text_is_joined_however_it_was_cut() -> None:
    whole = outputs_of(stream("stdout", "one\ntwo\n"), stream("stderr", "warning\n"))
    cut = outputs_of(stream("stdout", "one"), stream("stderr", "warning\n"), stream("stdout", "\ntwo\n"))
    assert whole == cut
    assert whole == [
        {"output_type": "stream", "name": "stdout", "text": "one\ntwo\n"},
        {"output_type": "stream", "name": "stderr", "text": "warning\n"},
    ]


def test_stdout_stands_before_stderr_whichever_was_flushed_first() -> None:
    found = outputs_of(stream("stderr", "e"), stream("stdout", "o"))
    assert [output["name"] for output in found] == ["stdout", "stderr"]


def test_text_stays_on_its_side_of_a_picture() -> None:
    found = outputs_of(stream("stdout", "before"), display("picture"), stream("stdout", "after"))
    assert [output.get("text", "picture") for output in found] == ["before", "picture", "after"]


def test_clear_output_at_once_and_on_the_next_output() -> None:
    assert outputs_of(stream("stdout", "a"), ("clear_output", {"wait": False})) == []
    waiting = (stream("stdout", "a"), ("clear_output", {"wait": True}))
    assert [output["text"] for output in outputs_of(*waiting)] == ["a"]
    assert [output["text"] for output in outputs_of(*waiting, stream("stdout", "b"))] == ["b"]


def test_an_update_replaces_what_has_its_display_id() -> None:
    cell = CellOutputs()
    for kind, content in (display("old", "x"), display("other", "y")):
        cell.add(kind, content)
    cell.update(display("new", "x")[1])
    assert [output["data"]["text/plain"] for output in cell.result().outputs] == ["new", "other"]


def test_pictures_lose_the_line_ends_of_their_base64() -> None:
    found = outputs_of(("display_data", {"data": {"image/png": "AAAA\nBBBB\n", "image/svg+xml": "<svg>\n"}}))
    assert found[0]["data"] == {"image/png": "AAAABBBB", "image/svg+xml": "<svg>\n"}


@pytest.mark.parametrize("parts", [["x" * 25], ["x" * 9, "x" * 9, "x" * 7]])
def test_more_text_than_the_limit_is_cut_with_a_note(parts: list[str]) -> None:
    found = outputs_of(*(stream("stdout", part) for part in parts), limit=10)
    assert found[0] == {"output_type": "stream", "name": "stdout", "text": "x" * 10}
    assert found[1]["name"] == "stderr"
    assert "output cut" in found[1]["text"]
    assert len(found) == 2


def test_a_display_beyond_the_limit_is_left_out_with_a_note() -> None:
    found = outputs_of(display("x" * 8), display("y" * 8), display("z"), limit=10)
    assert [output["output_type"] for output in found] == ["display_data", "stream"]


def test_the_note_stands_last_and_not_inside_what_was_cut() -> None:
    cell = CellOutputs(10)
    for kind, content in (stream("stderr", "x" * 11), display("y" * 3), stream("stdout", "o")):
        cell.add(kind, content)
    result = cell.result()
    assert result.is_cut
    assert [output.get("text", "")[:5] for output in result.outputs] == ["xxxxx", "[outp"]


def test_nothing_is_cut_at_the_limit_or_after_clearing() -> None:
    cell = CellOutputs(10)
    cell.add(*stream("stdout", "x" * 11))
    cell.add("clear_output", {"wait": False})
    cell.add(*stream("stdout", "x" * 10))
    assert not cell.result().is_cut
    assert [output["text"] for output in cell.result().outputs] == ["x" * 10]
