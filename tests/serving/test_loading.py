"""What a call to load a model may say, and what it means."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from clx.serving.failures import Refusal
from clx.serving.loading import Configuration, configuration, upload


@pytest.mark.parametrize(
    ("config", "meant"),
    [
        (None, (None, None)),
        ({}, (None, None)),
        ({"name": "m", "backend": "onnxruntime", "platform": "onnxruntime_onnx"}, (None, None)),
        ({"max_batch_size": 0}, (1, None)),
        ({"max_batch_size": 8}, (8, None)),
        ({"max_batch_size": "8"}, (8, None)),
        ({"dynamic_batching": {"default_queue_policy": {"default_timeout_microseconds": 5}}}, (None, 5)),
        ({"dynamic_batching": {}}, (None, None)),
        ({"parameters": {"path": {"string_value": "a/b.onnx"}}}, (None, None, "a/b.onnx")),
    ],
)
def test_a_configuration_says_rows_and_microseconds(config: Any, meant: tuple[Any, ...]) -> None:
    assert configuration("m", {} if config is None else {"config": json.dumps(config)}) == Configuration(*meant)


@pytest.mark.parametrize(
    "parameters",
    [
        {"config": 7},
        {"config": "nonsense"},
        {"config": "[" * 100_000},
        {"config": "[]"},
        {"config": '{"name": "other"}'},
        {"config": '{"backend": "python"}'},
        {"config": '{"platform": ["onnxruntime"]}'},
        {"config": '{"max_batch_size": 1.5}'},
        {"config": '{"max_batch_size": true}'},
        {"config": '{"max_batch_size": 100000}'},
        {"config": '{"max_batch_size": "' + "9" * 10_000 + '"}'},
        {"config": '{"dynamic_batching": {"default_queue_policy": {"default_timeout_microseconds": -1}}}'},
        {"unknown": 1},
    ],
)
def test_what_cannot_be_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as raised:
        configuration("m", parameters)
    assert raised.value.status == 400


def test_a_file_is_a_version() -> None:
    assert upload({"config": "{}"}) is None
    assert upload({"file:12/model.onnx": base64.b64encode(b"bytes").decode()}) == ("12", b"bytes")


@pytest.mark.parametrize(
    "parameters",
    [
        {"file:1/model.onnx": "no base64!"},
        {"file:1/model.onnx": 7},
        {"file:1/model.onnx": None},
        {"file:x/model.onnx": ""},
        {"file:1/../model.onnx": ""},
        {"file:1/model.py": ""},
        {"file:1/model.onnx": "", "file:1/weights.bin": ""},
        {"file:": ""},
    ],
)
def test_a_file_that_is_none_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as raised:
        upload(parameters)
    assert raised.value.status == 400
