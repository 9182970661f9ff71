"""Nobody calls without a token, from another site or by another name; a role may what it may and no more."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send
from tests.server.conftest import BASE, Served

from clx.db.jobs import Queue
from clx.db.tokens import Token, TokenTable
from clx.errors import UsageError
from clx.server import access
from clx.server.access import CSRF_HEADER, csrf_of
from clx.server.api.interface import OPERATIONS
from clx.server.mounts import Mount
from clx.server.place import Place

_ALL = ["/", "/page.js", "/version", "/metrics", "/api/v1/openapi.json", "/api/v1/events", "/nothing", "/healthz/x",
        *(f"/api/v1{each.path}".replace("{id}", "1") for each in OPERATIONS)]  # fmt: skip


@pytest.mark.parametrize("path", _ALL)
def test_no_call_is_answered_without_a_token(served: Served, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
        answer = served.call(method, path, role=None)
        assert answer.status_code == 401, method
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert method == "HEAD" or set(answer.json()) == {"error", "next_step"}


def test_whether_it_lives_is_told_to_everybody(served: Served) -> None:
    assert served.get("/healthz", role=None).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer clx_x", "Basic !", "Basic eDp4", "Digest x", "\xff", "x"]
)
def test_no_other_token_is_taken(served: Served, value: str) -> None:
    assert served.get("/version", headers={"authorization": value.encode("latin-1")}, role=None).status_code == 401


def test_a_token_is_taken_as_bearer_and_as_password(served: Served) -> None:
    secret = served.secrets["read"]
    basic = base64.b64encode(f"whoever:{secret}".encode()).decode()
    for value in (f"Bearer {secret}", f"bearer {secret}", f"Basic {basic}"):
        assert served.get("/version", headers={"authorization": value}, role=None).status_code == 200


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_operation_refuses_the_roles_below_its_own(served: Served, operation: object) -> None:
    needed, roles = operation.role, ["read", "work", "admin"]  # type: ignore[attr-defined]
    path = f"/api/v1{operation.path}".replace("{id}", "1")  # type: ignore[attr-defined]
    for role in roles:
        status = served.call(operation.method, path, role=role).status_code  # type: ignore[attr-defined]
        assert (status == 403) == (roles.index(role) < roles.index(needed)), role


def test_a_mount_says_which_role_each_method_needs(serve: Callable[..., Served]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope["root_path"])
        body = f"{path} {scope['user'].role} {len((await receive())['body'])}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    served = serve(mounts=[Mount("/cas", app, role="work", roles={"GET": "read"}, largest=10)])
    assert served.get("/cas/x", role="read").text == "/x read 0"
    assert served.call("PUT", "/cas/x", role="read").status_code == 403
    assert served.call("PUT", "/cas/x", role="work", content=b"12345").text == "/x work 5"
    assert served.call("PUT", "/cas/x", role="work", content=b"12345678901").status_code == 413
    assert served.get("/casino", role="read").status_code == 404
    assert served.get("/cas/x", role=None).status_code == 401


def test_a_token_that_was_made_or_revoked_is_heeded_soon(
    served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FRESH", 0.0)
    late = TokenTable(queue.database).add("late", "read")
    assert served.get("/version", headers={"authorization": f"Bearer {late}"}).status_code == 200
    TokenTable(queue.database).revoke("late")
    assert served.get("/version", headers={"authorization": f"Bearer {late}"}).status_code == 401


def test_tokens_are_not_read_anew_for_each_call(served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "FRESH", 3600.0)
    reads = []
    usual = TokenTable.valid

    def counted(self: TokenTable) -> tuple[Token, ...]:
        reads.append(1)
        return usual(self)

    monkeypatch.setattr(TokenTable, "valid", counted)
    for _ in range(20):
        assert served.get("/version").status_code == 200
        assert served.get("/version", headers={"authorization": "Bearer guess"}).status_code == 401
    assert len(reads) == 1


def test_who_cannot_be_known_because_the_table_is_locked_is_told_so(
    served: Served, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_LONG_PATIENCE", 0.05)
    monkeypatch.setattr(access, "_PATIENCE", 0.01)
    gate = threading.Event()
    usual = TokenTable.valid

    def held_up(self: TokenTable) -> tuple[Token, ...]:
        gate.wait()
        return usual(self)

    monkeypatch.setattr(TokenTable, "valid", held_up)
    assert served.get("/version").status_code == 503
    gate.set()
    monkeypatch.setattr(access, "_LONG_PATIENCE", 60.0)
    assert served.get("/version").status_code == 200


def test_that_a_token_was_used_is_noted(served: Served, queue: Queue) -> None:
    used: dict[str, int | None] = {"a read": None}
    for _ in range(1000):  # it is noted behind the caller's back
        assert served.get("/version", role="read").status_code == 200
        used = {each.name: each.used_at for each in TokenTable(queue.database).list()}
        if used["a read"] is not None:
            break
    assert used["a read"] is not None
    assert used["a admin"] is None


# -- browsers -----------------------------------------------------------------------------------------


def cookie_of(served: Served, role: str) -> dict[str, str]:
    answer = served.get(f"/?token={served.secrets[role]}", role=None)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    told = answer.headers["set-cookie"]
    assert "HttpOnly" in told
    assert "samesite=strict" in told.lower()
    return {"cookie": told.partition(";")[0]}


def test_the_address_that_is_printed_leaves_a_cookie_that_no_script_reads(served: Served) -> None:
    cookie = cookie_of(served, "admin")
    served.client.cookies.clear()
    page = served.get("/", role=None, headers=cookie)
    assert page.status_code == 200
    assert served.secrets["admin"] not in page.text
    assert served.get(f"/?token={served.secrets['admin']}", role=None, headers=cookie).headers["location"] == "/"


def test_a_change_from_the_page_says_what_only_the_page_knows(served: Served) -> None:
    cookie = cookie_of(served, "admin")
    served.client.cookies.clear()
    page = served.get("/", role=None, headers=cookie).text
    known = re.search(r'name="csrf-token" content="(\w+)"', page)
    assert known is not None
    job = {"type": "t"}
    assert served.post("/api/v1/jobs", job, role=None, headers=cookie).status_code == 403
    assert served.post("/api/v1/jobs", job, role=None, headers={**cookie, CSRF_HEADER: "x"}).status_code == 403
    other = csrf_of(served.secrets["read"])
    assert served.post("/api/v1/jobs", job, role=None, headers={**cookie, CSRF_HEADER: other}).status_code == 403
    assert served.post("/api/v1/jobs", job, role=None, headers={**cookie, CSRF_HEADER: known[1]}).status_code == 201
    assert served.get("/api/v1/jobs", role=None, headers=cookie).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("tokens", [True, False])
def test_what_another_site_sends_is_refused(
    serve: Callable[..., Served], headers: dict[str, str], tokens: bool, queue: Queue
) -> None:
    served = serve(Place(tokens=tokens))
    for method in ("GET", "POST"):
        assert served.call(method, "/api/v1/jobs", json={"type": "t"}, headers=headers).status_code == 403
    assert queue.search() == []


def test_the_page_itself_may_call_and_be_visited(serve: Callable[..., Served]) -> None:
    served = serve(Place(tokens=False))
    for headers in (
        {"origin": BASE, "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ):
        assert served.get("/", role=None, headers=headers).status_code == 200
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert served.post("/api/v1/jobs", {"type": "t"}, role=None, headers=visit).status_code == 403


@pytest.mark.parametrize("tokens", [True, False])
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8004", "127.0.0.1.evil.example", "", "[::2]", "127.0.0.2"]
)
def test_by_another_name_it_is_not_called(serve: Callable[..., Served], host: str, tokens: bool) -> None:
    served = serve(Place(tokens=tokens))
    assert served.get("/", headers={"host": host}).status_code == 403
    for mine in ("localhost", "localhost:1", "127.0.0.1:8004", "[::1]:8004"):
        assert served.get("/", headers={"host": mine}).status_code == 200


def test_behind_a_proxy_its_name_counts(serve: Callable[..., Served]) -> None:
    served = serve(Place("0.0.0.0", behind_proxy=True))
    told = {"x-forwarded-host": "clx.example", "host": "inner:8004"}
    assert served.get("/", headers={**told, "origin": "https://clx.example"}).status_code == 200
    assert served.get("/", headers={**told, "origin": "https://evil.example"}).status_code == 403


def test_headers_that_could_be_read_in_two_ways_are_refused(served: Served) -> None:
    twice = [("authorization", f"Bearer {served.secrets['read']}"), ("authorization", "Bearer x")]
    answer = served.run(served.client.get("/version", headers=twice))
    assert answer.status_code == 400


def test_without_tokens_whoever_is_here_may_do_everything(serve: Callable[..., Served]) -> None:
    served = serve(Place(tokens=False))
    assert served.post("/api/v1/jobs", {"type": "t"}, role=None).status_code == 201
    assert served.post("/api/v1/jobs/cancel", {"ids": [1]}, role=None).json() == {"ids": [1]}


# -- where it may listen ------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_elsewhere_it_speaks_tls_or_a_proxy_does(host: str, tmp_path: object) -> None:
    with pytest.raises(UsageError, match="everybody on the way"):
        Place(host)
    with pytest.raises(UsageError, match="only this machine"):
        Place(host, tokens=False)
    with pytest.raises(UsageError, match="only this machine"):
        Place(tokens=False, behind_proxy=True)
    assert not Place(host, behind_proxy=True).is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_this_machine_needs_none_of_it(host: str) -> None:
    assert Place(host, tokens=False).is_loopback
