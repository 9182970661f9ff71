"""Turning kernel messages into the outputs of cells.

The result depends on what the cells wrote, not on when the kernel happened to flush: text of one
stream is joined between two other outputs, and stdout stands before stderr there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clx.jobtypes.notebook.execution.results import CellResult, without_own_frames

OUTPUT_LIMIT = 10_000_000
"""Bytes (characters, for text) of output kept per cell; what follows is cut, and a note is the last output."""

_STREAM_ORDER = {"stdout": 0, "stderr": 1}


class CellOutputs:
    """The outputs of one cell while it runs."""

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self.limit = limit
        self.execution_count: int | None = None
        self._outputs: list[dict[str, Any]] = []
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self._size = 0
        self._clear_before_next = False

    def add(self, kind: str, content: Mapping[str, Any]) -> None:
        """Take one iopub message; messages that are no outputs are ignored."""
        if kind == "clear_output":
            self._clear_before_next = bool(content.get("wait"))
            if not self._clear_before_next:
                self._clear()
        elif kind == "stream":
            self._clear_if_due()
            self._add_text(str(content["name"]), str(content["text"]))
        elif kind in ("display_data", "execute_result"):
            self._clear_if_due()
            self._add_data(kind, content)
        elif kind == "error":
            self._clear_if_due()
            error = {name: content[name] for name in ("ename", "evalue")}
            traceback = without_own_frames(content["traceback"])
            self._outputs.append({"output_type": "error", **error, "traceback": traceback})

    def update(self, content: Mapping[str, Any]) -> None:
        """Replace what was displayed under the message's display id, wherever it stands in this cell."""
        for output in self._displays.get(_display_id(content), ()):
            output["data"], output["metadata"] = _bundle(content)

    def result(self) -> CellResult:
        """The finished outputs, as plain nbformat-4 dictionaries."""
        outputs = [
            {**output, "text": "".join(output["text"]).replace("\r\n", "\n")}
            if output["output_type"] == "stream"
            else output
            for output in self._outputs
        ]
        is_cut = self._size > self.limit
        if is_cut:
            note = f"[output cut: this cell wrote more than {self.limit / 1e6:g} MB]\n"
            outputs.append({"output_type": "stream", "name": "stderr", "text": note})
        return CellResult(outputs, self.execution_count, is_cut)

    def _clear(self) -> None:
        self._outputs.clear()
        self._displays.clear()
        self._size, self._clear_before_next = 0, False

    def _clear_if_due(self) -> None:
        if self._clear_before_next:
            self._clear()

    def _add_text(self, name: str, text: str) -> None:
        room = self.limit - self._size
        self._size += len(text)
        if room > 0:
            self._stream(name).append(text[:room])

    def _add_data(self, kind: str, content: Mapping[str, Any]) -> None:
        data, metadata = _bundle(content)
        self._size += sum(len(value if isinstance(value, str) else json.dumps(value)) for value in data.values())
        if self._size > self.limit:
            return
        output: dict[str, Any] = {"output_type": kind, "data": data, "metadata": metadata}
        if kind == "execute_result":
            output["execution_count"] = content.get("execution_count")
        self._outputs.append(output)
        if display_id := _display_id(content):
            self._displays.setdefault(display_id, []).append(output)

    def _stream(self, name: str) -> list[str]:
        """The parts of stream *name* since the last output that is not a stream."""
        position = len(self._outputs)
        while position and self._outputs[position - 1]["output_type"] == "stream":
            position -= 1
        rank = _STREAM_ORDER.get(name, 2)
        for output in self._outputs[position:]:
            if output["name"] == name:
                found: list[str] = output["text"]
                return found
            if _STREAM_ORDER.get(output["name"], 2) > rank:
                break
            position += 1
        self._outputs.insert(position, {"output_type": "stream", "name": name, "text": []})
        inserted: list[str] = self._outputs[position]["text"]
        return inserted


def _display_id(content: Mapping[str, Any]) -> str:
    return str((content.get("transient") or {}).get("display_id") or "")


def _bundle(content: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data and metadata of a display message; base64 pictures lose the line ends some kernels put in."""
    data = {
        mime: value.replace("\n", "") if _is_base64(mime) and isinstance(value, str) else value
        for mime, value in content["data"].items()
    }
    return data, dict(content.get("metadata") or {})


def _is_base64(mime: str) -> bool:
    return (mime.startswith("image/") and not mime.endswith("+xml")) or mime == "application/pdf"
