"""Read the daily counts of the bicycle stations. Used by the decks of this topic."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True)
class Reading:
    """One day at one station; temperature in °C, rain in mm."""

    day: date
    station: str
    cyclists: int
    temperature: float
    rain: float


def parse_row(row: dict[str, str]) -> Reading:
    """Turn one row of the file into a reading; a missing count raises ValueError."""
    if not row["cyclists"]:
        raise ValueError(f"{row['date']} {row['station']}: no count, the sensor was down")
    return Reading(
        day=date.fromisoformat(row["date"]),
        station=row["station"],
        cyclists=int(row["cyclists"]),
        temperature=float(row["temperature_c"]),
        rain=float(row["rain_mm"]),
    )


def read_counts(path: Path | str) -> tuple[list[Reading], list[str]]:
    """Return the readings of a file and one message for each row that could not be used."""
    readings, problems = [], []
    with Path(path).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                readings.append(parse_row(row))
            except ValueError as error:
                problems.append(str(error))
    return readings, problems
