"""``/metrics`` of a server of models, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from clx import __version__
from clx.exposition import family, histogram
from clx.serving.figures import BOUNDS, QUANTILES, Recent, Watch
from clx.serving.served import Count, Served

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Rows: the upper bounds of the buckets of batches."""
STATES = ("loading", "ready", "failed", "unloaded", "cold")
_AT_ONCE = 50
"""Models that are looked at before requests go on."""
Known = list[tuple[dict[str, str], Served, Recent]]


async def metrics(watch: Watch, statuses: Mapping[int, int], lost: int, now: int) -> str:
    """The numbers of a server.

    Args:
        watch: what looks at its models.
        statuses: answers of HTTP by status.
        lost: rows of its logs that could not be written.
        now: milliseconds UTC.
    """
    known: Known = []
    for place, (model, recent) in enumerate(watch.models(now)):
        if place % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        known.append(({"model": model.name, "version": model.version}, model, recent))
    lines: list[str] = []
    for each in (
        _server(watch, statuses, lost),
        _requests(known),
        _latencies(known),
        _batches(known),
        _held(watch, known),
    ):
        lines += each
        await asyncio.sleep(0)
    return "\n".join((*lines, ""))


def _server(watch: Watch, statuses: Mapping[int, int], lost: int) -> Iterator[str]:
    yield from family("clx_info", "gauge", "Which CLX this is.", [({"version": __version__}, 1)])
    answers = [({"status": str(status)}, count) for status, count in sorted(statuses.items())]
    yield from family("clx_http_requests_total", "counter", "Requests that were answered.", answers)
    workers = [
        ({"worker": str(each["worker"]), "address": str(each["address"])}, int(each["bytes"]))
        for each in watch.workers()
    ]
    there = [(labels, 1) for labels, _ in workers]
    yield from family("clx_serving_workers", "gauge", "Processes that hold models.", there)
    told = [(labels, size) for labels, size in workers if size]
    yield from family("clx_serving_worker_memory_bytes", "gauge", "Memory of workers of this machine.", told)
    queued = [({"worker": str(worker)}, count) for worker, count in watch.queued().items()]
    yield from family("clx_serving_queued", "gauge", "Requests that wait for a worker.", queued)
    yield from family("clx_serving_log_rows_lost_total", "counter", "Rows of logs that were lost.", [({}, lost)])


def _requests(known: Known) -> Iterator[str]:
    outcomes = [
        ({**labels, "outcome": outcome}, count)
        for labels, _, recent in known
        for outcome, count in (
            ("success", recent.results),
            *sorted(recent.numbers.causes.items()),
            ("withdrawn", recent.numbers.withdrawn),
        )
        if count or outcome == "success"
    ]
    help_ = "Requests, by the code that clients were told; success: they got a result in time."
    yield from family("clx_serving_requests_total", "counter", help_, outcomes)
    kept = [
        (labels, recent.results / (recent.results + recent.numbers.missed))
        for labels, _, recent in known
        if recent.results + recent.numbers.missed
    ]
    yield from family("clx_serving_kept_ratio", "gauge", "Part of accepted requests with a result in time.", kept)
    for name, help_, count in (
        ("queued", "Seconds that requests have waited for their runs.", "queue"),
        ("run", "Seconds that requests have been run for.", "infer"),
    ):
        spent: list[tuple[dict[str, str], Count]] = [
            (labels, getattr(each.numbers, count)) for labels, _, each in known
        ]
        yield from family(
            f"clx_serving_{name}_seconds_total", "counter", help_, [(labels, each.ns / 1e9) for labels, each in spent]
        )


def _latencies(known: Known) -> Iterator[str]:
    asked = [(labels, recent) for labels, _, recent in known if recent.results]
    yield from histogram(
        "clx_serving_request_duration_seconds",
        "From first byte to answer, of requests with a result.",
        BOUNDS,
        [(labels, recent.buckets, recent.numbers.success.ns / 1e9) for labels, recent in asked],
    )
    latest = [
        ({**labels, "quantile": str(part)}, took / 1e9)
        for labels, recent in asked
        for part, took in zip(QUANTILES, recent.percentiles(), strict=True)
    ]
    yield from family("clx_serving_latency_seconds", "gauge", "The same, of the last minute that had some.", latest)


def _batches(known: Known) -> Iterator[str]:
    asked = [(labels, recent.numbers) for labels, _, recent in known if recent.numbers.runs]
    yield from histogram(
        "clx_serving_batch_rows",
        "Rows that ran together.",
        BATCHES,
        [(labels, _counted(numbers.batches), numbers.rows) for labels, numbers in asked],
    )


def _counted(batches: Mapping[int, Count]) -> list[int]:
    counts = [0] * (len(BATCHES) + 1)
    for rows, runs in batches.items():
        counts[next((place for place, bound in enumerate(BATCHES) if rows <= bound), len(BATCHES))] += runs.count
    return counts


def _held(watch: Watch, known: Known) -> Iterator[str]:
    states = [({**labels, "state": model.state}, 1) for labels, model, _ in known]
    yield from family("clx_serving_models", "gauge", "Models, and how they stand.", states)
    held = [
        ({**labels, "worker": str(worker), "address": address}, size)
        for labels, model, _ in known
        if model.state == "ready"
        for worker, address, size in watch.held(model)
    ]
    yield from family("clx_serving_model_memory_bytes", "gauge", "What workers grew by for a model.", held)
