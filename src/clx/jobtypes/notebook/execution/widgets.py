"""What widgets (ipywidgets) say of their state, as far as a page needs it once the cells have run.

A widget is a model in the kernel whose state a front end is told through comms. A cell's output names the model
only; how a progress bar ends is known from the messages after it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from clx.jobtypes.notebook.execution.outputs import CellOutputs

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
"""Type of an output that is a view of a widget."""
_TARGET = "jupyter.widget"
_REFERENCE = "IPY_MODEL_"
_ABOUT_ITSELF = ("_model_", "_view_", "_dom_classes")
_STATE_LIMIT = 10_000_000
"""Bytes of state that are kept of all widgets; what changes beyond it is not noted any more."""
_DEEPEST = 30


class Widgets:
    """The widgets of one run."""

    def __init__(self) -> None:
        self._states: dict[str, dict[str, Any]] = {}
        self._closed: set[str] = set()
        self._caught: dict[str, CellOutputs] = {}
        self._catching: dict[str, str] = {}
        self._size = 0

    def take(self, kind: str, content: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Take one ``comm_…`` message; those of other libraries than widgets are passed over."""
        identity = str(content.get("comm_id"))
        if kind == "comm_close":
            if self._states.pop(identity, None) is not None:
                self._closed.add(identity)
            return
        data = content.get("data") or {}
        if kind == "comm_open":
            if content.get("target_name") != _TARGET:
                return
            self._states[identity] = {}
        elif data.get("method") not in ("update", "echo_update"):
            return
        if identity in self._states and isinstance(data.get("state"), Mapping):
            self._update(identity, data["state"], data.get("buffer_paths") or (), buffers)

    def catching(self, request: str) -> CellOutputs | None:
        """Where what the request *request* puts out goes, if an ``Output`` widget catches it."""
        identity = self._catching.get(request)
        return self._caught.setdefault(identity, CellOutputs()) if identity else None

    def caught(self) -> list[CellOutputs]:
        """What ``Output`` widgets have caught so far."""
        return list(self._caught.values())

    def settle(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Put into each view among *outputs* the widget as it is now.

        ``widget`` of the view is a mapping of ``model`` (its name) and ``state`` afterwards, in which other widgets
        are such mappings; it is ``None`` where the widget was closed, and missing where nothing is known of it.
        """
        for output in outputs:
            data = output.get("data")
            if not isinstance(data, dict) or not isinstance(view := data.get(WIDGET_VIEW), Mapping):
                continue
            identity = str(view.get("model_id"))
            shown = self._widget(identity, 0)
            data[WIDGET_VIEW] = {"widget": shown} if shown or identity in self._closed else {}

    def _update(self, identity: str, state: Mapping[str, Any], paths: Sequence[Any], buffers: Sequence[Any]) -> None:
        known, found = self._states[identity], dict(state)
        for path, buffer in zip(paths, buffers, strict=False):
            if len(path) == 1:  # deeper ones belong to arrays of other libraries
                found[str(path[0])] = base64.b64encode(bytes(buffer)).decode("ascii")
        size = self._size + sum(len(str(value)) - len(str(known.get(name, ""))) for name, value in found.items())
        if size > _STATE_LIMIT:
            return
        self._size = size
        known.update(found)
        if "msg_id" in found and known.get("_model_name") == "OutputModel":
            self._catch(identity, str(found["msg_id"]))

    def _catch(self, identity: str, request: str) -> None:
        self._catching = {of: widget for of, widget in self._catching.items() if widget != identity}
        if request:
            self._catching[request] = identity

    def _widget(self, identity: str, depth: int) -> dict[str, Any] | None:
        state = self._states.get(identity)
        if state is None or depth > _DEEPEST:
            return None
        shown = {
            name: self._resolved(value, depth + 1)
            for name, value in state.items()
            if not name.startswith(_ABOUT_ITSELF)
        }
        if identity in self._caught:
            shown["outputs"] = self._caught[identity].result().outputs
            self.settle(shown["outputs"])
        return {"model": str(state.get("_model_name")), "state": shown}

    def _resolved(self, value: Any, depth: int) -> Any:
        if isinstance(value, str) and value.startswith(_REFERENCE):
            return self._widget(value.removeprefix(_REFERENCE), depth)
        if isinstance(value, list):
            return [self._resolved(each, depth) for each in value]
        return value
