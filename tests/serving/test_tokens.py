"""Who may ask a server that others reach: what each role lets, by tokens alone and over the wire."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tritonclient.http as client_of
from tests.serving.test_memory import ask
from tests.support.model_servers import Serve
from tests.support.scene import until
from tritonclient.utils import InferenceServerException

from clx.db.jobs import Queue
from clx.db.tokens import ROLES, Token, TokenTable, digest_of, may
from clx.serving.failures import Refusal
from clx.serving.tokens import Book

CALLS = {
    ("GET", "/v2/health/live"): None,
    ("GET", "/v2/health/ready/"): None,
    ("POST", "/v2/health/live"): "work",
    ("GET", "/v2"): "read",
    ("GET", "/v2/models/m/ready"): "read",
    ("HEAD", "/metrics"): "read",
    ("POST", "/v2/repository/index"): "read",
    ("POST", "/v2/models/m/infer"): "work",
    ("POST", "/v2/models/m//infer"): "work",
    ("PATCH", "/v2"): "work",
    ("POST", "/v2/repository/models/m/load"): "admin",
    ("PUT", "/v2/repository/models/m/versions/1"): "admin",
    ("GET", "/v2/repository/models/m/load"): "admin",
}


def token(role: str, **more: Any) -> Token:
    fields = {"created_at": 0, "used_at": None, "expires_at": None, "revoked_at": None, "digest": digest_of(role)}
    return Token(id=1, name=role, role=role, **{**fields, **more})


def shown(text: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {text}".encode()}


@pytest.mark.parametrize("call", CALLS)
def test_each_call_needs_its_role(call: tuple[str, str]) -> None:
    book, needed = Book(map(token, ROLES)), CALLS[call]
    for role in ROLES:
        if needed is None or may(role, needed):
            book.require(*call, shown(role))
        else:
            with pytest.raises(Refusal, match=f"role {needed} is needed") as refused:
                book.require(*call, shown(role))
            assert refused.value.status == 403
    if needed is None:
        book.require(*call, {})
        return
    for headers in ({}, shown("other"), shown(""), {b"authorization": b"Basic admin"}, {b"authorization": b"\xff\xfe"}):
        with pytest.raises(Refusal, match="a token is needed") as refused:
            book.require(*call, headers)
        assert refused.value.status == 401


def test_what_has_expired_or_is_gone_is_taken_no_more_and_use_is_noted() -> None:
    book = Book([token("admin"), token("read", expires_at=1)])
    book.require("GET", "/v2", shown("admin"))
    assert [each.name for each in book.used.values()] == ["admin"]
    with pytest.raises(Refusal, match="a token is needed"):
        book.require("GET", "/v2", shown("read"))
    book.take([])
    with pytest.raises(Refusal, match="a token is needed"):
        book.require("GET", "/v2", shown("admin"))


@pytest.mark.slow
def test_a_server_behind_a_proxy_asks_for_tokens_and_heeds_them_while_it_runs(
    serve: Serve, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Queue.open(tmp_path / "jobs.db") as queue:
        table = TokenTable(queue.database)
        admin = table.add("boss", "admin")
        server = serve("--behind-proxy", "--db-path", str(tmp_path / "jobs.db"))
        mine = {"Authorization": f"Bearer {admin}"}
        with client_of.InferenceServerClient(server.address) as client:
            assert client.is_server_live()
            with pytest.raises(InferenceServerException, match="a token is needed") as refused:
                client.get_server_metadata()
            assert refused.value.status() == "401"
            client.load_model("dense", headers=mine, files={"file:1/model.onnx": model.read_bytes()})
            worker = {"Authorization": f"Bearer {table.add('worker', 'work')}"}
            until(lambda: not refusal(lambda: ask(client, "dense", headers=worker)))  # it is known within a second
            assert "role admin is needed" in refusal(lambda: client.unload_model("dense", headers=worker))
            until(lambda: {each.name: each.used_at for each in table.list()}["boss"])
            table.revoke("worker")
            until(lambda: "a token is needed" in refusal(lambda: ask(client, "dense", headers=worker)))
        (tmp_path / "token").write_text(admin + "\n")
        bench = ("bench", "dense", "--url", f"http://{server.address}", "--rate", "20", "--seconds", "1")
        assert "a token is needed" in clx(*bench, code=3)
        assert "100.00" in clx(*bench, "--token-file", str(tmp_path / "token"))
        monkeypatch.setenv("CLX_TOKEN", admin)
        assert "100.00" in clx(*bench)


def refusal(call: Any) -> str:
    """What a call is refused with; empty: it is not."""
    try:
        call()
    except InferenceServerException as error:
        return str(error)
    return ""


def clx(*words: str, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "clx", "serve", *words], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--host", "0.0.0.0"), "everybody on the way could read"),
        (("--host", "0.0.0.0", "--behind-proxy"), "there is no token"),
        (("--ssl-keyfile", __file__), "A key alone is of no use"),
        (("--ssl-certfile", __file__), "is no certificate with its key"),
    ],
)
def test_a_server_that_others_would_reach_in_the_clear_or_nobody_does_not_start(
    words: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    assert text in clx("--db-path", str(tmp_path / "jobs.db"), "--port", "0", *words, code=2)
