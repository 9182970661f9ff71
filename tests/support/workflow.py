"""Works as the clients of CHIME/FRB Workflow deposit them, each as its ``payload`` says it."""

from __future__ import annotations

from typing import Any

_TIMES = {"creation": 1_796_000_000.123457, "start": None, "stop": None}
_SLACK = dict.fromkeys(
    ("channel_id", "member_ids", "message", "results", "products", "plots", "blocks", "reply"),
)

OF_2: dict[str, Any] = {
    "pipeline": "sample", "parameters": None, "results": None, "path": ".", "event": None, "tags": None, "group": None,
    "timeout": 3600, "retries": 2, "priority": 3, "products": None, "plots": None, "site": "local", "user": None,
    "archive": True, "precursors": None, "config": None, "id": None, **_TIMES, "attempt": 0, "status": "created",
}  # fmt: skip
OF_3: dict[str, Any] = {
    "pipeline": "sample", "site": "local", "user": "tester", "function": None, "parameters": None, "command": None,
    "results": None, "products": None, "plots": None, "event": None, "tags": None, "timeout": 3600, "retries": 2,
    "priority": 3,
    "config": {
        "archive": {"results": True, "products": "copy", "plots": "copy", "logs": "move"},
        "metrics": False, "parent": None, "orgs": ["chimefrb"], "teams": None,
    },
    "notify": {"slack": _SLACK},
    "id": None, **_TIMES, "attempt": 0, "status": "created",
}  # fmt: skip
OF_CORE: dict[str, Any] = {**OF_3}
OF_CLX: dict[str, Any] = {**OF_2, "user": "tester", "function": None, "command": None, "notify": None, "parent": None}
