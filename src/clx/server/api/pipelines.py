"""The pipelines of ``/api/v1``: what :class:`clx.db.pipelines.table.Pipelines` does, for programs elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from clx.db.pipelines.table import Pipelines
from clx.server.answers import Refusal
from clx.server.api.documents import Name, Request, Seconds, Text
from clx.server.api.operations import Call, Operation
from clx.server.api.work_documents import WorkId

_MOST_IDS = 1000
_REFUSED = 422

Ids = Annotated[list[WorkId], Meta(max_length=_MOST_IDS)]


class PipelineFile(Request, frozen=True):
    """A pipeline file to deploy: its text, and who deploys it where the text does not say."""

    yaml: Annotated[str, Meta(max_length=4_000_000)]
    user: Text | None = None


class PipelineIds(Request, frozen=True):
    """Pipelines by their ids; those of a config stand for all of its pipelines."""

    ids: Ids


class PipelinesWanted(Request, frozen=True):
    """Which pipelines: those that fit everything given, newest first."""

    ids: Ids | None = None
    name: Name | None = None
    config: Text | None = None
    status: Annotated[list[Text], Meta(max_length=10)] = msgspec.field(default_factory=list)
    limit: Annotated[int, Meta(ge=1, le=_MOST_IDS)] = 100


class ConfigsWanted(Request, frozen=True):
    """Which configs: those that fit everything given, newest first."""

    ids: Ids | None = None
    name: Name | None = None
    pipeline: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=_MOST_IDS)] = 100


class PipelinesAwaited(PipelineIds, frozen=True):
    """Pipelines of which the works that wait or run now are waited for, and for how many seconds."""

    timeout: Seconds = 60


class PipelinesMade(msgspec.Struct, frozen=True):
    """What was deployed: a config, and its pipelines."""

    config: str
    pipelines: list[str]


class PipelinesChanged(msgspec.Struct, frozen=True):
    """The ids of those that were changed, in the order in which they were named."""

    ids: list[str]


class PipelinesFound(msgspec.Struct, frozen=True):
    """Pipelines with their steps; times in seconds UTC."""

    pipelines: list[dict[str, Any]]


class ConfigsFound(msgspec.Struct, frozen=True):
    """What was deployed; times in seconds UTC."""

    configs: list[dict[str, Any]]


def _pipelines(call: Call) -> Pipelines:
    return call.queue.pipelines


def _deploy(call: Call) -> PipelinesMade:
    from clx.errors import UsageError
    from clx.pipelines.document import read
    from clx.pipelines.planning import planned

    asked: PipelineFile = call.body
    try:
        definition = planned(read(asked.yaml, source="pipeline"), user=asked.user)
    except UsageError as error:
        raise Refusal(_REFUSED, error.fact, error.next_step) from error
    return PipelinesMade(*_pipelines(call).deploy(definition))


def _find(call: Call) -> PipelinesFound:
    asked: PipelinesWanted = call.body
    return PipelinesFound(
        _pipelines(call).find(
            ids=asked.ids, name=asked.name, config=asked.config, status=asked.status, limit=asked.limit
        )
    )


def _configs(call: Call) -> ConfigsFound:
    asked: ConfigsWanted = call.body
    found = _pipelines(call).configs(ids=asked.ids, name=asked.name, pipeline=asked.pipeline, limit=asked.limit)
    return ConfigsFound(found)


def _awaited(call: Call) -> PipelinesFound:
    return PipelinesFound(_pipelines(call).find(ids=_pipelines(call).expand(call.body.ids), limit=_MOST_IDS))


def _change(name: Literal["pause", "resume", "stop", "retry", "remove"], words: str) -> Operation:
    return Operation(
        f"{name}_pipelines", "POST", f"/pipelines/{name}", "admin", words,
        lambda call: PipelinesChanged(getattr(_pipelines(call), name)(call.body.ids)), PipelinesChanged,
        body=PipelineIds, writes=True,
    )  # fmt: skip


PIPELINES = (
    Operation(
        "deploy_pipelines", "POST", "/pipelines", "work", "Deploy a pipeline file; its first works are there then.",
        _deploy, PipelinesMade, body=PipelineFile, writes=True, status=201,
    ),
    Operation(
        "find_pipelines", "POST", "/pipelines/find", "read", "Pipelines with their steps.", _find, PipelinesFound,
        body=PipelinesWanted,
    ),
    Operation(
        "find_configs", "POST", "/pipelines/configs", "read", "What was deployed.", _configs, ConfigsFound,
        body=ConfigsWanted,
    ),
    Operation(
        "wait_for_pipelines", "POST", "/pipelines/wait", "read", "Wait until the works that there are have ended.",
        _awaited, PipelinesFound, body=PipelinesAwaited,
        wait=lambda call: (call.body.timeout, lambda: _pipelines(call).live_jobs(call.body.ids)),
    ),
    _change("pause", "Begin no stage, and give out no work of pipelines."),
    _change("resume", "Let paused pipelines go on."),
    _change("stop", "Cancel pipelines with their works."),
    _change("retry", "Let pipelines go on from the first stage that did not succeed."),
    _change("remove", "Remove pipelines that have ended; their works stay."),
)  # fmt: skip
"""These operations, as the document lists them."""
