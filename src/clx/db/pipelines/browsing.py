"""Looking at pipelines: page by page, and one with its steps, the numbers of their works and their matrices.

Works are counted by the database: a pipeline of a hundred thousand works costs no more to look at than what is shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from clx.db.database import Database
from clx.db.models import decode_or_show, encode
from clx.db.odd_rows import Reader
from clx.db.pipelines import statements as sql
from clx.db.pipelines.models import ENDED, LIVE
from clx.errors import QueueError, UsageError
from clx.expressions.language import Scope
from clx.expressions.matrix import axes_of, combinations, size_of, with_templates
from clx.settings.problems import shortened

STATUSES = (*LIVE, *ENDED)
_PIPELINE = Reader(
    *(f"pipelines.{name}" for name in ("id", "config_id")), *(f"pipeline_configs.{name}" for name in ("name", "owner")),
    *(f"pipelines.{name}" for name in ("matrix", "status", "stage", "reason", "created_at", "ended_at")),
)  # fmt: skip
_STEP = Reader(
    *(
        f"pipeline_steps.{name}"
        for name in ("id", "name", "stage", "status", "reason", "works", "definition", "started_at", "ended_at")
    )
)
_CELL = Reader("works.id", "works.status", "works.start", "works.stop")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pipelines; what is empty is not asked for.

    Attributes:
        name: of their config.
        config: the id of it.
    """

    name: str = ""
    config: str = ""
    statuses: tuple[str, ...] = ()


class Step(NamedTuple):
    """A step of a pipeline; times in milliseconds UTC.

    Attributes:
        works: how many it has brought.
        counts: how many of them are of which status.
    """

    id: int
    name: str
    stage: int | None
    status: str
    reason: str | None
    works: int
    definition: Mapping[str, Any]
    started_at: int | None
    ended_at: int | None
    counts: Mapping[str, int]


class Pipeline(NamedTuple):
    """A pipeline; times in milliseconds UTC.

    Attributes:
        config_id, name, owner: of what was deployed, and by whom.
        matrix: the values of the config's matrix that it is for.
        stage: the one that it has come to.
    """

    id: str
    config_id: str
    name: str
    owner: str
    matrix: Mapping[str, Any]
    status: str
    stage: int | None
    reason: str | None
    created_at: int
    ended_at: int | None
    steps: Sequence[Step]


class Page(NamedTuple):
    """Some pipelines, newest first; *before*: give this to have the next page; None: there is none."""

    pipelines: list[Pipeline]
    before: str | None


def browse(database: Database, which: Filter, *, before: str | None = None, limit: int = 30) -> Page:
    """Pipelines that fit, newest first.

    Raises:
        QueueError: there is no such status.
    """
    if strange := set(which.statuses) - set(STATUSES):
        raise QueueError(f"No pipeline is {shortened(min(strange))}.", f"They are {', '.join(STATUSES)}.")
    told = {
        "name": ("c.name = :name", which.name or None),
        "config": ("p.config_id = :config", which.config or None),
        "before": ("p.id < :before", before),
        "status": (
            f"p.status IN ({database.sql.texts('status')})",
            encode(list(which.statuses)) if which.statuses else None,
        ),
    }
    given = {name: value for name, (_, value) in told.items() if value is not None}
    where = [told[name][0] for name in given]
    if which.statuses and set(which.statuses) <= set(LIVE):  # few live: an index has them
        where.append("p.ended_at IS NULL")
    query = f"{sql.PIPELINES} WHERE {' AND '.join(where) or '1 = 1'} ORDER BY p.id DESC LIMIT :n"
    rows = list(database.read(query, {**given, "n": limit + 1}))
    steps = _steps(database, [row[0] for row in rows[:limit]])
    found = [_pipeline(row, steps.get(row[0], [])) for row in rows[:limit]]
    return Page(found, found[-1].id if len(rows) > limit else None)


def one(database: Database, pipeline_id: str) -> Pipeline | None:
    """The pipeline of that id; None where there is none."""
    rows = database.read(f"{sql.PIPELINES} WHERE p.id = :id", {"id": pipeline_id})
    return _pipeline(rows[0], _steps(database, [pipeline_id]).get(pipeline_id, [])) if rows else None


