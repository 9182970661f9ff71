"""Pipelines: several works, made of one document of YAML and done stage by stage."""

from __future__ import annotations

from clx.pipelines.running import configs as configs
from clx.pipelines.running import deploy as deploy
from clx.pipelines.running import pause as pause
from clx.pipelines.running import remove as remove
from clx.pipelines.running import resume as resume
from clx.pipelines.running import retry as retry
from clx.pipelines.running import search as search
from clx.pipelines.running import show as show
from clx.pipelines.running import stop as stop
from clx.pipelines.running import wait as wait

__all__ = ["configs", "deploy", "pause", "remove", "resume", "retry", "search", "show", "stop", "wait"]
