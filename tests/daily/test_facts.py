"""What ``clx doctor --daily`` finds out: each thing that can be amiss is told with what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from clx.daily import Flow, Lake, Step, facts
from clx.daily.facts import lake_facts, machine_facts, staging_facts, store_fact, zone_fact
from clx.db.facts import Fact
from clx.db.jobs import Queue
from clx.db.transaction import Transaction
from clx.db.workers import WorkerTable
from clx.errors import UsageError

TOKEN = "0123456789abcdef0123"


class Server:
    """What looks like staging: how it answers is set from outside."""

    def __init__(self) -> None:
        outer = self
        self.status, self.body, self.ahead, self.takes_all = 200, '{"free": 9999999999}', 0, False

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shown = self.headers.get("authorization") == f"Bearer {TOKEN}"
                self.send_response_only(outer.status if shown or outer.takes_all else 401)
                self.send_header("date", format_datetime(datetime.now(UTC) + timedelta(seconds=outer.ahead)))
                self.end_headers()
                self.wfile.write(outer.body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever)
    thread.start()
    yield found
    found.http.shutdown()
    found.http.server_close()
    thread.join()


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    (tmp_path / ".clx").mkdir(mode=0o700)
    with Lake(tmp_path / "lake") as found:
        yield found


def amiss(found: Iterator[Fact]) -> list[str]:
    facts = list(found)
    assert facts
    assert all(each.hint for each in facts if not each.ok)
    return [each.name for each in facts if not each.ok]


def test_a_zone_that_this_machine_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow("zoned", [Step("one", lambda: 1)], zone="Europe/Berlin")
    assert zone_fact(flow) == Fact("time zone", True, "Europe/Berlin")
    monkeypatch.setattr(flow, "zone", "Europe/Nowhere")
    found = zone_fact(flow)
    assert (found.ok, "Europe/Nowhere" in found.detail) == (False, True)
    assert found.hint


def test_a_lake_that_can_be_used_and_one_that_cannot(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert amiss(lake_facts(lake)) == []
    assert not lake.folder.exists(), "to look makes none"
    lake.publish("gold/a", "2026-11-27", {"a": pa.table({"x": [1]})})
    assert amiss(lake_facts(lake)) == []
    assert store_fact(lake).ok
    (lake.path("gold/a", "2026-11-27") / "a.parquet").write_bytes(b"other")
    assert amiss(lake_facts(lake)) == ["lake's bytes"]
    monkeypatch.setattr(facts, "LITTLE", 1 << 60)
    assert amiss(lake_facts(lake)) == ["free space", "lake's bytes"]


def test_a_machine_whose_workers_have_little_room() -> None:
    with Queue.open("memory:") as queue:
        facts_of_workers: dict[str, Any] = {
            "type": "t",
            "pool": "",
            "mode": "direct",
            "pid": 1,
            "identity": "elsewhere",
        }
        table = WorkerTable(queue.database)
        table.register(host="silent", version="1", **facts_of_workers, elsewhere=True)
        worker = table.register(host="north", version="1", **facts_of_workers)
        for free in (5 << 30, 5 << 20):
            told = (free, worker)
            queue.database.write("fill", partial(_tell, told=told))
            (found,) = machine_facts(queue.database)
            assert (found.name, found.ok) == ("machine north", free > 1 << 30)
            assert found.ok or found.hint


def _tell(tx: Transaction, told: tuple[int, int]) -> None:
    tx.execute("UPDATE workers SET free_disk = ? WHERE id = ?", told)


def test_a_folder_that_cannot_be_written(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryDirectory", refuse)
    (found, *_) = lake_facts(lake)
    assert (found.ok, "Permission denied" in found.detail) == (False, True)


def test_staging_as_it_should_be_and_otherwise(server: Server) -> None:
    assert amiss(staging_facts(server.url, TOKEN)) == []
    assert amiss(staging_facts(server.url, TOKEN + "x")) == ["staging"]
    server.body = '{"free": 1000}'
    assert amiss(staging_facts(server.url, TOKEN)) == ["staging"]
    server.body = "<html>"
    assert amiss(staging_facts(server.url, TOKEN)) == ["staging"]
    server.body, server.ahead = '{"free": 9999999999}', -3600
    assert amiss(staging_facts(server.url, TOKEN)) == ["clock"]
    server.ahead, server.takes_all = 0, True
    assert amiss(staging_facts(server.url, TOKEN)) == ["staging's token"]
    server.status = 503
    assert amiss(staging_facts(server.url, TOKEN)) == ["staging"]


def test_staging_that_is_not_there_or_would_get_the_token_unencrypted() -> None:
    assert amiss(staging_facts("http://127.0.0.1:1", TOKEN)) == ["staging"]
    with pytest.raises(UsageError, match="unencrypted"):
        list(staging_facts("http://staging.example:8080", TOKEN))
