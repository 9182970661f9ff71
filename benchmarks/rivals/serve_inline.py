"""The floor: a bare protocol on uvloop. ``serve_inline PORT MODEL inline|process|starlette``.

``inline`` runs the model in the callback itself, so that nothing else is answered meanwhile; ``process`` hands it to a
process of its own by a socket pair, with nothing of what a server does besides: one request, one frame, one run.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from typing import Any

import httptools
import numpy as np
import orjson  # type: ignore[import-not-found]  # of the environment it runs in
import uvloop

from benchmarks.rivals.sessions import session


def answered(y: Any) -> bytes:
    body = orjson.dumps(
        {
            "model_name": "mlp",
            "outputs": [
                {"name": "y", "datatype": "FP32", "shape": list(y.shape), "data": y.reshape(-1)},
            ],
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def asked(body: bytes) -> Any:
    given = orjson.loads(body)["inputs"][0]
    return np.array(given["data"], np.float32).reshape(given["shape"])


class Bare(asyncio.Protocol):
    def __init__(self, run: Any) -> None:
        self._run, self._parser, self._body = run, httptools.HttpRequestParser(self), b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._run(asked(self._body), self.transport)


class Hop(asyncio.Protocol):
    """The end of a socket pair behind which another process runs the model."""

    def __init__(self) -> None:
        self._waiting: list[Any] = []
        self._have = b""

    def connection_made(self, transport: Any) -> None:
        self._link = transport

    def run(self, x: Any, transport: Any) -> None:
        self._waiting.append(transport)
        self._link.write(struct.pack("<II", *x.shape) + x.tobytes())

    def data_received(self, data: bytes) -> None:
        self._have += data
        while len(self._have) >= 40:
            y, self._have = np.frombuffer(self._have[:40], np.float32).reshape(1, 10), self._have[40:]
            self._waiting.pop(0).write(answered(y))


def work(link: socket.socket, path: str) -> None:
    model, room = session(path), memoryview(bytearray(1 << 16))
    have = 0
    while got := link.recv_into(room[have:]):
        have, at = have + got, 0
        while have - at >= 8:
            rows, width = struct.unpack_from("<II", room, at)
            end = at + 8 + rows * width * 4
            if end > have:
                break
            x = np.frombuffer(room[at + 8 : end], np.float32).reshape(rows, width)
            link.sendall(model.run(["y"], {"x": x})[0].tobytes())
            at = end
        room[: have - at] = bytes(room[at:have])
        have -= at


async def serve(port: int, path: str, how: str) -> None:
    loop = asyncio.get_running_loop()
    if how == "inline":
        model = session(path)

        def run(x: Any, transport: Any) -> None:
            transport.write(answered(model.run(["y"], {"x": x})[0]))

    else:
        ours, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", __spec__.name, str(theirs.fileno()), path, "work", pass_fds=[theirs.fileno()]
        )
        theirs.close()
        _, hop = await loop.create_connection(Hop, sock=ours)
        run = hop.run
    server = await loop.create_server(lambda: Bare(run), "127.0.0.1", port)
    await server.serve_forever()


def starlette(port: int, path: str) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    model = session(path)

    async def infer(request: Request) -> Response:
        y = model.run(["y"], {"x": asked(await request.body())})[0]
        body = orjson.dumps(
            {"outputs": [{"name": "y", "shape": y.shape, "data": y.reshape(-1)}]}, option=orjson.OPT_SERIALIZE_NUMPY
        )
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/v2/models/mlp/infer", infer, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", loop="uvloop", http="httptools")


def main() -> None:
    """Serve."""
    place, path, how = sys.argv[1:]
    if how == "starlette":
        starlette(int(place), path)
    elif how == "work":
        with socket.socket(fileno=int(place)) as link:
            work(link, path)
    else:
        uvloop.run(serve(int(place), path, how))


if __name__ == "__main__":
    main()
