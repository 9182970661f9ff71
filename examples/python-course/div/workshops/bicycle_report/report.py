"""A weekly report from bicycle counts: fill in the three functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Summary:
    """What the report says about a number of days."""

    total: int
    days: int
    outages: int
    busiest: str

    @property
    def mean(self) -> float:
        return self.total / self.days


def read_counts(path: Path) -> dict[str, int | None]:
    """Return the count of every day in the file; None is a day without a count."""
    raise NotImplementedError


def summarize(counts: dict[str, int | None]) -> Summary:
    """Return the summary of the days; ValueError if no day has a count."""
    raise NotImplementedError


def format_report(station: str, summary: Summary, days: list[str]) -> str:
    """Return the report as text, one line for each fact."""
    raise NotImplementedError


if __name__ == "__main__":
    counts = read_counts(Path(__file__).parent / "data" / "counts_week.csv")
    print(format_report("Isarbrücke", summarize(counts), sorted(counts)))
