"""What a server of models tells of itself: to Prometheus, by statistics, and in the job table."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import urllib3
from tests.support.model_servers import Serve
from tests.support.scene import until
from tritonclient.utils import InferenceServerException

from clx.db.jobs import Queue
from clx.db.serving.figures import FiguresTable

pytestmark = pytest.mark.slow
_LINE = re.compile(r'# (HELP|TYPE) .+|\w+(\{(\w+="([^"\\]|\\.)*",?)*\})? [-+.\de]+|')


def numbers(address: str) -> dict[str, float]:
    """Each sample of ``/metrics``."""
    answer = urllib3.request("GET", f"http://{address}/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.data.decode().split("\n")
    assert [line for line in lines if not _LINE.fullmatch(line)] == []
    samples = [line.rpartition(" ") for line in lines if line and not line.startswith("#")]
    assert len({name for name, _, _ in samples}) == len(samples)
    return {name: float(value) for name, _, value in samples}


def ask(address: str, rows: int = 1, **more: Any) -> None:
    asked = triton.InferInput("x", [rows, 4], "FP32")
    asked.set_data_from_numpy(np.zeros((rows, 4), np.float32))
    with triton.InferenceServerClient(address) as client:
        client.infer("dense", [asked], **more)


def said(table: FiguresTable, **wanted: Any) -> Any:
    """What is said of the model, once it is that."""
    found = table.one("dense")
    if found is None or found.figures is None:
        return None
    return found.figures if wanted.items() <= found.figures._asdict().items() else None


def with_workers(table: FiguresTable, count: int) -> Any:
    found = table.server()
    return found if found is not None and len(found.workers) == count else None


def test_requests_refusals_batches_and_memory(serve: Serve, model: Path, tmp_path: Path) -> None:
    here = serve("--model", f"dense={model}", "--workers", "2")
    until(lambda: len([each for each in numbers(here.address) if each.startswith("clx_serving_model_memory")]) == 2)
    for rows in (1, 1, 3):
        ask(here.address, rows)
    with pytest.raises(InferenceServerException, match="cannot be answered by its deadline"):
        ask(here.address, timeout=1)
    with pytest.raises(InferenceServerException):
        ask(here.address, rows=0)
    found = numbers(here.address)
    dense = 'model="dense",version="1"'
    assert {name: value for name, value in found.items() if name.startswith("clx_serving_requests_total")} == {
        f'clx_serving_requests_total{{{dense},outcome="success"}}': 3,
        f'clx_serving_requests_total{{{dense},outcome="malformed"}}': 1,
        f'clx_serving_requests_total{{{dense},outcome="refused_late"}}': 1,
    }
    assert found[f"clx_serving_kept_ratio{{{dense}}}"] == 1
    assert found[f"clx_serving_request_duration_seconds_count{{{dense}}}"] == 3
    quantiles = [found[f'clx_serving_latency_seconds{{{dense},quantile="{part}"}}'] for part in (0.5, 0.99, 0.999)]
    assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2]
    assert [found[f'clx_serving_batch_rows_bucket{{{dense},le="{rows}"}}'] for rows in (1, 2, 4, "+Inf")] == [
        2,
        2,
        3,
        3,
    ]
    assert found[f"clx_serving_batch_rows_sum{{{dense}}}"] == 5
    assert found[f'clx_serving_models{{{dense},state="ready"}}'] == 1
    for worker in "01":
        assert found[f'clx_serving_model_memory_bytes{{{dense},worker="{worker}",address=""}}'] > 0
        assert found[f'clx_serving_worker_memory_bytes{{worker="{worker}",address=""}}'] > 10 << 20
    assert found['clx_http_requests_total{status="429"}'] == 1

    with triton.InferenceServerClient(here.address) as client:
        (stats,) = client.get_inference_statistics("dense")["model_stats"]
    assert stats["refused_by"] == {"malformed": 1, "refused_late": 1}
    assert [(each["batch_size"], each["compute_infer"]["count"]) for each in stats["batch_stats"]] == [(1, 2), (3, 1)]
    assert [stats[each] / 1e9 for each in ("p50_ns", "p99_ns", "p999_ns")] == pytest.approx(quantiles)
    assert [each["worker"] for each in stats["memory"]] == [0, 1]

    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        table = FiguresTable(queue.database)
        told = until(lambda: said(table, refused=2))
        assert (told.success, told.missed, told.failed, told.p50_ns) == (3, 0, 0, stats["p50_ns"])
        assert told.detail["causes"] == stats["refused_by"]
        assert told.detail["batches"] == [[1, 2], [3, 1]]
        assert [each[0] for each in told.detail["held"]] == [0, 1]
        server = until(lambda: with_workers(table, 2))
        assert (server.address, server.is_alive) == (here.address, True)
        here.process.terminate()
        assert here.process.wait(20) == 0
        ended = table.server()
        assert ended is not None
        assert not ended.is_alive


def test_a_model_that_is_gone_is_told_of_no_more(serve: Serve, model: Path, tmp_path: Path) -> None:
    here = serve()
    name = f"http://{here.address}/v2/repository/models/dense/versions/"
    with Queue.open(tmp_path / ".clx" / "jobs.db") as queue:
        table = FiguresTable(queue.database)
        for version in ("3", "4"):
            assert urllib3.request("PUT", name + version, body=model.read_bytes()).status == 200
            until(partial(said, table, version=version))
            ask(here.address)
        until(lambda: not list(queue.database.read("SELECT version FROM serving_figures WHERE version = '3'")))
    text = urllib3.request("GET", f"http://{here.address}/metrics").data.decode()
    assert 'version="4"' in text
    assert 'version="3"' not in text
