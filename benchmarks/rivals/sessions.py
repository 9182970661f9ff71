"""How all servers of the benchmark that run onnxruntime themselves do that."""

from __future__ import annotations

from typing import Any

import onnxruntime


def session(path: str) -> Any:
    """The model of a file, on one thread that does not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
