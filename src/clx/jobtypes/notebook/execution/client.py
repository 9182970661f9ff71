"""Talking to one kernel: Jupyter messages over ZeroMQ, synchronously, one cell at a time."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Container, Sequence
from typing import Any

import zmq
from jupyter_client.session import Session

from clx.jobtypes.notebook.execution.outputs import CellOutputs
from clx.jobtypes.notebook.execution.results import (
    NOT_ANSWERING,
    UNREADABLE,
    CellFailedError,
    CellResult,
    FailureKind,
    plain,
    without_own_frames,
)
from clx.jobtypes.notebook.execution.server import START_TIMEOUT, Kernel, KernelParent, ParentGoneError
from clx.jobtypes.notebook.execution.widgets import Widgets
from clx.platforms import system
from clx.platforms.container import own_container_id
from clx.platforms.oom import oom_kills

INTERRUPT_GRACE = 2.0
"""Seconds a cell has after an interrupt to give back its traceback before the kernel is killed."""
_ASK_AGAIN = 0.1
"""Seconds between two requests while waiting for a kernel's first sign of life."""
_NO_INPUT = "the cell asks for input, but a deck runs unattended"
_RAISED = re.compile(r"^([A-Za-z_][\w.]*)(?::[ ]?(.*))?\Z", re.MULTILINE)
"""The last line of a traceback."""
_CELL_LINE = re.compile(r"Cell In ?\[(\d+)\], line (\d+)|File \"/tmp/ipykernel/\d+\.py\", line (\d+)")


class UnreadableAnswerError(Exception):
    """A message of the kernel is none: the cells have changed what it needs to write one."""


