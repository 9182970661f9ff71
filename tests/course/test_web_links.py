"""Web addresses are asked for, a few at a time, and those that are there not again on the same day."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from clx.course.build_state import BuildState
from clx.course.web_links import broken, problem_of

DAY = 24 * 3600.0


class Site(BaseHTTPRequestHandler):
    """Answers with the status that the path names; ``/get/…`` to GET alone."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def _answer(self) -> None:
        self.asked.append((self.command, self.path))
        first, *rest = self.path.strip("/").split("/")
        if first == "moved":
            self.send_response(302)
            self.send_header("Location", f"/{'/'.join(rest)}")
        elif first == "get":
            self.send_response(405 if self.command == "HEAD" else int(rest[0]))
        else:
            self.send_response(int(first))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Site.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/200", "/moved/200", "/get/200", "/403", "/429", "/get/401", "/200/ä b?q=ü"])
def test_what_is_there_or_not_for_programs_is_no_problem(site: str, path: str) -> None:
    assert problem_of(site + path) == ""


@pytest.mark.parametrize(
    ("path", "told"),
    [("/404", "answers 404"), ("/moved/410", "answers 410"), ("/get/500", "answers 500"), ("/moved/moved/404", "404")],
)
def test_what_is_not_there_is_told_with_the_answer(site: str, path: str, told: str) -> None:
    assert told in problem_of(site + path)


@pytest.mark.parametrize("address", ["http://", "http://127.0.0.1:1/x", "http://[::1", "http://x.invalid:port/"])
def test_what_cannot_be_asked_for_is_told(address: str) -> None:
    assert problem_of(address)


def test_a_head_is_enough(site: str) -> None:
    problem_of(f"{site}/200")
    assert Site.asked == [("HEAD", "/200")]


def test_what_is_there_is_asked_for_once_a_day_and_what_is_not_each_time(state: BuildState) -> None:
    asked: list[str] = []

    def problem(address: str) -> str:
        asked.append(address)
        return "is gone" if address == "b" else ""

    assert broken(["a", "b", "a"], state, 0.0, problem) == {"b": "is gone"}
    assert sorted(asked) == ["a", "b"]
    assert broken(["a", "b"], state, DAY - 1, problem) == {"b": "is gone"}
    assert sorted(asked) == ["a", "b", "b"]
    broken(["a"], state, DAY, problem)
    assert sorted(asked) == ["a", "a", "b", "b"]
