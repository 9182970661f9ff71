"""Pipelines: the place of their calls, below ``/v2``."""

from __future__ import annotations

from clx.server.wire.exchange import Call, version

CALLS = (Call("GET", "/v2/version", "read", version), Call("HEAD", "/v2/version", "read", version))
"""What Pipelines answer."""
