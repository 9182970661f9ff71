"""A job table as a server of models leaves it on a working day."""

from __future__ import annotations

import json
import os

from clx.db.identity import process_identity
from clx.db.jobs import Queue
from clx.db.serving.figures import BIN, Figures, FiguresTable
from clx.db.serving.models import ActionRow, NewModel, RequestRow
from clx.db.serving.table import ServingTable, Told

MIB = 1 << 20


def fill_models(queue: Queue) -> None:
    """Two models that are served, one that is cold, one that is not to be served, one that failed, one of a file."""
    table, now = ServingTable(queue.database), queue.database.clock.now()
    if not table.versions():
        _keep(table)
    _serve(queue, table, now)


def _keep(table: ServingTable) -> None:
    for digest, size in (("a1b2c3d4e5f6" + "0" * 52, 3 * MIB), ("0f1e2d3c4b5a" + "0" * 52, 4 * MIB)):
        table.add(NewModel("digits", digest=digest, size=size, default_timeout=20_000))
    for name in ("ranking", "spikes", "old", "broken"):
        table.add(NewModel(name, digest=name.encode().hex().ljust(64, "0"), size=20 * MIB))
    table.reside("digits", "warm")
    table.reside("old", "unloaded")
    table.tell([Told("digits", "2", "ready", "", 9 * MIB, 180_000_000), Told("broken", "1", "failed", "it is none", 0)])


def _serve(queue: Queue, table: ServingTable, now: int) -> None:
    identity = process_identity()
    me = {"address": "127.0.0.1:8000", "host": "gpu1", "pid": os.getpid(), "identity": identity}
    server = table.begin(json.dumps(me))
    workers = [
        {"worker": number, "address": address, "pid": 4711 + number, "bytes": 0 if address else 61 * MIB}
        for number, address in enumerate(("", "10.0.0.8:9000"))
    ]
    table.set("workers", json.dumps({"at": now, "workers": workers}))
    FiguresTable(queue.database).tell(figures(server, now))
    log(table, server, now)


def figures(server: int, now: int) -> list[Figures]:
    """What the server says."""
    last = now // BIN
    bins = [[last - 59 + n, 900 + 37 * (n * 7 % 11), 40 if n % 13 > 9 else 0] for n in range(60)]
    held = [[0, "", 9 * MIB], [1, "10.0.0.8:9000", 10 * MIB]]
    numbers = (412_907, 1_204, 3, 0, 12, 10 * MIB, 610_000, 2_240_000, 6_900_000)
    causes = {"refused_late": 1_198, "refused_backlog": 6, "missed": 3}
    busy = {"causes": causes, "held": held, "bins": bins, "batches": [[1, 201_330], [4, 31_002], [8, 10_946]]}
    few = {"bins": [[last - 3, 2, 0]], "held": [[0, "", 31 * MIB]], "batches": [[1, 2]]}
    return [
        Figures("digits", "2", server, now, "ready", *numbers, busy),
        Figures("ranking", "1", server, now, "ready", 2, 0, 0, 0, 0, 31 * MIB, 14_200_000, 15_100_000, 15_100_000, few),
        Figures("spikes", "1", server, now, "cold", 0, 0, 0, 0, 0, 0, 0, 0, 0, {}),
        Figures("broken", "1", server, now, "failed", 0, 7, 0, 0, 0, 0, 0, 0, 0, {"reason": "it is none"}),
        Figures("trial", "1", server, now, "ready", 1, 0, 0, 0, 0, MIB, 900_000, 900_000, 900_000, few),
    ]


def log(table: ServingTable, server: int, now: int) -> None:
    """Some requests of ``digits``, and what workers did for it."""
    ms = 1_000_000
    requests = [
        RequestRow(
            10 + n, f"camera-{n % 3}", "digits", "2", "refused_late" if n == 4 else "success", now - 900 + 100 * n,
            n * ms, 0 if n == 4 else n * ms + 120_000, n * ms + 610_000, n * ms + 20 * ms, 1, 0 if n == 4 else 30 + n,
        )
        for n in range(8)
    ]  # fmt: skip
    actions = [
        ActionRow(1, "load", 0, "digits", "2", "success", now - 60_000, ms, 181 * ms, 0, 180 * ms, 0, 0),
        *(
            ActionRow(30 + n, "infer", n % 2, "digits", "2", "success", now - 900 + 100 * n, ms, 2 * ms, 480_000,
                      410_000 + 9_000 * n, 1, 1)
            for n in range(8) if n != 4
        ),
    ]  # fmt: skip
    table.log(server, requests, actions)
