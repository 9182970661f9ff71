"""A weekly report from bicycle counts: the model solution."""

from __future__ import annotations

import csv
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
    with path.open(encoding="utf-8", newline="") as file:
        return {row["date"]: int(row["cyclists"]) if row["cyclists"] else None for row in csv.DictReader(file)}


def summarize(counts: dict[str, int | None]) -> Summary:
    """Return the summary of the days; ValueError if no day has a count."""
    known = {day: count for day, count in counts.items() if count is not None}
    if not known:
        raise ValueError("no day has a count: there is nothing to report")
    return Summary(
        total=sum(known.values()),
        days=len(known),
        outages=len(counts) - len(known),
        busiest=max(known, key=lambda day: known[day]),
    )


def format_report(station: str, summary: Summary, days: list[str]) -> str:
    """Return the report as text, one line for each fact."""
    lines = [
        f"{station}, {days[0]} to {days[-1]}",
        f"total    {summary.total:,} bicycles on {summary.days} days",
        f"mean     {summary.mean:,.0f} per day",
        f"busiest  {summary.busiest}",
        f"outages  {summary.outages} {'day' if summary.outages == 1 else 'days'}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    counts = read_counts(Path(__file__).parent / "data" / "counts_week.csv")
    print(format_report("Isarbrücke", summarize(counts), sorted(counts)))