def _pipeline(row: Sequence[Any], steps: Sequence[Step]) -> Pipeline:
    values, _ = _PIPELINE.read(row)
    matrix = decode_or_show(row[4])
    values[4] = matrix if isinstance(matrix, dict) else {}
    return Pipeline._make([*values, steps])


def _steps(database: Database, ids: Iterable[str]) -> dict[str, list[Step]]:
    """The steps of pipelines, in their order, each with the numbers of its works."""
    named = {"ids": encode(list(ids))}
    listed = f"IN ({database.sql.texts('ids')})"
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    query = (
        "SELECT w.step_id, w.status, count(*) FROM works w WHERE w.step_id IN "
        f"(SELECT s.id FROM pipeline_steps s WHERE s.pipeline_id {listed}) GROUP BY w.step_id, w.status"
    )
    for step_id, status, count in database.read(query, named):
        counts[step_id][str(status)] = count
    found: dict[str, list[Step]] = defaultdict(list)
    rows = database.read(
        "SELECT pipeline_id, id, name, stage, status, reason, works, definition, started_at, ended_at "
        f"FROM pipeline_steps WHERE pipeline_id {listed} ORDER BY pipeline_id, position",
        named,
    )
    for pipeline_id, *row in rows:
        values, _ = _STEP.read(row)
        definition = decode_or_show(row[6])
        values[6] = definition if isinstance(definition, dict) else {}
        found[pipeline_id].append(Step._make([*values, counts[row[0]]]))
    return found


# -- matrices ---------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """What stands in a cell: a work, or a pipeline, and what has become of it."""

    id: str
    status: str
    started_at: int | None = None
    ended_at: int | None = None


class Grid(NamedTuple):
    """Cells by the values of a matrix.

    Attributes:
        across, down: names of the matrix; *down* may have several, whose values head a row together.
        columns: the values that head the columns; empty where there is but one.
        rows: the values that head each row, and its cells; None in place of one that is not there.
    """

    across: str
    down: tuple[str, ...]
    columns: list[str]
    rows: list[tuple[tuple[str, ...], list[Cell | None]]]


def cells_of(database: Database, step_id: int, most: int) -> list[Cell]:
    """The first works of a step, in the order of its matrix."""
    rows = database.read(
        "SELECT w.id, w.status, w.start, w.stop FROM works w WHERE w.step_id = ? ORDER BY w.job_id LIMIT ?",
        (step_id, most),
    )
    found = []
    for row in rows:
        values, _ = _CELL.read(row)
        found.append(Cell(values[0], values[1], *(None if each is None else each // 1000 for each in values[2:])))
    return found


def assignments(definition: Mapping[str, Any], matrix: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """The values of a step's matrix for each of its works, in their order; empty where they are not known.

    Args:
        definition: of the step.
        matrix: the values of its pipeline's.
        most: how many there may be.
    """
    try:
        axes = axes_of(with_templates(definition.get("matrix") or {}), Scope(matrix))
        return list(combinations(axes)) if size_of(axes) <= most else []
    except (UsageError, TypeError, ValueError, LookupError, AttributeError):  # made of what other steps have found
        return []


def grid(values: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> Grid | None:
    """Cells in rows and columns: the name with most values leads down, the next one across, further ones down too.

    Returns:
        None where *values* are not those of the cells.
    """
    if not values or len(values) != len(cells) or not values[0]:
        return None
    texts = [{name: text_of(each) for name, each in one.items()} for one in values]
    names = [name for name in texts[0] if all(name in each for each in texts)]
    sizes = {name: len({each[name] for each in texts}) for name in names}
    by_size = sorted((name for name in names if sizes[name] > 1), key=lambda name: -sizes[name])
    across = by_size[1] if len(by_size) > 1 else ""
    down = tuple(name for name in (by_size or names[:1]) if name != across)
    columns = list(dict.fromkeys(each[across] for each in texts)) if across else []
    place = {column: index for index, column in enumerate(columns)}
    rows: dict[tuple[str, ...], list[Cell | None]] = {}
    for each, cell in zip(texts, cells, strict=True):
        row = rows.setdefault(tuple(each[name] for name in down), [None] * max(1, len(columns)))
        row[place[each[across]] if across else 0] = cell
    return Grid(across, down, columns, list(rows.items()))


def text_of(value: Any) -> str:
    """A value of a matrix as text."""
    return value if isinstance(value, str) else encode(value)
