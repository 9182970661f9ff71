"""The model for MLServer."""

from __future__ import annotations

from typing import Any

import numpy as np
from mlserver import MLModel, types  # type: ignore[import-not-found]  # of the environment it runs in
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]

from benchmarks.rivals.sessions import session


class Mlp(MLModel):  # type: ignore[misc]
    async def load(self) -> bool:
        self._session = session(self.settings.parameters.uri)
        return True

    async def predict(self, payload: Any) -> Any:
        x = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)
        y = self._session.run(["y"], {"x": x})[0]
        return types.InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)])
