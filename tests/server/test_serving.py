"""The command: where it listens, what it says once, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from clx.db.jobs import Queue
from clx.db.tokens import TokenTable

CLX = [sys.executable, "-m", "clx", "server"]


class Command:
    """A running ``clx server``; ``said`` is what it has said up to the line that tells how one gets in."""

    def __init__(self, database: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [*CLX, "--db-path", str(database), "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.PIPE, text=True, cwd=database.parent,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline() + self.process.stdout.readline()
        found = re.search(r"(https?)://([\w.\[\]:]+):(\d+)", self.said)
        assert found is not None, self.said + self.process.communicate(timeout=60)[1]
        self.url = found[0]

    def get(self, path: str, token: str = "", **more: Any) -> urllib3.BaseHTTPResponse:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with urllib3.PoolManager(**more) as pool:
            return pool.request("GET", self.url + path, headers=headers, timeout=60, redirect=False)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=60)
        return self.process.returncode, told


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts servers of one database."""
    started: list[Command] = []

    def one(*options: str) -> Command:
        started.append(Command(tmp_path / "jobs.db", *options))
        return started[-1]

    yield one
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)


def test_the_first_start_makes_a_token_and_shows_it_once(start: Any, tmp_path: Path) -> None:
    first = start()
    assert f"pid {first.process.pid}" in first.said
    (token,) = re.findall(r"\?token=(clx_\S+)", first.said)
    file = tmp_path / ".clx" / "server-token"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() == token
    assert first.get("/version", token).status == 200
    assert first.get("/version").status == 401
    assert first.get("/healthz").status == 200
    assert first.get(f"/?token={token}").status == 303
    assert first.end() == (0, "")
    second = start()
    assert token not in second.said
    assert "server-token" in second.said
    assert second.get("/version", token).status == 200
    assert second.end(signal.SIGINT) == (0, "")
    file.unlink()
    third = start()
    assert "clx server token add NAME" in third.said
    assert third.get("/version", token).status == 200
    assert third.end(signal.SIGINT) == (0, "")


def test_a_first_token_that_was_revoked_is_made_anew(start: Any, tmp_path: Path) -> None:
    old = start()
    old.end()
    with Queue.open(tmp_path / "jobs.db") as queue:
        assert TokenTable(queue.database).revoke("first") == 1
    assert "?token=" in start().said


def test_a_service_says_no_token_and_ends_with_who_started_it(start: Any) -> None:
    server = start("--service")
    assert "?token=" not in server.said
    server.process.stdin.close()
    assert server.process.wait(timeout=60) == 0
    server.process.stdout.close()
    server.process.stderr.close()


def test_streams_and_waits_do_not_hold_up_the_end(start: Any, tmp_path: Path) -> None:
    server = start("--no-token")
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60) as watching:
        watching.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"text/event-stream" in watching.recv(65536)
        assert server.end() == (0, "")


def test_a_port_that_is_taken_is_told(start: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [*CLX, "--db-path", str(tmp_path / "jobs.db"), "--port", port], capture_output=True, text=True
        )
    assert ended.returncode == 3
    assert f"Port {port} of 127.0.0.1 is taken" in ended.stderr
    assert "--port" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "everybody on the way"),
        (["--host", "0.0.0.0", "--no-token"], "only this machine"),
        (["--host", "no.such.host.invalid", "--behind-proxy"], "no address"),
        (["--ssl-keyfile", "x"], "A key alone"),
        (["--ssl-certfile", "missing.pem"], "cannot be used"),
    ],
)
def test_what_cannot_be_is_refused_with_words(tmp_path: Path, options: list[str], says: str) -> None:
    ended = subprocess.run(
        [*CLX, "--db-path", str(tmp_path / "jobs.db"), "--port", "0", *options], capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_speaks_tls(start: Any, tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key.pem"), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    server = start("--host", "0.0.0.0", "--ssl-certfile", str(certificate), "--ssl-keyfile", str(tmp_path / "key.pem"))
    assert "Nobody has a token yet" in server.said
    server.url = server.url.replace("0.0.0.0", "127.0.0.1")
    trusted = ssl.create_default_context(cafile=certificate)
    assert server.get("/healthz", ssl_context=trusted).status == 200
    assert server.get("/version", ssl_context=trusted).status == 401


def test_tokens_are_made_listed_and_revoked(tmp_path: Path) -> None:
    def token(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*CLX, "token", *words, "--db-path", str(tmp_path / "jobs.db")]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    made = token("add", "ci", "--role", "work", "--expires", "30d")
    assert made.stdout.startswith("clx_")
    assert "not shown again" in made.stderr
    assert token("add", "ci", "--role", "work").returncode == 2
    assert token("add", "x", "--role", "work", "--expires", "soon").returncode == 2
    (listed,) = json.loads(token("list", "--format", "json").stdout)["tokens"]
    assert (listed["name"], listed["role"], listed["state"], listed["used_at"]) == ("ci", "work", "valid", None)
    assert listed["expires_at"] - listed["created_at"] == pytest.approx(30 * 86400, abs=60)
    assert made.stdout.strip() not in token("list").stdout
    assert token("revoke", "ci").returncode == 0
    assert token("revoke", "ci").returncode == 2
    assert "revoked" in token("list").stdout


def test_without_its_packages_it_says_what_to_install(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['uvicorn'] = None; import clx.__main__; clx.__main__.main()"
    ended = subprocess.run(
        [sys.executable, "-c", hidden, "server", "--db-path", str(tmp_path / "jobs.db")], capture_output=True, text=True
    )
    assert ended.returncode == 3
    assert "clx-build[server]" in ended.stderr


def test_nothing_of_it_is_imported_for_other_commands(tmp_path: Path) -> None:
    heavy = "{'uvicorn', 'starlette', 'jinja2', 'urllib3'}"
    look = f"import sys, atexit; atexit.register(lambda: print({{*sys.modules}} & {heavy}))"
    code = f"{look}\nimport clx.__main__; clx.__main__.main()"
    for words in (["--help"], ["jobs", "list"], ["server", "--help"], ["server", "token", "list"]):
        ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path)
        assert ended.stdout.splitlines()[-1] == "set()", ended.stderr


def test_killed_it_leaves_the_table_whole_and_its_port_free(start: Any, tmp_path: Path) -> None:
    server = start("--no-token")
    port = int(server.url.rpartition(":")[2])
    stored = []
    with urllib3.PoolManager() as pool:
        for n in range(30):
            answer = pool.request("POST", f"{server.url}/api/v1/jobs", json={"type": "t", "payload": {"n": n}})
            stored.append(json.loads(answer.data)["id"])
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.communicate(timeout=60)
    with Queue.open(tmp_path / "jobs.db") as queue:
        assert [job.id for job in queue.get_many(stored)] == stored
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
