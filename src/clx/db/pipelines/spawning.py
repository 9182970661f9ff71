"""How pipelines come in: the config that somebody deploys, and one pipeline for each assignment of its matrix."""

from __future__ import annotations

from typing import Any

from clx.db.models import decode, encode
from clx.db.pipelines import statements as sql
from clx.db.pipelines.advancing import advance
from clx.db.pipelines.models import ConfigDefinition
from clx.db.transaction import Transaction
from clx.db.works.models import new_id


def enter_config(tx: Transaction, config: ConfigDefinition) -> str:
    """Keep what somebody deploys; returns its id."""
    config_id = new_id(tx.now)
    deployments = encode([dict(each) for each in config.deployments])
    times = (config.cron, config.lives) if config.cron else (None, None)
    told = (config.name, config.version, config.owner, config.yaml, config.text(), deployments)
    tx.execute(sql.CONFIG, (config_id, *told, *times, tx.now))
    return config_id


def spawn(tx: Transaction, config_id: str, definition: Any) -> list[str]:
    """Make the pipelines of a config, whose *definition* is JSON, and begin them; returns their ids."""
    return [_enter(tx, config_id, each["matrix"], each["steps"]) for each in decode(definition)]


def _enter(tx: Transaction, config_id: str, matrix: Any, steps: Any) -> str:
    pipeline_id = new_id(tx.now)
    tx.execute(sql.PIPELINE, (pipeline_id, config_id, encode(matrix), tx.now))
    rows = [(pipeline_id, position, *step) for position, step in enumerate(steps)]
    tx.enter_many(sql.STEP, rows)
    advance(tx, pipeline_id)
    return pipeline_id
