"""The calls of the Open Inference Protocol, version 2, on a controller."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from time import time_ns
from typing import Any

from clx import __version__
from clx.db.serving.models import NAME, VERSION
from clx.exposition import MEDIA
from clx.serving.aside import Aside, is_large, is_much
from clx.serving.catalogue import Catalogue
from clx.serving.cold import Cold
from clx.serving.controller import Controller
from clx.serving.failures import Refusal
from clx.serving.figures import Watch
from clx.serving.messages import Answer, Reply, Request, Withdraw
from clx.serving.metrics import metrics
from clx.serving.phases import Phases
from clx.serving.protocol import Inference, answer, inference, parsed
from clx.serving.served import Served
from clx.serving.shelf import Shelf
from clx.serving.tasks import Tasks
from clx.serving.tensors import Tensor
from clx.serving.trial import tried

ASIDE = 64 << 10
"""Bytes of a call to load from which on a thread reads it."""
MOST_ASKED = 1024
"""Paths to inference that are not taken apart anew."""
EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "schedule_policy", "statistics"]


class Api:
    """Requests of HTTP to a controller and back.

    Args:
        controller: what runs models.
        catalogue: which are served.
        shelf: where models lie.
        phases: in which phase the server is; None: it has none.
        statuses: answers by status, for ``/metrics``.
    """

    def __init__(
        self,
        controller: Controller,
        catalogue: Catalogue,
        shelf: Shelf,
        phases: Phases | None = None,
        statuses: Mapping[int, int] | None = None,
    ) -> None:
        self.watch = Watch(controller, catalogue)
        self._statuses = statuses if statuses is not None else {}
        self.phases = phases
        self._controller = controller
        self._catalogue = catalogue
        self._shelf = shelf
        self._cold = Cold(controller, catalogue)
        self._aside = Aside()
        self._trying = asyncio.Lock()
        self._tasks = Tasks()
        self._asked: dict[str, str] = {}  # by path: whose inference it asks for
        self.draining = False

    def handle(self, request: Request, reply: Reply) -> Withdraw | None:
        """Answer a request, now or later. Returns what to call if the client is gone before.

        Raises:
            Refusal: what it is answered with.
        """
        name = self._asked.get(request.path)
        if name is not None and request.method == "POST":
            known = self._catalogue.get(name)
            if known is not None:
                return self._infer(known, request, reply)
        parts = request.path.split("/")
        if parts[:3] == ["", "v2", "models"] and len(parts) > 3 and parts[3] != "stats":
            return self._model(request, parts, reply)
        self._of_server(request, parts, reply)
        return None

    def _of_server(self, request: Request, parts: list[str], reply: Reply) -> None:
        path = request.path.rstrip("/")
        if path == "/v2/health/live":
            _require(request, "GET")
            reply(Answer(200))
        elif path == "/v2/health/ready":
            _require(request, "GET")
            reply(Answer(200 if self._controller.links and not self.draining else 503))
        elif path == "/v2":
            _require(request, "GET")
            said = {} if self.phases is None else {"phase": self.phases.phase}
            reply(Answer.of({"name": "clx", "version": __version__, "extensions": EXTENSIONS, **said}))
        elif path == "/v2/models/stats":
            _require(request, "GET")
            reply(Answer.of({"model_stats": [self._statistics(each) for each in self._catalogue]}))
        elif path == "/metrics":
            _require(request, "GET")
            self._tasks.begin(self._metrics(reply))
        elif path == "/v2/repository/index":
            _require(request, "POST")
            reply(Answer.of(self._index(request)))
        elif path.startswith("/v2/repository/models/"):
            self._repository(request, parts, reply)
        else:
            raise _no_such_path(request)

    # -- a model --------------------------------------------------------------------------------------

    def _model(self, request: Request, parts: list[str], reply: Reply) -> Withdraw | None:
        served, rest = self._served(parts)
        if rest == ["infer"]:
            _require(request, "POST")
            if parts[4:] == rest:  # no version was asked for
                if len(self._asked) >= MOST_ASKED:
                    self._asked.clear()
                self._asked[request.path] = served.name
            return self._infer(served, request, reply)
        _require(request, "GET")
        if rest == ["ready"]:
            ready = served.state == "ready" and not self.draining
            reply(Answer(200) if ready else Answer.to(_not_ready(served)))
        elif rest == ["stats"]:
            reply(Answer.of({"model_stats": [self._statistics(served)]}))
        elif rest in ([], ["config"]):
            if not served.outputs:
                raise _not_ready(served)
            reply(Answer.of(_config(served) if rest else served.metadata()))
        else:
            raise _no_such_path(request)
        return None

    def _served(self, parts: list[str]) -> tuple[Served, list[str]]:
        """The model that a path names, and what stands behind it."""
        name, rest = parts[3], parts[4:]
        served = self._catalogue.get(name)
        if served is None:
            raise Refusal("unknown", f"there is no model {name[:128]}")
        if rest[:1] == ["versions"] and len(rest) > 1:
            if rest[1] not in ("", served.version):
                raise Refusal("unknown", f"model {name} is served in version {served.version}, not {rest[1][:32]}")
            rest = rest[2:]
        return served, [each for each in rest if each]

    def _infer(self, served: Served, request: Request, reply: Reply) -> Withdraw | None:
        try:
            return self._ask(served, request, reply)
        except Refusal as refusal:
            served.numbers.answered_without(refusal.code)
            raise

    def _ask(self, served: Served, request: Request, reply: Reply) -> Withdraw | None:
        if self.draining:
            raise Refusal("not_ready", "the server is about to end")
        if self.phases is not None:
            self.phases.require_infer()
        said = request.headers.get(b"inference-header-content-length")
        if said is not None and not (said.isdigit() and len(said) < 19):
            raise Refusal("malformed", "Inference-Header-Content-Length is no number")
        header = None if said is None else int(said)
        if is_large(request.body, header):
            return self._infer_large(served, request, header, reply)
        return self._run(served, inference(request.body, header), request.arrived, reply)

    def _infer_large(self, served: Served, request: Request, header: int | None, reply: Reply) -> Withdraw:
        """A request whose JSON would hold up everybody else while it is read."""
        is_gone = False
        leave: Withdraw | None = None

        async def read() -> None:
            nonlocal leave
            try:
                asked = await self._aside.read(request.body, header)
                request.body = b""
                if not is_gone:
                    leave = self._run(served, asked, request.arrived, reply)
            except Refusal as refusal:
                served.numbers.answered_without(refusal.code)
                reply(Answer.to(refusal))

        def withdraw() -> None:
            nonlocal is_gone
            is_gone = True
            if leave is not None:
                leave()

        self._tasks.begin(read())
        return withdraw

    def _run(self, served: Served, asked: Inference, arrived: int, reply: Reply) -> Withdraw | None:
        def result(found: Sequence[Tensor] | Refusal) -> None:
            if isinstance(found, Refusal):
                refuse(found)
            elif is_much(asked, found):
                found = [replace(each, data=bytes(each.data)) for each in found]  # it lives no longer than this call
                self._tasks.begin(self._write_much(served, asked, found, reply))
            else:
                try:
                    reply(_answer(*answer(asked, served.name, served.version, found)))
                except Refusal as refusal:
                    refuse(refusal)

        def refuse(refusal: Refusal) -> None:
            served.numbers.answered_without(refusal.code)
            reply(Answer.to(refusal))

        if served.state != "ready" and self._cold.holds(served):
            return self._cold.ask(served, asked, arrived, result)
        return self._controller.infer(served, asked, arrived, result)

    async def _write_much(self, served: Served, asked: Inference, found: Sequence[Tensor], reply: Reply) -> None:
        try:
            reply(_answer(*await self._aside.write(asked, served.name, served.version, found)))
        except Refusal as refusal:
            served.numbers.answered_without(refusal.code)
            reply(Answer.to(refusal))

    def close(self) -> None:
        """Nothing is asked any more."""
        self._aside.end()

    async def _metrics(self, reply: Reply) -> None:
        log = self._controller.log
        lost = 0 if log is None else log.lost
        text = await metrics(self.watch, self._statuses, lost, time_ns() // 1_000_000)
        reply(Answer(200, (text.encode(),), type=MEDIA.encode()))

    def _statistics(self, served: Served) -> dict[str, Any]:
        recent = self.watch.of(served, time_ns() // 1_000_000)
        return {
            **_statistics(served),
            "refused_by": dict(served.numbers.causes),
            **dict(zip(("p50_ns", "p99_ns", "p999_ns"), recent.percentiles(), strict=True)),
            "memory": [{"worker": each[0], "address": each[1], "bytes": each[2]} for each in self.watch.held(served)],
        }

    # -- the repository -------------------------------------------------------------------------------

    def _index(self, request: Request) -> list[dict[str, str]]:
        said = parsed(request.body) if request.body else {}
        only_ready = isinstance(said, dict) and said.get("ready") is True
        return [
            {
                "name": each.name,
                "version": each.version,
                "state": "READY" if each.state == "ready" else "UNAVAILABLE",
                "reason": each.reason or ("" if each.state == "ready" else each.state),
            }
            for each in self._catalogue
            if each.state == "ready" or not only_ready
        ]

    def _repository(self, request: Request, parts: list[str], reply: Reply) -> None:
        """Load, unload, upload: ``POST …/models/M/load``, ``POST …/models/M/unload``, ``PUT …/models/M/versions/V``."""
        name, rest = parts[4], parts[5:]
        if not NAME.fullmatch(name):
            raise Refusal("malformed", "the name of a model is made of A-Z a-z 0-9 . _ -, 128 of them at most")
        if rest == ["load"]:
            _require(request, "POST")
            self._later(self._load(name, request.body), reply)
        elif rest == ["unload"]:
            _require(request, "POST")
            self._later(self._unload(name), reply)
        elif len(rest) == 2 and rest[0] == "versions":
            _require(request, "PUT")
            if not VERSION.fullmatch(rest[1]):
                raise Refusal("malformed", "a version is a whole number, 18 digits at most")
            self._later(self._upload(name, rest[1], request.body), reply)
        else:
            raise _no_such_path(request)

    async def _load(self, name: str, body: bytes) -> None:
        said: Any = {}
        if body:  # a large one would hold up everybody else
            said = parsed(body) if len(body) < ASIDE else await asyncio.to_thread(parsed, body)
        if not isinstance(said, dict) or not isinstance(said.get("parameters", {}), dict):
            raise Refusal("malformed", "the body is no object with parameters")
        parameters = said.get("parameters", {})
        is_sent = any(each.startswith("file:") for each in parameters)
        await self._put(name, self._shelf.wanted(name, parameters), is_sent=is_sent)

    async def _upload(self, name: str, version: str, body: bytes) -> None:
        await self._put(name, self._shelf.uploaded(name, version, body), is_sent=True)

    async def _put(self, name: str, asked: Coroutine[Any, Any, Served], *, is_sent: bool) -> None:
        async with self._catalogue.changing(name):
            model = await asked
            if is_sent and any(each.state == "ready" for each in self._catalogue):
                async with self._trying:  # not at the cost of those
                    await tried(model)
            await self._catalogue.put(model)
            await self._shelf.loaded(model)

    async def _unload(self, name: str) -> None:
        if self._catalogue.get(name) is None:
            raise Refusal("unknown", f"there is no model {name}")
        async with self._catalogue.changing(name):
            await self._shelf.unwanted(name)
            self._catalogue.drop(name)

    def _later(self, doing: Coroutine[Any, Any, None], reply: Reply) -> None:
        async def do() -> None:
            try:
                await doing
            except Refusal as refusal:
                reply(Answer.to(refusal))
            else:
                reply(Answer(200))
            finally:
                if phases is not None:
                    phases.end_load()

        phases = self.phases
        if phases is not None:
            try:
                phases.begin_load()
            except Refusal:
                doing.close()
                raise

        self._tasks.begin(do())


def _answer(size: int | None, body: Sequence[bytes | memoryview]) -> Answer:
    """What a request was answered with; *size*: of the JSON before tensors."""
    if size is None:
        return Answer(200, body)
    return Answer(200, body, b"inference-header-content-length: %d\r\n" % size, b"application/octet-stream")


def _no_such_path(request: Request) -> Refusal:
    return Refusal("unknown", f"there is no {request.path[:200]} here")


def _require(request: Request, method: str) -> None:
    if request.method != method and (method, request.method) != ("GET", "HEAD"):
        allow = "GET, HEAD" if method == "GET" else method
        raise Refusal("method", f"{request.path[:200]} is asked with {method}", allow=allow)


def _not_ready(served: Served) -> Refusal:
    return Refusal("not_ready", f"model {served.name} is not ready: {served.reason or served.state}")


def _config(served: Served) -> dict[str, Any]:
    """As Triton tells it: where a model takes batches, dimensions are those of a row."""
    said = served.metadata()
    row = 1 if served.batches else 0

    def tensors(those: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"name": e["name"], "data_type": _type(e["datatype"]), "dims": e["shape"][row:]} for e in those]

    return {
        "name": served.name,
        "platform": said["platform"],
        "backend": "onnxruntime",
        "max_batch_size": served.most_rows if served.batches else 0,
        "input": tensors(said["inputs"]),
        "output": tensors(said["outputs"]),
    }


def _type(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


def _statistics(served: Served) -> dict[str, Any]:
    numbers, nothing = served.numbers, {"count": 0, "ns": 0}
    answered = numbers.success.count + numbers.missed
    return {
        "name": served.name,
        "version": served.version,
        "last_inference": numbers.last,
        "inference_count": numbers.rows,
        "execution_count": numbers.runs,
        "inference_stats": {
            "success": numbers.success.document(),
            "fail": numbers.fail.document(),
            "queue": numbers.queue.document(),
            "compute_input": nothing,
            "compute_infer": numbers.infer.document(),
            "compute_output": nothing,
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": nothing,
                "compute_infer": runs.document(),
                "compute_output": nothing,
            }
            for rows, runs in sorted(numbers.batches.items())
        ],
        "offered": numbers.offered,
        "refused": numbers.refused,
        "missed": numbers.missed,
        "withdrawn": numbers.withdrawn,
        "state": served.state,
        "bytes_in_memory": served.memory if served.state == "ready" else 0,
        "kept_rate": numbers.success.count / answered if answered else 1.0,
    }
