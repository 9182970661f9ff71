"""The model for BentoML; its file is what ``BENCH_MODEL`` names."""

from __future__ import annotations

import os
from typing import Any

import bentoml  # type: ignore[import-not-found]  # of the environment it runs in
import numpy as np

from benchmarks.rivals.sessions import session


@bentoml.service(workers=1)
class Mlp:
    def __init__(self) -> None:
        self._session = session(os.environ["BENCH_MODEL"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def infer(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        x = np.array(inputs[0]["data"], np.float32).reshape(inputs[0]["shape"])
        y = self._session.run(["y"], {"x": x})[0]
        return {"outputs": [{"name": "y", "shape": list(y.shape), "data": y.reshape(-1).tolist()}]}
