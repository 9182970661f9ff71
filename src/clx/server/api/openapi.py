"""The OpenAPI 3.1 document of the interface, made of its table of operations; the schemas are msgspec's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from clx import __version__
from clx.server.api import cas
from clx.server.api.documents import MOST, Error
from clx.server.api.operations import Operation

_ALWAYS = (400, 401, 403, 422, 503)
_MEANINGS = {
    400: "The request cannot be read.",
    401: "No token, or none that is taken.",
    403: "The token's role may not do this, or the request comes from another site.",
    404: "What was named is not there.",
    408: "The body came too slowly.",
    409: "The state of the table does not allow it.",
    413: "The body is too large.",
    416: "It has not as many bytes.",
    422: "What was asked for is not possible.",
    503: "The job table does not answer in time; Retry-After says when to try again.",
    507: "The disk of the job table, or of the artifacts, is full.",
}
_BASE = "/api/v1"
_REF = "#/components/schemas/{name}"


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document that describes *operations*."""
    types = _types(operations)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    known = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(f"{_BASE}{each.path}", {})[each.method.lower()] = _operation(each, known, components)
    paths[f"{_BASE}/events"] = {"get": _EVENTS | {"responses": _EVENTS["responses"] | _refusals((), known)}}
    paths |= cas.paths(lambda *statuses: _refusals(statuses, known))
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "CLX",
            "version": __version__,
            "description": "Jobs and artifacts over HTTP. Times are milliseconds UTC, durations milliseconds.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"basic": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The password is the token."},
            },
        },
    }


def _types(operations: Sequence[Operation]) -> list[Any]:
    found: list[Any] = [Error]
    for each in operations:
        found += [kind for kind in (each.body, each.answer, each.query) if kind is not None and kind not in found]
    return found


def _operation(each: Operation, known: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "description": f"Needs the role {each.role}.",
        "x-role": each.role,
        "parameters": [*_in_path(each), *_in_query(each, components)],
        "responses": {
            str(each.status): _content("Done.", known[repr(each.answer)]),
            **_refusals(_refused(each), known),
        },
    }
    if each.body is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": known[repr(each.body)]}}}
    return told


def _refused(each: Operation) -> tuple[int, ...]:
    """The statuses of its refusals, beside those that all have."""
    named = (404,) if "{id}" in each.path else ()
    return (*each.errors, *named, *((408, 413) if each.body else ()), *((507,) if each.writes else ()))


def _in_path(each: Operation) -> list[dict[str, Any]]:
    if "{id}" not in each.path:
        return []
    return [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": MOST}}
    ]


def _in_query(each: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    shape = components[each.query.__name__]
    return [
        {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": _single(schema)}
        for name, schema in shape["properties"].items()
    ]


def _single(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without null, which no query can say: a parameter is left out instead."""
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    return kinds[0] if len(kinds) == 1 else {name: value for name, value in schema.items() if name != "default"}


def _refusals(statuses: Sequence[int], known: dict[str, Any]) -> dict[str, Any]:
    chosen = sorted({*_ALWAYS, *statuses})
    return {str(status): _content(_MEANINGS[status], known[repr(Error)]) for status in chosen}


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_EVENTS: dict[str, Any] = {
    "operationId": "events",
    "summary": "What happens, as server-sent events: status, jobs.",
    "description": "Needs the role read. Last-Event-ID goes on where a connection broke.",
    "x-role": "read",
    "responses": {"200": {"description": "A stream without end.", "content": {"text/event-stream": {"schema": {}}}}},
}
