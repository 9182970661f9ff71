"""The document says what the interface does: requests made from it, good and bad, leave the server answering."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from schemathesis import Case, GenerationMode, Response
from schemathesis.core import NOT_SET
from tests.server.conftest import BASE, Served

from clx.server.api.interface import OPERATIONS
from clx.server.api.openapi import document

_DOCUMENT = document(OPERATIONS)
_SCHEMA = schemathesis.openapi.from_dict(_DOCUMENT)
_ALL: list[Any] = list(_SCHEMA.get_all_operations())
_OPERATIONS = {each.ok().label: each.ok() for each in _ALL if not each.ok().path.endswith("/events")}
_ARTIFACTS = {"get_artifact", "head_artifact", "put_artifact", "missing_artifacts"}
_NOT_MADE_UP = {"PUT /cas/{digest}": "not what their name says", "POST /api/v1/pipelines": "pipeline:"}
"""What nobody makes up from a schema, bytes of a given digest or a pipeline file, and how it is refused."""
_EXAMPLES = 400 if os.environ.get("CLX_SOAK") else 25


def test_every_operation_is_described() -> None:
    methods = [method for path in _DOCUMENT["paths"].values() for name, method in path.items() if name != "parameters"]
    assert {each["operationId"] for each in methods} == {each.name for each in OPERATIONS} | {"events"} | _ARTIFACTS
    assert len(_OPERATIONS) == len(OPERATIONS) + len(_ARTIFACTS)


def test_the_document_is_served(served: Served) -> None:
    assert served.get("/api/v1/openapi.json", role="read").json() == json.loads(json.dumps(_DOCUMENT))
    assert served.call("HEAD", "/api/v1/openapi.json").text == ""


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", _OPERATIONS)
def test_requests_made_from_the_document_are_answered_as_it_says(
    served: Served, label: str, mode: GenerationMode
) -> None:
    operation = _OPERATIONS[label]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=_EXAMPLES, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    def answers(case: Case[Any]) -> None:
        case.body = at_once(whole(case.body))
        answer = called(served, case)
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, excluded_checks=_NOT_HELD)
        if mode is GenerationMode.POSITIVE:  # what a schema cannot say, the queue itself refuses, with its own error
            told = answer.status_code not in {400, 422} or answer.json().get("type") == "QueueError"
            assert told or _NOT_MADE_UP.get(label, "\0") in answer.text, answer.text

    answers()
    assert served.get("/healthz").status_code == 200


def test_artifacts_are_put_and_fetched_as_the_document_says(served: Served) -> None:
    """By requests that succeed, which nobody makes up from a schema."""
    data = b"some bytes"
    digest = sha256(data).hexdigest()
    rest = {"Upload-Offset": "4"}
    calls: list[tuple[str, dict[str, str], bytes | None, int]] = [
        ("HEAD", {}, None, 404),
        ("PUT", {"Upload-Complete": "?0", "Upload-Offset": "0"}, data[:4], 202),
        ("PUT", {"Upload-Offset": "9"}, data[9:], 409),
        ("PUT", rest, data[4:], 201),
        ("PUT", {}, data, 200),
        ("HEAD", {}, None, 200),
        ("GET", {}, None, 200),
        ("GET", {"Range": "bytes=0-3"}, None, 206),
        ("GET", {"Range": "bytes=99-"}, None, 416),
        ("GET", {"If-None-Match": f'"{digest}"'}, None, 304),
    ]
    for method, headers, body, status in calls:
        case = _OPERATIONS[f"{method} /cas/{{digest}}"].Case(
            path_parameters={"digest": digest},
            headers=headers,
            body=body or NOT_SET,
            media_type=_BYTES if body else None,
        )
        answer = called(served, case)
        assert answer.status_code == status, (method, headers, answer.text)
        case.validate_response(answer, excluded_checks=_NOT_HELD)
    asked = _OPERATIONS["POST /cas/missing"].Case(body=[digest, "0" * 64], media_type="application/json")
    answer = called(served, asked)
    assert answer.json() == ["0" * 64]
    asked.validate_response(answer, excluded_checks=_NOT_HELD)


_BYTES = "application/octet-stream"
_NOT_HELD: list[Any] = [
    each
    for each in schemathesis.checks.CHECKS.get_all()
    if each.__name__ in ("ignored_auth", "missing_required_header", "unsupported_method", "positive_data_acceptance")
]
"""All but the last call by themselves, over a socket; tests of access and of methods stand beside this one."""


def whole(value: Any) -> Any:
    """*value* with 1 in place of 1.0, which a schema takes for a whole number and this server does not."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: whole(each) for name, each in value.items()}
        case list():
            return [whole(each) for each in value]
    return value


def at_once(body: Any) -> Any:
    """A call that waits for nobody: what it would wait for does not come."""
    if isinstance(body, dict) and isinstance(body.get("wait"), int | float):
        return {**body, "wait": min(0, body["wait"])}
    return body


def called(served: Served, case: Case[Any]) -> Response:
    """What the server in this process answers."""
    made = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
    own = ("authorization", "content-length")  # the token is served's own
    told = {name: value for name, value in made.headers.items() if name.lower() not in own}
    headers = {name: value.encode("latin-1") if isinstance(value, str) else value for name, value in told.items()}
    if len(made.url or "") >= 60_000:  # httpx makes no longer one; the server refuses it by its own bound
        reject()
    found = served.call(made.method or "", made.url or "", content=made.body, headers=headers)
    return Response(
        status_code=found.status_code, headers={name: [value] for name, value in found.headers.items()},
        content=found.content, request=made, elapsed=0.0, verify=False, message=found.reason_phrase,
        http_version="1.1", encoding="utf-8",
    )  # fmt: skip
