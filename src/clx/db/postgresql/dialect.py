"""What PostgreSQL wants to be told otherwise: locks on rows, which SQLite's single writer does without."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from clx.db.dialect import HARMLESS, IN_CLAIM_ORDER, QUEUED, TAKE, Dialect
from clx.db.models import encode
from clx.db.odd_rows import tables
from clx.db.postgresql.connect import Connection
from clx.db.postgresql.frontier import CLAIMABLE, FIRSTS, FROM_THERE, Frontiers
from clx.db.statements import COLUMNS
from clx.db.transaction import Transaction

NEEDS_LOCK = 0x636C78_01
"""The advisory lock of those who give a job that is there other needs: a circle has more rows than each locks."""
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\) VALUES \([?, ]*\)")
_AT_ONCE = 5000
"""Rows that one statement enters."""
_DUE = "SELECT 1 FROM jobs WHERE state = 'queued' AND ready = 0 AND waits_for = 0 AND not_before <= :now"
_NOTHING_ELSE = f" AND NOT EXISTS (SELECT 1 FROM paused) AND (CAST(:promote AS bigint) = 0 OR NOT EXISTS ({_DUE}))"
_PLACED = "SELECT id, harmless, row_number() OVER (ORDER BY claim_rank, deadline, id) AS place FROM ({}) AS first"
_COMPANY = (
    "SELECT id FROM (SELECT id, place, harmless, bool_or(harmless) FILTER (WHERE place = 1) OVER () AS together "
    f"FROM ({_PLACED}) AS placed) AS known WHERE place = 1 OR (together AND harmless)"
)


class PostgresDialect(Dialect):
    """Statements as PostgreSQL wants them."""

    locking = " FOR UPDATE SKIP LOCKED"
    alone = " FOR UPDATE"
    ahead = 512
    unchanged = " FOR SHARE"
    spare = 32
    claimable = CLAIMABLE
    counts_rows = True
    in_turn_of = "SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"
    in_turn = f"SELECT pg_advisory_xact_lock({NEEDS_LOCK})"
    hold_pipeline = "SELECT 1 FROM pipelines WHERE id = ? FOR UPDATE"
    hold_jobs_of_pipeline = (
        "SELECT j.id FROM jobs j WHERE j.state IN ('queued', 'running') AND j.id IN (SELECT w.job_id FROM works w "
        "JOIN pipeline_steps s ON s.id = w.step_id WHERE s.pipeline_id = ? AND w.status IN ('queued', 'running')) "
        "ORDER BY j.id FOR UPDATE"
    )
    hold_wanted = (
        "SELECT j.id FROM batch_jobs b JOIN jobs j ON j.id = b.job_id "
        "WHERE b.batch_id = :id AND j.state IN ('queued', 'running') ORDER BY j.id FOR UPDATE OF j"
    )

    def __init__(self) -> None:
        super().__init__()
        first = f"{self.first(f'id, claim_rank, deadline, {HARMLESS} AS harmless', _NOTHING_ELSE)} :n{self.locking}"
        self.claim_company = f"{TAKE} {self.chosen(_COMPANY.format(first))} RETURNING {COLUMNS}"
        # it takes what a recursion has found once only
        self.needed_by = (
            f"WITH RECURSIVE needed (id) AS ({self.ids('needs')} UNION SELECT near.id FROM needed, LATERAL ("
            "SELECT d.needs_id AS id FROM dependencies d WHERE d.job_id = needed.id UNION ALL "
            "SELECT j.after_id FROM jobs j WHERE j.id = needed.id AND j.after_id IS NOT NULL) AS near) "
            "SELECT 1 FROM needed WHERE id = :id"
        )
        # as many as are wanted and no more: what a look has locked nobody else could take until the end of the claim
        these = f"id IN ({self.ids('ids')}) AND state = 'queued' AND ready = 1"
        which = self.chosen(f"SELECT id FROM jobs WHERE {these} {IN_CLAIM_ORDER} :n{self.locking}")
        self.claim_these = f"{TAKE} {which} RETURNING {COLUMNS}"
        self._make_many()

    def _make_many(self) -> None:
        """Several reports of a worker with one statement: each would take a round trip, which is what they cost."""
        # no index but that of ids is of use for "state ||": rows are found, and locked, in the order of their ids
        self.succeed_many = (
            "WITH ended AS (UPDATE jobs SET state = 'succeeded', lease_until = NULL, finished_at = :now, "
            "result = told.result, error = NULL FROM unnest(CAST(:ids AS bigint[]), CAST(:runs AS bigint[]), "
            "CAST(:results AS text[]), CAST(:peaks AS bigint[])) AS told (id, run, result, peak_memory) "
            "WHERE jobs.id = told.id AND jobs.run = told.run AND jobs.state || '' = 'running' "
            "RETURNING jobs.id, jobs.run, jobs.worker_id, jobs.started_at, jobs.key, jobs.type, jobs.limit_name, "
            "told.peak_memory), "
            "recorded AS (INSERT INTO runs (job_id, run, worker_id, started_at, ended_at, outcome, peak_memory) "
            "SELECT id, run, worker_id, coalesce(started_at, :now), :now, 'succeeded', peak_memory FROM ended), "
            "counted AS (UPDATE workers SET jobs_succeeded = jobs_succeeded + (SELECT count(*) FROM ended), "
            "heartbeat_at = greatest(heartbeat_at, :now) WHERE id = :worker) "
            "SELECT id, key, type, limit_name FROM ended"
        )
        awaiting = "b.state = 'live' AND b.callback IS NOT NULL"
        # another statement than the one before: it sees what those left who were waited for
        self.matters_of_many = (
            "SELECT id, bool_or(needed), bool_or(awaited) FROM (SELECT needs_id AS id, true AS needed, "
            "false AS awaited FROM dependencies WHERE needs_id = ANY (CAST(:ids AS bigint[])) UNION ALL "
            "SELECT w.job_id, false, true FROM batch_jobs w JOIN batches b ON b.id = w.batch_id "
            f"WHERE w.job_id = ANY (CAST(:ids AS bigint[])) AND {awaiting}) AS found GROUP BY id ORDER BY id"
        )
        ids = self.ids("ids")
        mine = (
            f"SELECT b.id FROM batches b WHERE {awaiting} AND b.id IN "
            f"(SELECT batch_id FROM batch_jobs WHERE job_id IN ({ids})) ORDER BY b.id{self.alone}"
        )
        self.count_down_many = (
            "UPDATE batches b SET pending = greatest(b.pending - ended.jobs, 0) "
            "FROM (SELECT batch_id, count(*) AS jobs "
            f"FROM batch_jobs WHERE job_id IN ({ids}) GROUP BY batch_id) AS ended "
            f"WHERE b.id = ended.batch_id AND {awaiting} AND b.id {self.chosen(mine)} "
            "RETURNING b.id, b.pending, b.callback"
        )

    def succeeding(self, told: Sequence[tuple[int, int, str, int | None]]) -> dict[str, str]:
        """Arrays, as text: the driver makes them one value at a time."""
        ids, runs, results, peaks = zip(*told, strict=True) if told else ((), (), (), ())
        return {
            "ids": _array(map(str, ids)),
            "runs": _array(map(str, runs)),
            "results": _array(map(_quoted, results)),
            "peaks": _array("NULL" if peak is None else str(peak) for peak in peaks),
        }

    def ids(self, name: str) -> str:
        """The numbers of a list."""
        return f"SELECT CAST(value AS BIGINT) FROM json_array_elements_text(CAST(:{name} AS json)) AS list (value)"

    def texts(self, name: str) -> str:
        """The texts of a list."""
        return f"SELECT value FROM json_array_elements_text(CAST(:{name} AS json)) AS list (value)"

    def by_index(self, name: str) -> str:  # noqa: ARG002
        """It finds the index by itself."""
        return ""

    def unindexed(self, column: str) -> str:
        """It knows how many rows a condition leaves."""
        return column

    def first(self, columns: str, which: str = "") -> str:
        """Not from the beginning: see :mod:`clx.db.postgresql.frontier`."""
        return f"{FIRSTS} SELECT {columns} {QUEUED} AND {FROM_THERE}{which} {IN_CLAIM_ORDER}"

    def chosen(self, query: str) -> str:
        """As an array: a plan may ask a query after IN several times, and each time it would lock other rows."""
        return f"= ANY (ARRAY({query}))"

    def changing(self, table: str, change: str, where: str) -> str:
        """Rows are locked in the order of their ids, so that no two transactions wait for each other."""
        rows = f"SELECT id FROM {table} WHERE {where} ORDER BY id{self.alone}"
        return f"UPDATE {table} SET {change} WHERE id {self.chosen(rows)}"

    like = "ILIKE"

    def json_path(self, steps: Sequence[str]) -> str:
        """An array, as text."""
        return _array(map(_quoted, steps))

    def json_value(self, value: Any) -> Any:
        """As JSON."""
        return encode(value)

    def _part(self, document: str, path: str) -> str:
        """A part of a document; nothing where that says a character that PostgreSQL has not."""
        is_readable = f"strpos({document}, '\\u0000') = 0"
        return f"(CASE WHEN {is_readable} THEN CAST({document} AS jsonb) #> CAST(:{path} AS text[]) END)"

    def json_exists(self, document: str, path: str) -> str:
        """By its value."""
        return f"({self._part(document, path)} IS NOT NULL)"

    def json_holds(self, document: str, path: str, name: str, value: Any) -> str:
        """A list contains what it has; a plain value itself."""
        part = self._part(document, path)
        if value is None:
            return f"(coalesce({part}, 'null') = 'null')"
        how = "=" if isinstance(value, list | tuple | dict) else "@>"
        return f"coalesce({part} {how} CAST(:{name} AS jsonb), false)"

    def json_compares(self, document: str, path: str, operator: str, name: str, *, is_text: bool) -> str:
        """Of a list each value by itself."""
        part = self._part(document, path)
        values = f"CASE jsonb_typeof({part}) WHEN 'array' THEN {part} ELSE jsonb_build_array({part}) END"
        kind, cast = ("string", 'text) COLLATE "C"') if is_text else ("number", "numeric)")
        value = "part.value #>> '{}'"
        is_so = f"CAST({value} AS {cast} {operator} CAST(:{name} AS {'text' if is_text else 'numeric'})"
        one = f"CASE WHEN jsonb_typeof(part.value) = '{kind}' THEN {is_so} ELSE false END"
        return f"EXISTS (SELECT 1 FROM jsonb_array_elements({values}) AS part (value) WHERE {one})"


def _array(values: Iterable[str]) -> str:
    return f"{{{','.join(values)}}}"


def _quoted(text: str) -> str:
    if text == "null":  # what most functions return
        return '"null"'
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


DIALECT = PostgresDialect()


@cache
def _returning(statement: str) -> str:
    return f"{statement} RETURNING id"


@cache
def _many(statement: str) -> tuple[str, list[str]]:
    """*statement*, which enters one row, for the rows of a JSON array; and the names of the columns."""
    found = _INSERT.fullmatch(statement)
    assert found is not None, statement
    table, names = found[1], found[2].split(", ")
    columns = tables()[table].columns
    kinds = ", ".join(f"{name} {'bigint' if columns[name].is_number else 'text'}" for name in names)
    listed = ", ".join(names)
    query = (
        f"INSERT INTO {table} ({listed}) SELECT {listed} FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) "
        f"AS ({kinds})) WITH ORDINALITY AS entered ({listed}, ordinality) ORDER BY ordinality"
    )
    return query, names


def _in_parts(statement: str, rows: Sequence[Sequence[Any]]) -> tuple[str, Iterator[dict[str, str]]]:
    """A statement that enters many rows at once, and its parameters as often as it is to be run."""
    query, names = _many(statement)
    parts = (rows[first : first + _AT_ONCE] for first in range(0, len(rows), _AT_ONCE))
    texts = (msgspec.json.encode([dict(zip(names, row, strict=True)) for row in part]).decode() for part in parts)
    return query, ({"rows": text} for text in texts)


class PostgresTransaction(Transaction):
    """A transaction of PostgreSQL."""

    __slots__ = ("_answers", "_connection", "_frontiers")
    sql = DIALECT

    def __init__(self, connection: Connection, now: int, frontiers: Frontiers) -> None:
        super().__init__(connection, now)
        self._frontiers = frontiers
        self._connection = connection
        self._answers: dict[str, tuple[Mapping[str, Any], Any]] = {}

    def marks(self, pool: str, type_: str) -> str:
        """The lowest ids of interest, by rank."""
        return self._frontiers.marks(pool, type_)

    def ahead(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Run them in one round trip."""
        if len(statements) > 1:
            cursors = self._connection.together(statements)
            self._answers = {each[0]: (each[1], cursor) for each, cursor in zip(statements, cursors, strict=True)}
            self.execute = self._answered

    def _answered(self, statement: str, params: Any = ()) -> Any:
        if statement not in self._answers:
            return self._connection.execute(statement, params)
        told, cursor = self._answers.pop(statement)
        assert params == told, statement
        return cursor

    def require_heard(self) -> None:
        """See that nothing was done of which nobody has heard: jobs claimed for a worker that does not know, say."""
        assert not self._answers, list(self._answers)

    def insert(self, statement: str, values: Sequence[Any]) -> int:
        """Enter one row; returns its id."""
        return int(self.execute(_returning(statement), values).fetchone()[0])

    def insert_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Enter rows; returns their ids."""
        query, parts = _in_parts(statement, rows)
        return [row[0] for part in parts for row in self.execute(_returning(query), part).fetchall()]

    def enter_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Enter rows."""
        query, parts = _in_parts(statement, rows)
        for part in parts:
            self.execute(query, part)
