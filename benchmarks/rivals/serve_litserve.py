"""The model for LitServe; the words of the command line are the port and the model."""

import sys
from typing import Any

import litserve  # type: ignore[import-not-found]  # of the environment it runs in
import numpy as np
from fastapi import Request  # type: ignore[import-not-found,unused-ignore]

from benchmarks.rivals.sessions import session


class Mlp(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:  # noqa: ARG002
        self._session = session(sys.argv[2])

    def decode_request(self, request: Request) -> Any:  # what it is said to be decides what it gets: the document
        given = request["inputs"][0]
        return np.array(given["data"], np.float32).reshape(given["shape"])

    def predict(self, x: Any) -> Any:
        return self._session.run(["y"], {"x": x})[0]

    def encode_response(self, output: Any) -> Any:
        return {"outputs": [{"name": "y", "shape": list(output.shape), "data": output.reshape(-1).tolist()}]}


def main() -> None:
    """Serve; called by name, as the processes that it starts cannot find what is in a module that was run."""
    litserve.LitServer(Mlp(), accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="error", generate_client_file=False
    )
