"""Bursts of radio waves: found in data, localised by pairs of telescopes, reported.

Each function is a step of ``pipeline.yaml``. What comes out of the telescope is made up, the same for the same event.
No package is needed but CLX.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from telescope.picture import write_png

CHANNELS, SAMPLES = 48, 160
"""Frequencies from 800 down to 400 MHz, times."""
ANGLES = [index / 400 for index in range(-120, 121)]
"""Where a burst may come from: milliradians beside the middle of the beam."""

OUTPUT = Path("output")

Found = tuple[dict[str, Any], list[str], list[str]]
"""Results, products, plots."""


def detect(event: int) -> Found:
    """Look for a burst: high frequencies come first, by so much as the dispersion measure says."""
    data = _observed(event)
    scores = {dm: _score(data, dm) for dm in range(40, 800, 20)}
    dm, (score, at) = max(scores.items(), key=lambda each: each[1])
    print(f"event {event}: {len(scores)} dispersion measures, the best is {dm} pc/cm3 with {score:.1f} sigma")
    plot = write_png(OUTPUT / f"{event}-waterfall.png", data)
    return {"dm": dm, "sigma": round(score, 1), "sample": at, "is_burst": score > 8}, [], [plot]


def localise(event: int, band: int, baseline: int, dm: int) -> Found:
    """Measure the phase between two telescopes: the fringes on which the burst may lie.

    Args:
        band: MHz.
        baseline: kilometres between the telescopes.
    """
    if (band, baseline) == (400, 3370):
        raise RuntimeError("the telescope at 3370 km has no receiver below 500 MHz")
    turns = _turns(band, baseline, _true_angle(event))
    phase = (turns + random.Random(f"{event} {band} {baseline} {dm}").gauss(0, 0.04)) % 1.0
    print(f"{band} MHz, {baseline} km: {phase:.3f} turns, a fringe every {1 / _turns(band, baseline, 1.0):.4f} mrad")
    return {"band": band, "baseline": baseline, "phase": round(phase, 4)}, [], []


def report(event: int, dm: int, fringes: Sequence[Mapping[str, Any] | None]) -> Found:
    """Lay all fringes over each other: where they meet, there the burst is."""
    rows = [_fringes(each) for each in sorted(filter(None, fringes), key=lambda each: (each["baseline"], each["band"]))]
    total = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    angle = ANGLES[total.index(max(total))]
    print(f"{len(rows)} of {len(fringes)} measurements lead to {angle:+.4f} mrad")
    plot = write_png(OUTPUT / f"{event}-fringes.png", [row for each in [*rows, total] for row in [each] * 6], 3)
    results = {"dm": dm, "angle": angle, "measurements": len(rows), "agreement": round(max(total), 3)}
    product = OUTPUT / f"{event}-report.json"
    product.write_text(json.dumps({"event": event, **results}), encoding="utf-8")
    return results, [product.as_posix()], [plot]


def note(event: int, dm: int) -> dict[str, Any]:
    """Say that there was nothing to localise."""
    return {"note": f"event {event}: no burst, the best dispersion measure was {dm}"}


# -- what the sky does ------------------------------------------------------------------------------------


def _observed(event: int) -> list[list[float]]:
    """Power by frequency and time. Every fourth event is noise."""
    chance = random.Random(event)
    data = [[chance.gauss(0, 1) for _ in range(SAMPLES)] for _ in range(CHANNELS)]
    dm, start = chance.randrange(100, 600, 20), chance.randrange(5, 15)
    if event % 4:
        for channel, row in enumerate(data):
            for width in range(2):
                row[min(start + _delay(dm, channel) + width, SAMPLES - 1)] += 3
    return data


def _delay(dm: int, channel: int) -> int:
    """Samples by which a channel comes later than the first one."""
    frequency = 800 - 400 * channel / CHANNELS
    return round(dm / 15 * ((800 / frequency) ** 2 - 1))


def _score(data: Sequence[Sequence[float]], dm: int) -> tuple[float, int]:
    """How far the brightest sample stands out of the noise, once delays are taken back; and which it is."""
    delays = [_delay(dm, channel) for channel in range(CHANNELS)]
    sums = [
        sum(row[at + delay] for row, delay in zip(data, delays, strict=True) if at + delay < SAMPLES)
        for at in range(SAMPLES - delays[-1])
    ]
    best = max(sums)
    return best / math.sqrt(CHANNELS), sums.index(best)


def _true_angle(event: int) -> float:
    return random.Random(-event).uniform(-0.25, 0.25)


def _turns(band: int, baseline: int, angle: float) -> float:
    """Wavelengths by which one telescope hears a burst later than the other; scaled down, so that plots show it."""
    return baseline * band / 40_000 * angle


def _fringes(measured: Mapping[str, Any]) -> list[float]:
    """How well each angle fits a measurement: from -1 to 1."""
    band, baseline, phase = measured["band"], measured["baseline"], measured["phase"]
    return [math.cos(2 * math.pi * (_turns(band, baseline, angle) - phase)) for angle in ANGLES]
