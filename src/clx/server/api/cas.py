"""``/cas`` in the OpenAPI document: :mod:`clx.server.artifacts`, which is no table of operations."""

from __future__ import annotations

from typing import Any

_BYTES: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_DIGEST: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_WHOLE: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_ANY = "Needs the role work."


def paths(refusals: Any) -> dict[str, Any]:
    """What is below ``/cas``.

    Args:
        refusals: statuses → the responses that tell of them.
    """
    return {
        "/cas/{digest}": {
            "parameters": [
                {"name": "digest", "in": "path", "required": True, "schema": _DIGEST,
                 "description": "sha256 of the bytes, in hexadecimal digits"}
            ],
            "get": {**_operation("get_artifact", "The bytes of an artifact, or a part of them."),
                    "parameters": [_header("Range", "bytes=FIRST-LAST: one part"), *_CACHING],
                    "responses": {"200": _bytes("All of them."), "206": _bytes("The part."), "304": _UNCHANGED,
                                  **refusals(404, 416)}},
            "head": {**_operation("head_artifact", "Whether it is there; where not, how much of it is."),
                     "parameters": [_header("Upload-Length", "is there room for so many bytes? else 507"), *_CACHING],
                     "responses": {"200": {"description": "It is there."}, "304": _UNCHANGED,
                                   **_bare(refusals(404, 507))}},
            "put": {**_operation("put_artifact", "Put an artifact, a part of it, or the rest of one."),
                    "parameters": [
                        _header("Upload-Offset", "goes on with a part of so many bytes", _WHOLE),
                        _header("Upload-Complete", "?0 keeps what comes as a part", {"type": "string"}),
                        _header("Upload-Length", "bytes of the whole"),
                    ],
                    "requestBody": {"required": True, "content": _BYTES},
                    "responses": {"200": {"description": "It was there."}, "201": {"description": "It is there."},
                                  "202": {"description": "The part is kept."}, **refusals(404, 408, 409, 413, 507)}},
        },
        "/cas/missing": {
            "post": {**_operation("missing_artifacts", "Which of at most 10,000 are absent, or have another size."),
                     "requestBody": {"required": True, "content": {"application/json": {"schema": _ASKED}}},
                     "responses": {"200": _MISSING, **refusals(408, 413)}},
        },
    }  # fmt: skip


def _operation(name: str, summary: str) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "description": _ANY, "x-role": "work"}


def _header(name: str, description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema or {"type": "string"}}


def _bytes(description: str) -> dict[str, Any]:
    return {"description": description, "content": _BYTES}


def _bare(responses: dict[str, Any]) -> dict[str, Any]:
    """The same without bodies, which no answer to HEAD has."""
    return {status: {"description": each["description"]} for status, each in responses.items()}


_CACHING = [
    _header("If-None-Match", "its ETag, which is its digest: 304"),
    _header("Cache-Control", "no-cache has the bytes looked at first: damaged ones are removed"),
]
_UNCHANGED = {"description": "The bytes are those of If-None-Match."}
_ASKED = {
    "anyOf": [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    ]
}
_MISSING = {
    "description": "These.",
    "content": {"application/json": {"schema": {"type": "array", "items": {"type": "string"}}}},
}
