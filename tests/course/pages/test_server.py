"""Pages that are served while they are written: to whom, which files, and what open pages are told."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from clx.course.display import Display
from clx.course.pages.server import PageServer
from clx.course.pages.serving import ServedWatch
from clx.course.report import FailedOutput, Report
from clx.errors import CourseError, UsageError

PAGE = "<html><body><main>one</main></body></html>"


class Site:
    """An output directory with one target, and its server."""

    def __init__(self, root: Path) -> None:
        self.output = root / "output"
        self.write("public/De/Kurs/01 a.html", PAGE)
        self.server = PageServer(str(self.output), 0)
        self.server.targets = [str(self.output / "public")]

    def write(self, path: str, text: str) -> Path:
        full = self.output / path
        full.parent.mkdir(parents=True, exist_ok=True)
        part = full.with_name("part")
        part.write_text(text)
        return part.replace(full)

    def get(self, url: str, *, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.request(method, url, headers={name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.headers)
        finally:
            connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.server.close()


URL = "/public/De/Kurs/01%20a.html"


def test_a_page_is_as_it_was_published_but_for_one_script(site: Site) -> None:
    status, text, headers = site.get(URL)
    assert status == 200
    script = f'<script src="/.clx/live.js" data-stamp="{site.server.stamp(URL)}" defer></script>\n'
    assert text.replace(script, "") == PAGE
    assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/html; charset=utf-8", "no-store")
    assert (site.output / "public/De/Kurs/01 a.html").read_text() == PAGE
    assert "EventSource" in site.get("/.clx/live.js")[1]


def test_other_files_are_served_as_they_are(site: Site) -> None:
    site.write("public/De/Kurs/a.js", "f()")
    assert site.get("/public/De/Kurs/a.js")[1:] == ("f()", site.get("/public/De/Kurs/a.js")[2])
    assert site.get("/public/De/Kurs/a.js")[2]["Content-Type"] == "text/javascript; charset=utf-8"
    assert site.get("/public/De/Kurs/a.js", method="HEAD")[:2] == (200, "")


@pytest.mark.parametrize(
    "url",
    [
        "/../secret.txt",
        "/public/../../secret.txt",
        "/public/%2e%2e/%2e%2e/secret.txt",
        "/public/..%2f..%2fsecret.txt",
        "/public/De/link.txt",
        "/public/away/secret.txt",
        "/other/file.txt",
        "/public/.hidden/file.txt",
        "/public//De/Kurs/01%20a.html",
        "/public/De%5c..%5csecret.txt",
        "/public/De/%00",
        "//secret.txt",
        "/public/De",
        "/public/pipe",
    ],
)
def test_nothing_but_files_of_targets_is_served(site: Site, url: str) -> None:
    import os

    (site.output.parent / "secret.txt").write_text("SECRET")
    site.write("other/file.txt", "SECRET")
    site.write("public/.hidden/file.txt", "SECRET")
    (site.output / "public/De/link.txt").symlink_to(site.output.parent / "secret.txt")
    (site.output / "public/away").symlink_to(site.output.parent)
    os.mkfifo(site.output / "public/pipe")
    status, text, _ = site.get(url)
    assert status == 404
    assert "SECRET" not in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "127.0.0.1"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "no-cors"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
    ],
)
def test_pages_of_others_get_nothing(site: Site, headers: dict[str, str], status: int) -> None:
    given = {name: text.format(port=site.server.port) for name, text in headers.items()}
    assert site.get(URL, **given)[0] == status


def test_only_this_machine_is_answered(site: Site) -> None:
    assert site.server._server.server_address[0] == "127.0.0.1"
    assert site.server.url == f"http://127.0.0.1:{site.server.port}/"


def test_other_methods_are_refused(site: Site) -> None:
    assert site.get(URL, method="POST")[0] == 501


def test_the_way_in(site: Site) -> None:
    assert "Nothing is built yet" in site.get("/")[1]
    site.write("public/index.html", PAGE)
    assert (site.get("/")[0], site.get("/")[2]["Location"]) == (302, "/public/")
    assert (site.get("/public")[0], site.get("/public")[2]["Location"]) == (302, "/public/")
    assert "<main>one" in site.get("/public/")[1]
    site.write("speaker/index.html", PAGE)
    site.server.targets = [*site.server.targets, str(site.output / "speaker")]
    assert '<a href="/speaker/">speaker</a>' in site.get("/")[1]


def test_a_page_that_is_not_there_waits_for_it(site: Site) -> None:
    status, text, _ = site.get("/public/De/Kurs/02%20b.html")
    assert (status, 'data-stamp=""' in text) == (404, True)
    listener = site.server.listen("/public/De/Kurs/02%20b.html", "")
    assert listener.events.get_nowait() == ("errors", [])
    site.server.look()
    assert listener.events.empty()
    site.write("public/De/Kurs/02 b.html", PAGE)
    site.server.look()
    assert listener.events.get_nowait() == ("reload", "")


def test_a_page_is_reloaded_when_it_or_what_it_shows_has_changed(site: Site) -> None:
    site.write("public/De/Kurs/img/a.png", "old")
    site.write("public/De/Kurs/course.js", "old")
    site.get(URL)
    for name in ("img/a.png", "course.js"):
        site.get(f"/public/De/Kurs/{name}", Referer=f"{site.server.url}{URL[1:]}")
    stamp = site.server.stamp(URL)
    listener = site.server.listen(URL, stamp)
    other = site.server.listen("/public/De/Kurs/02%20b.html", "")
    assert listener.events.get_nowait() == ("errors", [])
    site.write("public/De/Kurs/course.js", "changes with every deck")
    site.server.look()
    assert listener.events.empty()
    site.write("public/De/Kurs/img/a.png", "new")
    site.server.look()
    site.server.look()
    assert listener.events.get_nowait() == ("reload", "")
    assert listener.events.empty()
    site.get(URL)
    listener = site.server.listen(URL, stamp)
    assert listener.events.get_nowait() == ("errors", [])
    site.write("public/De/Kurs/01 a.html", PAGE.replace("one", "two"))
    site.server.look()
    assert listener.events.get_nowait() == ("reload", "")
    assert site.server.listen(URL, stamp).events.get_nowait() == ("reload", "")  # it came too late to be told
    assert other.events.get_nowait() == ("errors", [])
    assert other.events.empty()


def test_events_come_over_the_wire_and_end_with_the_server(site: Site) -> None:
    connection = socket.create_connection(("127.0.0.1", site.server.port), timeout=20)
    host = f"127.0.0.1:{site.server.port}"
    query = f"page=%2Fpublic%2FDe%2FKurs%2F01%2520a.html&stamp={site.server.stamp(URL)}"
    connection.sendall(f"GET /.clx/events?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    stream = connection.makefile("rb")
    heads = list(iter(stream.readline, b"\r\n"))
    assert b"Content-Type: text/event-stream; charset=utf-8\r\n" in heads
    assert [stream.readline(), stream.readline(), stream.readline()] == [b"event: errors\n", b"data: []\n", b"\n"]
    site.server.tell([{"where": "slides_a.py:3", "message": "no\nsuch name", "next_step": ""}])
    assert stream.readline() == b"event: errors\n"
    assert json.loads(stream.readline()[6:])[0]["message"] == "no\nsuch name"
    site.server.close()
    assert stream.read() == b"\n"
    connection.close()


@pytest.mark.parametrize(
    ("url", "headers", "status"),
    [
        (f"/public/{'x' * 300}", {}, 404),
        (f"/public/{'x' * 5000}", {}, 404),
        (URL, {"Referer": "http://["}, 200),
        ("x://[/", {}, 400),
    ],
)
def test_odd_requests_are_answered(
    site: Site, url: str, headers: dict[str, str], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert site.get(url, **headers)[0] == status
    assert capfd.readouterr().err == ""


def test_a_browser_that_has_gone_is_not_told(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        connection = socket.create_connection(("127.0.0.1", site.server.port), timeout=20)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()  # with a reset
    assert site.get(URL)[0] == 200
    site.server.close()
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_told(site: Site) -> None:
    with pytest.raises(UsageError, match=f"at port {site.server.port}"):
        PageServer(str(site.output), site.server.port)


def test_without_a_port_one_is_found(tmp_path: Path) -> None:
    first, second = PageServer(str(tmp_path)), PageServer(str(tmp_path))
    try:
        assert first.port != second.port
    finally:
        first.close()
        second.close()


class Terminal:
    """Is told of a watch."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.display = Shown()

    def begin(self) -> Display:
        return self.display

    def done(self, report: Report) -> None:
        self.told.append(report)

    def failed(self, error: object) -> None:
        self.told.append(error)

    def waiting(self, root: Path) -> None:
        self.told.append(root)


