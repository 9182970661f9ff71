"""A registry on this machine with one image in it: enough of the protocol for an engine to pull it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import platform
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = "clx/notebook"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _image(labels: dict[str, str]) -> tuple[bytes, dict[str, bytes]]:
    """The manifest of an image of one empty layer, and what it names by digest."""
    layer = io.BytesIO()
    tarfile.open(fileobj=layer, mode="w").close()
    packed = gzip.compress(layer.getvalue())
    config = json.dumps(
        {
            "architecture": _MACHINES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
        }
    ).encode()

    def named(kind: str, data: bytes) -> dict[str, object]:
        return {"mediaType": f"application/vnd.docker.{kind}", "size": len(data), "digest": _digest(data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": named("container.image.v1+json", config),
        "layers": [named("image.rootfs.diff.tar.gzip", packed)],
    }
    return json.dumps(manifest).encode(), {_digest(each): each for each in (config, packed)}


@contextlib.contextmanager
def registry(labels: dict[str, str]) -> Iterator[str]:
    """Serve an image with *labels*; gives the name to pull it by."""
    manifest, blobs = _image(labels)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            last = self.path.rsplit("/", 1)[-1]
            if self.path == "/v2/":
                self._answer(b"{}", "application/json")
            elif "/manifests/" in self.path:
                self._answer(manifest, _MANIFEST)
            elif last in blobs:
                self._answer(blobs[last], "application/octet-stream")
            else:
                self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", _digest(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class calls it so)
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}/{NAME}:1"
        finally:
            server.shutdown()
            thread.join()
