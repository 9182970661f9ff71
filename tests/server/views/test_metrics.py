"""Requests that a server has answered are counted by what became of them and by how long they took."""

from __future__ import annotations

from clx.server.views.metrics import Requests


def test_requests_are_counted_by_method_status_and_duration() -> None:
    requests = Requests()
    for method, status, seconds in (("GET", 200, 0.004), ("GET", 200, 0.3), ("ODD", 0, 60)):
        requests.note(method, status, seconds)
    lines = list(requests.lines())
    assert 'clx_http_requests_total{method="GET",status="200"} 2' in lines
    assert 'clx_http_requests_total{method="other",status="0"} 1' in lines
    name = "clx_http_request_duration_seconds"
    assert f'{name}_bucket{{le="0.005"}} 1' in lines
    assert f'{name}_bucket{{le="10.0"}} 2' in lines
    assert lines[-2:] == [f"{name}_sum 60.304000", f"{name}_count 3"]
