"""The ports that clients call by themselves lead to what they expect there."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.server.conftest import Served

from clx.errors import StartupError, UsageError
from clx.server.place import Place
from clx.server.wire import ports


def call(served: Served, port: int, path: str, method: str = "GET", **more: Any) -> Any:
    return served.call(method, f"http://localhost:{port}{path}", **more)


@pytest.fixture
def opened(serve: Callable[..., Served]) -> Served:
    return serve(Place(tokens=False, workflow_ports=True))


def test_each_port_has_what_clients_expect_there(opened: Served) -> None:
    for port in ports.PORTS:
        assert "version" in call(opened, port, "/version").json()
        assert "version" in call(opened, port, "//version").json()
    assert call(opened, 8000, "/status").json()["total"] == 0
    assert call(opened, 8004, "/status").json()["total"] == 0
    assert call(opened, 8005, "/status").json() == {}
    assert call(opened, 8001, "/v2/version").json() == call(opened, 8007, "/v2/version").json()
    assert call(opened, 8000, "/workflow/results/status").json() == {}


def test_the_servers_own_port_stays_its_own_but_for_what_clients_call(opened: Served) -> None:
    assert "text/html" in call(opened, 8004, "/", headers={"accept": "text/html"}).headers["content-type"]
    assert call(opened, 8004, "/api/v1/openapi.json").status_code == 200
    assert call(opened, 8004, "/work/withdraw", "POST", json={"pipeline": "p"}).json() is None
    assert call(opened, 8000, "/api/v1/openapi.json").status_code == 404
    assert "version" in call(opened, 8000, "/").json()


def test_without_these_ports_nothing_else_is_served(served: Served) -> None:
    assert call(served, 8000, "/status").status_code == 404
    assert call(served, 8004, "/work/withdraw", "POST", json={"pipeline": "p"}).status_code in {404, 405}


def test_a_name_that_clients_use_for_this_machine_is_taken_and_no_other(opened: Served) -> None:
    for host, code in (("0.0.0.0", 200), ("localhost", 200), ("evil.example", 403)):
        answer = opened.call("GET", "/workflow/buckets/version", headers={"host": f"{host}:8000"})
        assert answer.status_code == code
    foreign = {"host": "0.0.0.0:8000", "origin": "http://0.0.0.0:3000"}
    assert opened.call("POST", "/workflow/buckets/work", headers=foreign, json=[]).status_code == 403


def test_that_name_is_taken_only_where_these_ports_are(served: Served) -> None:
    assert served.get("/workflow/buckets/version", headers={"host": "0.0.0.0:8004"}).status_code == 403


def test_a_port_that_is_taken_is_one_error_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as main:
        taken = other.getsockname()[1]
        monkeypatch.setattr(ports, "PORTS", {taken: ports.BUCKETS})
        with pytest.raises(StartupError) as caught, ports.listeners(main):
            pass
        assert f"Port {taken} of 127.0.0.1 is taken" in caught.value.fact
        assert f"ss -ltnp 'sport = :{taken}'" in caught.value.next_step


def test_where_the_server_listens_already_it_does_not_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("0.0.0.0", 0)) as main:
        monkeypatch.setattr(ports, "PORTS", {main.getsockname()[1]: ports.BUCKETS})
        with ports.listeners(main) as found:
            assert {each.family for each in found} <= {socket.AF_INET6}


def test_these_ports_speak_no_tls(tmp_path: Any) -> None:
    with pytest.raises(UsageError, match="plain HTTP"):
        Place(certfile=tmp_path / "cert.pem", workflow_ports=True)
