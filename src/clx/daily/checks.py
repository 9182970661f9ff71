"""What must hold of a day's tables before they are published: each check tells what it found, and that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clx.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = ("rows", "no_nulls", "between", "unique")


class Found(NamedTuple):
    """What a check has found: ``rows >= 1``, ``3 rows``, and whether it holds."""

    check: str
    found: str
    holds: bool


class Check(NamedTuple):
    """Something that must hold; made by :meth:`rows`, :meth:`no_nulls`, :meth:`between`, :meth:`unique`."""

    kind: str
    column: str = ""
    least: float | None = None
    most: float | None = None

    @classmethod
    def rows(cls, least: int = 1, most: int | None = None) -> Check:
        """At least so many rows in all, and at most so many."""
        return cls("rows", "", least, most)

    @classmethod
    def no_nulls(cls, column: str) -> Check:
        """A column has a value in every row."""
        return cls("no_nulls", column)

    @classmethod
    def between(cls, column: str, least: float, most: float) -> Check:
        """The values of a column lie between two, both included; NaN does not."""
        return cls("between", column, least, most)

    @classmethod
    def unique(cls, column: str) -> Check:
        """No value of a column is there twice."""
        return cls("unique", column)

    def __str__(self) -> str:
        if self.kind == "rows":
            return f"rows >= {self.least}" + ("" if self.most is None else f", <= {self.most}")
        if self.kind == "between":
            return f"{self.least} <= {self.column} <= {self.most}"
        return f"{self.column}: {self.kind.replace('_', ' ')}"

    def of(self, tables: Mapping[str, pa.Table]) -> Found:
        """What it finds in the tables of a day.

        Raises:
            UsageError: a table has no such column, or one of another type.
        """
        if self.kind == "rows":
            count = sum(each.num_rows for each in tables.values())
            holds = count >= (self.least or 0) and (self.most is None or count <= self.most)
            return Found(str(self), f"{count} rows", holds)
        import pyarrow as pa

        for name, table in tables.items():
            if self.column not in table.column_names:
                has = f"It has: {', '.join(table.column_names)}."
                raise UsageError(f"{name} has no column {self.column!r}, which is to be checked.", has)
        chunks = [chunk for table in tables.values() for chunk in table.column(self.column).chunks]
        try:
            values = pa.chunked_array(chunks) if chunks else pa.chunked_array([], pa.null())
            return getattr(self, f"_{self.kind}")(values)  # type: ignore[no-any-return]
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise UsageError(f"{self} cannot be said of {self.column}: {error}", "Check another column.") from error

    def _no_nulls(self, values: pa.ChunkedArray) -> Found:
        return Found(str(self), f"{values.null_count} nulls", values.null_count == 0)

    def _between(self, values: pa.ChunkedArray) -> Found:
        import pyarrow.compute as pc

        outside = pc.invert(pc.and_(pc.greater_equal(values, self.least), pc.less_equal(values, self.most)))
        count = pc.sum(outside).as_py() or 0
        return Found(str(self), f"{count} outside", count == 0)

    def _unique(self, values: pa.ChunkedArray) -> Found:
        import pyarrow.compute as pc

        twice = len(values) - pc.count_distinct(values, mode="all").as_py()
        return Found(str(self), f"{twice} twice", twice == 0)


def failed(found: Sequence[Found]) -> str:
    """What does not hold, in one line; empty: all does."""
    return "; ".join(f"{each.check} ({each.found})" for each in found if not each.holds)


def documents(found: Sequence[Found]) -> list[dict[str, Any]]:
    """As they are kept."""
    return [{"check": each.check, "found": each.found} for each in found]
