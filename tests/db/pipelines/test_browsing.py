"""Pipelines come page by page with their steps, and works stand in the cells of their matrices."""

from __future__ import annotations

from typing import Any

import pytest
from tests.db.pipelines.conftest import config, deploy, do, do_all, step

from clx.db.jobs import Queue
from clx.db.pipelines.browsing import Cell, Filter, assignments, browse, cells_of, grid, one
from clx.db.pipelines.models import ConfigDefinition, PipelineDefinition
from clx.errors import QueueError


def test_pages_together_have_every_pipeline_once(queue: Queue) -> None:
    ids = [deploy(queue, step("a", 1, works=2), step("b", 2)) for _ in range(7)]
    queue.pipelines.stop(ids[:2])
    found: list[str] = []
    before: str | None = None
    while True:
        page = browse(queue.database, Filter(), before=before, limit=3)
        found += [each.id for each in page.pipelines]
        before = page.before
        if before is None:
            break
    assert found == ids[::-1]
    filters = ((Filter(statuses=("cancelled",)), ids[1::-1]), (Filter(statuses=("running",)), ids[:1:-1]))
    for which, expected in filters:
        assert [each.id for each in browse(queue.database, which).pipelines] == expected
    config_id = page.pipelines[0].config_id
    assert [each.id for each in browse(queue.database, Filter(config=config_id)).pipelines] == ids[:1]
    assert browse(queue.database, Filter(name="none")).pipelines == []
    assert len(browse(queue.database, Filter(name="c")).pipelines) == 7
    with pytest.raises(QueueError, match="No pipeline is odd"):
        browse(queue.database, Filter(statuses=("odd",)))


def test_one_tells_its_steps_with_the_numbers_of_their_works(queue: Queue) -> None:
    pipeline_id = deploy(queue, step("a", 1, works=3), step("b", 2))
    do(queue, "a")
    do(queue, "a", status="failure")
    found = one(queue.database, pipeline_id)
    assert found is not None
    assert (found.name, found.owner, found.status, found.stage) == ("c", "unknown", "running", 1)
    assert [(each.name, each.status, each.works, each.counts) for each in found.steps] == [
        ("a", "running", 3, {"success": 1, "failure": 1, "queued": 1}), ("b", "created", 0, {}),
    ]  # fmt: skip
    cells = cells_of(queue.database, found.steps[0].id, 10)
    assert [each.status for each in cells] == ["success", "failure", "queued"]
    assert len(cells_of(queue.database, found.steps[0].id, 2)) == 2
    do_all(queue)
    found = one(queue.database, pipeline_id)
    assert found is not None
    assert (found.status, found.reason) == ("failure", "step a failed")
    assert found.ended_at is not None
    assert one(queue.database, "none") is None


def test_pipelines_of_a_table_on_a_server(postgresql: str) -> None:
    with Queue.open(postgresql) as queue:
        definition = ConfigDefinition("m", "", tuple(PipelineDefinition({"n": n}, (step("a", 1),)) for n in range(3)))
        ids = queue.pipelines.deploy(definition).pipelines
        page = browse(queue.database, Filter(name="m", statuses=("running", "paused")), limit=2)
        assert [(each.id, each.matrix) for each in page.pipelines] == [(ids[2], {"n": 2}), (ids[1], {"n": 1})]
        (last,) = browse(queue.database, Filter(), before=page.before).pipelines
        assert (last.id, last.steps[0].counts) == (ids[0], {"queued": 1})
        assert len(cells_of(queue.database, last.steps[0].id, 5)) == 1
        queue.pipelines.deploy(config(step("b")))


@pytest.mark.parametrize(
    ("matrix", "of_pipeline", "expected"),
    [
        ({"n": [1, 2]}, {}, [{"n": 1}, {"n": 2}]),
        ({"n": {"range": [1, 3]}}, {}, [{"n": 1}, {"n": 2}, {"n": 3}]),
        ({"n": "${{ matrix.beams }}"}, {"beams": [7, 8]}, [{"n": 7}, {"n": 8}]),
        ({"n": "${{ pipeline.a.work.results }}"}, {}, []),
        ({"n": {"range": [1, 1000]}}, {}, []),
        ({"n": "x"}, {}, []),
        ({}, {}, [{}]),
        ([1], {}, []),
    ],
)
def test_the_values_of_a_matrix(matrix: Any, of_pipeline: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert assignments({"matrix": matrix}, of_pipeline, 100) == expected


def test_a_grid_has_the_longest_axis_down_and_the_next_across() -> None:
    values = [{"beam": b, "dm": d, "same": "x"} for b in (1, 2) for d in (10, 20, 30)]
    cells = [Cell(str(n), "queued") for n in range(6)]
    found = grid(values, cells)
    assert found is not None
    assert (found.across, found.down, found.columns) == ("beam", ("dm",), ["1", "2"])
    assert [(heads, [each and each.id for each in row]) for heads, row in found.rows] == [
        (("10",), ["0", "3"]), (("20",), ["1", "4"]), (("30",), ["2", "5"]),
    ]  # fmt: skip
    three = grid([{"a": a, "b": b, "c": c} for a in "12" for b in "345" for c in "67"], cells * 2)
    assert three is not None
    assert (three.across, three.down, len(three.rows)) == ("a", ("b", "c"), 6)
    alone = grid([{"a": 1}], cells[:1])
    assert alone is not None
    assert (alone.across, alone.down, alone.columns, alone.rows) == ("", ("a",), [], [(("1",), [cells[0]])])
    holes = grid([{"a": 1, "b": 1}, {"a": 2, "b": 2}], cells[:2])
    assert holes is not None
    assert [row for _, row in holes.rows] == [[cells[0], None], [None, cells[1]]]
    assert grid(values, cells[:5]) is grid([], []) is grid([{}], cells[:1]) is None