class Client:
    """The connection to one kernel, and the run of its cells."""

    def __init__(self, context: zmq.Context[Any], parent: KernelParent, kernel: Kernel) -> None:
        self._parent = parent
        self._kernel = kernel
        self._info = info = kernel.connection()
        self._session = Session(key=info["key"].encode(), signature_scheme=info["signature_scheme"])
        self._shell = self._connect(context, zmq.DEALER, "shell_port")
        self._iopub = self._connect(context, zmq.SUB, "iopub_port")
        self._poller = zmq.Poller()
        for readable in (self._shell, self._iopub, parent.fileno()):
            self._poller.register(readable, zmq.POLLIN)
        self._cells: list[CellOutputs] = []
        self._source = ""
        self._cell_of: dict[str, CellOutputs] = {}
        self._widgets = Widgets()
        self._oom_kills = 0

    def close(self) -> None:
        """Close the sockets; the kernel is not told."""
        self._shell.close(linger=0)
        self._iopub.close(linger=0)

    def wait_until_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Return once the kernel's outputs reach us; what it published before would have been lost."""
        until = time.monotonic() + timeout
        ask_in = 0.02 if self._kernel.is_up else 0.0
        while time.monotonic() < until:
            ready = dict(self._poller.poll(int(ask_in * 1000)))
            if self._iopub in ready and any(map(_is_sign_of_life, self._messages(self._iopub))):
                return
            if self._shell in ready:
                self._messages(self._shell)
            if self._parent.fileno() in ready:
                self._parent.take_events()
            if self._kernel.status is not None:
                raise ParentGoneError(f"the kernel did not start: {self._kernel.last_words()}")
            if not ready:
                self._session.send(self._shell, "kernel_info_request", {})
                ask_in = _ASK_AGAIN
        raise ParentGoneError(f"the kernel was not ready within {timeout:g} s")

    def run(self, cells: Sequence[str], cell_timeout: float, allow_errors_at: Container[int]) -> list[CellResult]:
        """Execute *cells* in order; what fails is a :class:`CellFailedError`, and the cells after it are not run."""
        for index, source in enumerate(cells):
            outputs = CellOutputs()
            self._cells.append(outputs)
            self._source = source
            if source.strip():
                try:
                    reply = self._execute(index, source, outputs, cell_timeout)
                except UnreadableAnswerError as error:
                    reply = {"ename": UNREADABLE, "evalue": "the kernel's answer cannot be read after this cell"}
                    raise self._failure(index, "error", reply) from error
                if reply["status"] != "ok" and index not in allow_errors_at:
                    raise self._failure(index, "error", reply)
        results = [cell.result() for cell in self._cells]
        for result in results:
            self._widgets.settle(result.outputs)
        return results

    def _execute(self, index: int, source: str, outputs: CellOutputs, timeout: float) -> dict[str, Any]:
        """Run one cell; its reply, once the kernel is idle again."""
        self._oom_kills = oom_kills()
        request = self._session.send(
            self._shell,
            "execute_request",
            {
                "code": source,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": False,
            },
        )["header"]["msg_id"]
        self._cell_of[request] = outputs
        reply = self._await(request, timeout, index)
        if reply is None:
            self._kernel.interrupt()
            ended = self._await(request, INTERRUPT_GRACE, index)
            reply = ended or {}
            outputs.execution_count = reply.get("execution_count")
            limit = f"the cell took longer than {timeout:g} s"
            if ended is None:  # Python code that runs does answer
                limit += f", and the kernel does not answer {NOT_ANSWERING}"
            raise self._failure(index, "timeout", {**reply, "ename": "CellTimeout", "evalue": limit})
        outputs.execution_count = reply.get("execution_count")
        if any(payload.get("source") == "ask_exit" for payload in reply.get("payload", ())):
            return {"status": "error", "ename": "SystemExit", "evalue": "the cell ends its kernel"}
        return reply

    def _await(self, request: str, timeout: float, index: int) -> dict[str, Any] | None:
        """The reply to *request* once the kernel has also published everything, or None after *timeout*."""
        until = time.monotonic() + timeout
        reply: dict[str, Any] | None = None
        idle = False
        while reply is None or not idle:
            left = until - time.monotonic()
            if left <= 0:
                return None
            ready = dict(self._poller.poll(int(left * 1000) + 1))
            if self._iopub in ready:
                idle = self._take_outputs(request) or idle
            if self._shell in ready:
                for message in self._messages(self._shell):
                    if message["parent_header"].get("msg_id") == request:
                        reply = message["content"]
            if self._parent.fileno() in ready and self._iopub not in ready:
                self._check_alive(index)
        return reply

    def _check_alive(self, index: int) -> None:
        try:
            self._parent.take_events()
        except ParentGoneError as error:
            raise self._died(index, str(error)) from error
        if self._kernel.status is not None:
            self._take_outputs("")
            memory = oom_kills() > self._oom_kills
            raise self._died(index, describe_exit(self._kernel.status, memory=memory))

    def _take_outputs(self, request: str) -> bool:
        """Hand waiting iopub messages to their cells; whether *request* is done."""
        idle = False
        for message in self._messages(self._iopub):
            kind, content = message["msg_type"], message["content"]
            parent = message["parent_header"].get("msg_id", "")
            if kind == "status":
                idle = idle or (parent == request and content["execution_state"] == "idle")
            elif kind == "update_display_data":
                for cell in (*self._cells, *self._widgets.caught()):
                    cell.update(content)
            elif kind.startswith("comm_"):
                self._widgets.take(kind, content, message["buffers"])
            elif parent in self._cell_of:
                (self._widgets.catching(parent) or self._cell_of[parent]).add(kind, content)
        return idle

    def _messages(self, socket: zmq.Socket[Any]) -> list[dict[str, Any]]:
        """Everything that has arrived on *socket*."""
        found: list[dict[str, Any]] = []
        while True:
            try:
                _, message = self._session.recv(socket)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise UnreadableAnswerError from error
            if message is None:
                return found
            found.append(message)

    def _connect(self, context: zmq.Context[Any], kind: int, port: str) -> zmq.Socket[Any]:
        info = self._info
        separator = "-" if info["transport"] == "ipc" else ":"
        socket: zmq.Socket[Any] = context.socket(kind)
        # Unlimited: beyond its default of 1000 messages ZeroMQ would drop outputs.
        socket.rcvhwm = 0
        if kind == zmq.SUB:
            socket.subscribe(b"")
        else:
            socket.identity = self._session.bsession
        socket.connect(f"{info['transport']}://{info['ip']}{separator}{info[port]}")
        return socket

    def _died(self, index: int, how: str) -> CellFailedError:
        crash = self._kernel.last_words()
        return self._failure(index, "died", {"ename": "KernelDied", "evalue": how, "traceback": crash.splitlines()})

    def _failure(self, index: int, kind: FailureKind, reply: dict[str, Any]) -> CellFailedError:
        traceback = plain("\n".join(without_own_frames(reply.get("traceback", ()))))
        name = plain(str(reply.get("ename", reply.get("status", ""))))
        if name == "NoneType" and (raised := _RAISED.search(traceback)):  # an error while something was displayed
            reply = {**reply, "evalue": raised[2]}
            name = raised[1]
        text = _NO_INPUT if name == "StdinNotImplementedError" else plain(str(reply.get("evalue", "")))
        line = failing_line(traceback, self._cells[index].execution_count, crashed=kind == "died")
        if line is not None:
            # IPython counts from the first line that is not blank.
            line += self._source[: -len(self._source.lstrip())].count("\n")
        results = [cell.result() for cell in self._cells]
        return CellFailedError(index, kind, name, text, traceback, line, results)


def _is_sign_of_life(message: dict[str, Any]) -> bool:
    """Whether an iopub message shows that the subscription works: the welcome, or the end of our request."""
    return bool(message["msg_type"] == "iopub_welcome") or bool(
        message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
        and message["parent_header"].get("msg_type") == "kernel_info_request"
    )


def failing_line(traceback: str, execution_count: int | None, *, crashed: bool) -> int | None:
    """The 1-based line of the failing cell that *traceback* ends in (or, of a crash report, begins with)."""
    lines = [
        int(line or crash_line)
        for count, line, crash_line in _CELL_LINE.findall(traceback)
        if crash_line or execution_count is None or int(count) == execution_count
    ]
    if not lines:
        return None
    return lines[0] if crashed else lines[-1]


def describe_exit(status: int, *, memory: bool) -> str:
    """How a kernel ended (negative *status*: by that signal); *memory*: the system has killed for want of it."""
    if status >= 0:
        return f"the kernel exited with code {status}"
    name = str(-status)
    with contextlib.suppress(ValueError):
        name = signal.Signals(-status).name
    hint = ", probably because memory ran out" if memory and -status == system.KILL else ""
    bound = " (docker.memory is the limit)" if hint and own_container_id() else ""
    return f"the kernel was killed by {name}{hint}{bound}"
