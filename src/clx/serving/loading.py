"""What a call of the protocol to load a model says: how, and with which bytes."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from clx.db.serving.models import LARGEST_BATCH, LONGEST_TIMEOUT, VERSION
from clx.serving.failures import Refusal

_FILE = re.compile(r"file:([0-9]{1,18})/model\.onnx")
_KNOWN = ("config", "path", "unload_dependents")
_BACKENDS = ("", "onnxruntime", "onnxruntime_onnx")
_TIMEOUT = "default_timeout_microseconds"


class Configuration(NamedTuple):
    """What is said of a model beside its files; None: nothing.

    Attributes:
        largest: rows of its largest batch; 1: none.
        timeout: microseconds of a request that says nothing.
        below: its file below the directories of workers; empty: it is kept here, or sent.
    """

    largest: int | None
    timeout: int | None
    below: str = ""


def configuration(name: str, parameters: Mapping[str, Any]) -> Configuration:
    """What a call to load says of a model beside its files: rows of a batch, microseconds of a request.

    Raises:
        Refusal: it cannot be.
    """
    for each in parameters:
        if each not in _KNOWN and not each.startswith("file:"):
            raise Refusal("malformed", f"there is no parameter {each[:64]}: there are {', '.join(_KNOWN)}, file:…")
    config = _object(parameters.get("config"))
    if config.get("name", name) != name:
        raise Refusal("malformed", f"config is of another model than {name}")
    for key in ("backend", "platform"):
        if config.get(key, "") not in _BACKENDS:
            raise Refusal("malformed", f"{key} is {str(config[key])[:64]!r}; a client can upload ONNX, never code")
    largest = max(1, _whole(config, "max_batch_size", LARGEST_BATCH)) if "max_batch_size" in config else None
    batching = config.get("dynamic_batching")
    queue = batching.get("default_queue_policy") if isinstance(batching, dict) else None
    timeout = _whole(queue, _TIMEOUT, LONGEST_TIMEOUT) if isinstance(queue, dict) and _TIMEOUT in queue else None
    return Configuration(largest, timeout, _below(parameters, config))


def _below(parameters: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The file below the directories of workers that is named: ``path``, there or in the parameters of ``config``."""
    inside = config.get("parameters")
    path = inside.get("path") if isinstance(inside, dict) else None
    if isinstance(path, dict):
        path = path.get("string_value")
    path = parameters.get("path", "") if path is None else path
    if not isinstance(path, str):
        raise Refusal("malformed", "path is no text")
    return path


def _object(said: Any) -> dict[str, Any]:
    if said is None:
        return {}
    try:
        config = json.loads(said) if isinstance(said, str) else None
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise Refusal("malformed", "config is no text of a JSON object")
    return config


def _whole(said: Mapping[str, Any], name: str, most: int) -> int:
    value = said[name]
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])  # as protocol buffers write those of 64 bits
    if type(value) is not int or not 0 <= value <= most:
        raise Refusal("malformed", f"{name} is {value!r}; it is a whole number from 0 to {most}")
    return value


def upload(parameters: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """The version and the bytes of a model that came with a call to load."""
    names = [each for each in parameters if each.startswith("file:")]
    if not names:
        return None
    found = _FILE.fullmatch(names[0])
    if len(names) > 1 or found is None or not VERSION.fullmatch(found[1]):
        raise Refusal("malformed", "a model is one file, file:VERSION/model.onnx")
    try:
        text = parameters[names[0]]
        return found[1], base64.b64decode(text if isinstance(text, str) else b"!", validate=True)
    except (binascii.Error, ValueError):
        raise Refusal("malformed", f"{names[0]} is no base64") from None
