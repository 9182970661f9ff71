"""Pipelines, what was deployed as them, and schedules, below ``/v2``.

A config is what somebody deployed; a schedule is a config whose pipelines are made at times. The certificate that
clients may send along with a deployment is a private key: it is left out before anything is kept or told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from clx.db.pipelines.table import Deployed, Pipelines
from clx.errors import ClxError, QueueError, UsageError
from clx.pipelines.problems import PipelineProblems
from clx.server.answers import Refusal
from clx.server.wire.exchange import Answer, Asked, Call
from clx.server.wire.mongo import Projection

_SECRET = "canfar_cert"  # noqa: S105  (the name of one)
_SOURCE = "pipeline"
_PLACE = re.compile(rf"\b{_SOURCE}:(\d+):(\d+)(?=:)")
_LINE = re.compile(r",? \(?(?:first )?in line \d+\)?")
_MOST = 10_000
"""Documents that one look gives at most."""
Document = dict[str, Any]


def _pipelines(asked: Asked) -> Pipelines:
    return asked.works.pipelines


# -- what is asked ----------------------------------------------------------------------------------------


def _named(asked: Asked, name: str) -> str | None:
    return next((value for key, value in asked.query if key == name and value), None)


def _json(asked: Asked, name: str) -> Document:
    """A mapping in the query; an empty one where there is none."""
    text = _named(asked, name)
    if text is None:
        return {}
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refusal(400, f"The {name} is no mapping of JSON.", 'Write {"id": "…"}.')
    return found


def _ids(value: Any) -> list[str]:
    """The ids that a query asks for: one, or ``{"$in": […]}``."""
    if isinstance(value, Mapping) and value.keys() == {"$in"}:
        value = value["$in"]
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str) for each in found):
        raise Refusal(400, "An id is a text.", 'Write {"id": "…"} or {"id": {"$in": ["…"]}}.')
    return found


def _asked_for(query: Document, *known: str) -> None:
    for name in query:
        if name not in known:
            raise Refusal(400, f"Pipelines cannot be asked for their {name[:40]}.", f"Ask for {', '.join(known)}.")


def _one(asked: Asked) -> str:
    """The one id that a query names."""
    found = _ids(_json(asked, "query").get("id"))
    if len(found) != 1:
        raise Refusal(400, "One id is named here.", 'Write query={"id": "…"}.')
    return found[0]


# -- configs and pipelines --------------------------------------------------------------------------------


def _deployed(asked: Asked) -> Deployed:
    import yaml

    from clx.pipelines.document import read
    from clx.pipelines.planning import planned

    if not isinstance(asked.body, dict):
        raise Refusal(400, "What is deployed is a mapping.", "Send the YAML of a pipeline as JSON.")
    given = {name: value for name, value in asked.body.items() if name != _SECRET}
    text = yaml.safe_dump(given, sort_keys=False, allow_unicode=True)
    try:
        config = read(text, source=_SOURCE)
    except PipelineProblems as error:
        raise _by_paths(error, text) from None
    return _pipelines(asked).deploy(planned(config, user="unknown"))


def _by_paths(error: PipelineProblems, text: str) -> UsageError:
    """What is wrong told by the keys that lead to it: lines are those of *text*, which nobody has written."""
    from clx.pipelines.paths import paths_in

    try:
        paths = paths_in(text)
    except PipelineProblems:  # it could not even be taken apart
        paths = {}

    def told(found: re.Match[str]) -> str:
        at = int(found[1]), int(found[2])
        return paths.get(max((each for each in paths if each <= at), default=at), "the pipeline")

    return UsageError(*(_LINE.sub("", _PLACE.sub(told, each)) for each in (error.fact, error.next_step)))


def _deploy(asked: Asked) -> Answer:
    return _told(lambda: Answer(201, _deployed(asked)._asdict()))


def _told(body: Callable[[], Answer]) -> Answer:
    """An answer; what is wrong is told in the way that clients print."""
    try:
        return body()
    except (QueueError, UsageError) as error:
        return _wrong(400, error)


def _wrong(status: int, error: ClxError) -> Answer:
    return Answer(
        status, {"message": f"{error.fact.removesuffix('.')}. {error.next_step}".strip(), "error": error.fact}
    )


def _look(asked: Asked) -> list[Document]:
    query, projection = _json(asked, "query"), Projection(_json(asked, "projection"))
    name = _named(asked, "name")
    if _named(asked, "database") == "pipelines":
        _asked_for(query, "id", "status")
        ids = _ids(query["id"]) if "id" in query else None
        status = _ids(query["status"]) if "status" in query else ()
        found = _pipelines(asked).find(ids=ids, name=name, status=status, limit=_MOST)
        return [projection.of(_shown(each)) for each in found]
    _asked_for(query, "id", "pipelines", "name")
    if "name" in query:
        (name,) = _ids(query["name"])
    pipelines = _ids(query["pipelines"]) if "pipelines" in query else [None]
    ids = _ids(query["id"]) if "id" in query else None
    configs = {
        each["id"]: each
        for pipeline in pipelines
        for each in _pipelines(asked).configs(ids=ids, name=name, pipeline=pipeline, limit=_MOST)
    }
    return [projection.of(each) for each in configs.values()]


def _shown(pipeline: Document) -> Document:
    """A pipeline as those clients have it: a step has one work, or several."""
    steps = [{**step, "work_id": _of_one(step["work_id"])} for step in pipeline["steps"]]
    return {**pipeline, "steps": steps}


def _of_one(ids: Sequence[str]) -> Any:
    return ids[0] if len(ids) == 1 else list(ids) or None


def _count(asked: Asked) -> dict[str, int]:
    return _pipelines(asked).counts("pipelines" if _named(asked, "database") == "pipelines" else "configs")


def _cancel(asked: Asked) -> Answer:
    config = _one(asked)
    there = _pipelines(asked).configs(ids=[config])
    stopped = _pipelines(asked).stop([config]) if there else []
    if not stopped:
        return Answer(304, None)
    return Answer(200, {"stopped_config": config, "stopped_pipelines": [each for each in stopped if each != config]})


def _remove(asked: Asked) -> Answer:
    config = _one(asked)
    with suppress(QueueError):  # there is none of that id
        if _pipelines(asked).remove([config]):
            return Answer(204, None)
    raise Refusal(409, f"There is no config {config[:40]} that has ended.", "Stop it first.")


def _retry(asked: Asked) -> Answer:
    if not isinstance(asked.body, dict) or not isinstance(asked.body.get("id"), str):
        raise Refusal(400, "Which config is to be tried again?", 'Send {"id": "…", "name": "…"}.')
    found = _told(lambda: Answer(200, {"retried": _pipelines(asked).retry([asked.body["id"]])}))
    if found.status != 200:
        return found
    retried = found.body["retried"]
    return Answer(200, {"message": f"{len(retried)} pipeline(s) go on.", "pipelines": retried})


def _status(asked: Asked) -> dict[str, int]:
    found = dict.fromkeys(("created", "queued", "running", "paused", "success", "failure", "cancelled"), 0)
    return found | _pipelines(asked).statuses()


# -- schedules --------------------------------------------------------------------------------------------


def _schedule(asked: Asked) -> Answer:
    if isinstance(asked.body, dict) and not asked.body.get("schedule"):
        return Answer(400, {"message": "There is no schedule in it. Give it one: schedule: {cronspec: …, lives: …}."})
    return _told(lambda: Answer(201, [_deployed(asked).config]))


def _schedules(asked: Asked, *, history: bool = True) -> list[Document]:
    query = {name: value for name, value in _json(asked, "query").items() if value is not None}
    _asked_for(query, "id", "config.name", "name", "status")
    name = query.get("config.name", query.get("name"))
    ids = _ids(query["id"]) if "id" in query else None
    configs = _pipelines(asked).configs(ids=ids, name=None if name is None else _ids(name)[0], limit=_MOST)
    found = [_as_schedule(asked, each, history=history) for each in configs if each["schedule"] is not None]
    wanted = _ids(query["status"]) if "status" in query else None
    return [each for each in found if wanted is None or each["status"] in wanted]


def _as_schedule(asked: Asked, config: Document, *, history: bool) -> Document:
    times = config["schedule"]
    left = times["lives"] if times["lives"] == -1 else max(0, times["lives"] - times["spawned"])
    made = _pipelines(asked).made_at(config["id"]) if history else []
    return {
        "id": config["id"],
        "crontab": times["cronspec"],
        "lives": left,
        "has_spawned": times["spawned"],
        "status": times["status"],
        "next_time": None if times["next"] is None else _iso(times["next"]),
        "history": [[_iso(at), pipeline] for pipeline, at in made],
        "config": {name: value for name, value in config.items() if name != "schedule"},
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _list_schedules(asked: Asked) -> list[Document]:
    projection = Projection(_json(asked, "projection"))
    return [projection.of(each) for each in _schedules(asked)]


def _remove_schedule(asked: Asked) -> Answer:
    if _pipelines(asked).forget_schedule(_one(asked)):
        return Answer(204, None)
    raise Refusal(404, "There is no such schedule.", "See `workflow schedules ls`.")


def _count_schedules(asked: Asked) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in _schedules(asked, history=False):
        found[each["config"]["name"]] = found.get(each["config"]["name"], 0) + 1
    return found


CALLS = (
    Call("GET", "/v2/status", "read", _status),
    Call("GET", "/v2/configs", "read", _look),
    Call("POST", "/v2/configs", "work", _deploy, writes=True, has_body=True),
    Call("DELETE", "/v2/configs", "work", _remove, writes=True),
    Call("GET", "/v2/configs/count", "read", _count),
    Call("PUT", "/v2/configs/cancel", "work", _cancel, writes=True),
    Call("POST", "/v2/configs/retry", "work", _retry, writes=True, has_body=True),
    Call("GET", "/v2/schedule", "read", _list_schedules),
    Call("POST", "/v2/schedule", "work", _schedule, writes=True, has_body=True),
    Call("DELETE", "/v2/schedule", "work", _remove_schedule, writes=True),
    Call("GET", "/v2/schedule/count", "read", _count_schedules),
)
"""What Pipelines answer."""