class Shown(Display):
    """Notes two of its events."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def job_done(self, label: str, fields: dict[str, object]) -> None:
        self.seen.append(label)

    def note(self, text: str) -> None:
        self.seen.append(text)


def test_what_a_watch_does_reaches_open_pages_and_the_terminal(site: Site) -> None:
    terminal = Terminal()
    watch = ServedWatch(terminal, site.server)
    listener = site.server.listen(URL, site.server.stamp(URL))
    listener.events.get_nowait()
    display = watch.begin()
    display.note("a note")
    site.write("public/De/Kurs/01 a.html", PAGE.replace("one", "two"))
    display.job_done("slides_a.py (execute de)", {})
    assert terminal.display.seen == ["a note", "slides_a.py (execute de)"]
    assert listener.events.get_nowait() == ("reload", "")
    listener = site.server.listen(URL, site.server.stamp(URL))
    listener.events.get_nowait()
    error = {"message": "name 'x' is not defined", "cell": 2, "source_line": 7}
    report = Report(targets=list(site.server.targets), failures=[FailedOutput("notebook", "a.py", "execute de", error)])
    watch.done(report)
    shown = {"where": "a.py:7 (cell 2), execute de", "message": "name 'x' is not defined", "next_step": ""}
    assert listener.events.get_nowait() == ("errors", [shown])
    problem = CourseError("course.yaml:3:1: no such key", "Remove it.")
    watch.failed(problem)
    shown = {"where": "", "message": problem.fact, "next_step": "Remove it."}
    assert listener.events.get_nowait() == ("errors", [shown])
    watch.done(Report(targets=list(site.server.targets)))
    assert listener.events.get_nowait() == ("errors", [])
    watch.waiting(Path("/c"))
    assert len(terminal.told) == 4
