"""``clx staging``: over real HTTP, by requests and curl as its page shows them, killed and with a full disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.faults.conftest import need

CLX = [sys.executable, "-m", "clx", "staging"]
TOKEN = "0123456789abcdef"
SHOWN = {"X-API-Token": TOKEN}
DAY = "2026-11-27"
DOCS = Path(__file__).parents[2] / "docs" / "daily.md"
LARGE = b"[" + os.urandom(8 << 20).hex().encode() + b"]"


class Served:
    """A running ``clx staging serve``."""

    def __init__(self, root: Path, *options: str, before: tuple[str, ...] = (), **variables: str) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [*before, *CLX, "serve", "--root", str(root), "--port", "0", *options], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, cwd=root.parent,
            env={**os.environ, "CLX_STAGING_TOKEN": TOKEN, **variables},
        )  # fmt: skip
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.search(r"http://([\w.]+):(\d+)", said)
        assert found is not None, said + self.process.communicate(timeout=60)[1]
        self.url, self.port = f"{found[0]}/staging", int(found[2])

    def upload(self, name: str, data: bytes, **fields: str) -> requests.Response:
        form = {"data_date": DAY, "sha256": hashlib.sha256(data).hexdigest(), **fields}
        return requests.post(
            f"{self.url}/upload-daily", data=form, files={"data": (name, data)}, headers=SHOWN, timeout=60
        )

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}/{path}", headers=SHOWN, timeout=60)

    def half(self, size: int = 4 << 20) -> socket.socket:
        """Half of an upload: a connection that has sent *size* bytes of twice as many."""
        head = b'--x\r\nContent-Disposition: form-data; name="data"; filename="torn.json"\r\n\r\n['
        sender = socket.create_connection(("127.0.0.1", self.port))
        sender.sendall(
            f"POST /staging/upload-daily HTTP/1.1\r\nHost: x\r\nX-API-Token: {TOKEN}\r\nContent-Length: {2 * size}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
            + head
            + b" " * size
        )
        for _ in range(600):
            if sum(path.stat().st_size for path in self.temporaries()) >= size // 2:
                return sender
            time.sleep(0.05)
        raise AssertionError("nothing of the upload has come")

    def temporaries(self) -> list[Path]:
        return list((self.root / ".artifacts" / "tmp").iterdir())

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=60)
        return self.process.returncode, told


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts servers of one folder."""
    started: list[Served] = []

    def one(*options: str, **more: Any) -> Served:
        started.append(Served(more.pop("root", tmp_path / "staging"), *options, **more))
        return started[-1]

    yield one
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate(timeout=60)


def files(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.name != ".lock")


def test_a_large_file_goes_in_and_comes_out_and_the_server_ends_well(start: Any) -> None:
    served = start()
    first, again = served.upload("a.json", LARGE), served.upload("a.json", LARGE)
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    assert served.upload("a.json", b"[1]").status_code == 409
    assert served.upload("b.json", LARGE, sha256="0" * 64).status_code == 422
    assert served.upload("../b.json", b"[]").status_code == 422
    assert requests.get(f"{served.url}/status", timeout=60).status_code == 401
    assert served.get(f"download?data_date={DAY}&name=a.json").content == LARGE
    day = served.get("status").json()["days"][DAY]
    assert (day["size"], [each["name"] for each in day["files"]]) == (len(LARGE), ["a.json"])
    assert (served.root / "2026/11/27/a.json").read_bytes() == LARGE
    for removed in (["a.json"], []):
        clean = requests.post(f"{served.url}/cleanup", json={"data_date": DAY}, headers=SHOWN, timeout=60)
        assert (clean.status_code, clean.json()["removed"]) == (200, removed)
    assert files(served.root) == []
    assert served.end() == (0, "")


def test_a_sender_who_goes_leaves_nothing(start: Any) -> None:
    served = start()
    served.half().close()
    for _ in range(600):
        if not served.temporaries():
            break
        time.sleep(0.05)
    assert files(served.root) == []
    assert served.get("status").json()["days"] == {}


def test_a_server_that_is_killed_in_an_upload_has_nothing_of_it_when_it_is_back(start: Any) -> None:
    served = start()
    assert served.upload("whole.json", b"[1]").status_code == 200
    sender = served.half()
    served.end(signal.SIGKILL)
    sender.close()
    assert served.temporaries() != []
    back = start()
    assert back.temporaries() == []
    assert [each["name"] for each in back.get("status").json()["days"][DAY]["files"]] == ["whole.json"]
    assert back.upload("torn.json", LARGE).status_code == 200


def test_of_two_uploads_of_one_name_at_once_one_is_held_whole(start: Any) -> None:
    served = start()
    contents = [LARGE[:-1] + b"%d]" % i for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda data: served.upload("a.json", data).status_code, contents))
    assert sorted(statuses) == [200, 409, 409, 409]
    assert served.get(f"download?data_date={DAY}&name=a.json").content == contents[statuses.index(200)]


def test_a_small_disk_refuses_what_cannot_fit_and_keeps_nothing(start: Any, tmp_path: Path) -> None:
    need("unshare")
    small = tmp_path / "small"
    small.mkdir()
    mount = f'mount -t tmpfs -o size=4m tmpfs "{small}" && exec "$@"'
    served = start("--keep-free", "0", root=small, before=("unshare", "-Urm", "sh", "-c", mount, "sh"))
    refused = served.upload("a.json", LARGE)
    assert (refused.status_code, "no room" in refused.json()["error"]) == (507, True)
    pieces = (LARGE[i : i + 100_000] for i in range(0, len(LARGE), 100_000))

    def form() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="data"; filename="a.json"\r\n\r\n'
        yield from pieces

    headers = {**SHOWN, "Content-Type": "multipart/form-data; boundary=x"}
    midway = requests.post(f"{served.url}/upload-daily", data=form(), headers=headers, timeout=60)
    assert midway.status_code == 507
    found = served.get("status").json()
    assert (found["days"], found["free"] > 3 << 20) == ({}, True)
    assert served.upload("a.json", b"[]").status_code == 200


def refused(*arguments: str, **variables: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if name != "CLX_STAGING_TOKEN"}
    done = subprocess.run([*CLX, *arguments], env={**environment, **variables}, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_without_a_good_token_or_without_tls_nothing_is_served(tmp_path: Path) -> None:
    root = ("serve", "--root", str(tmp_path / "s"), "--port", "0")
    code, told = refused(*root)
    assert (code, "there is no default one" in told, "clx staging token FILE" in told) == (2, True, True)
    assert refused(*root, CLX_STAGING_TOKEN="short")[0] == 2
    file = tmp_path / "token"
    assert refused("token", str(file)) == (0, "")
    assert (file.stat().st_mode & 0o777, len(file.read_text().strip())) == (0o600, 64)
    assert "is there already" in refused("token", str(file))[1]
    file.chmod(0o644)
    code, told = refused(*root, "--token-file", str(file))
    assert (code, f"chmod 600 {file}" in told) == (2, True)
    code, told = refused(*root, "--host", "0.0.0.0", CLX_STAGING_TOKEN=TOKEN)
    assert (code, "--behind-proxy" in told) == (2, True)
    assert not (tmp_path / "s").exists()


def blocks(language: str) -> list[str]:
    section = DOCS.read_text("utf-8").partition("## Staging")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_the_lines_of_the_page_do_what_they_say(start: Any, tmp_path: Path) -> None:
    for each in ("curl", "sha256sum"):
        need(each)
    begin, lines = blocks("sh")
    assert begin.startswith("clx staging token staging.token ")
    assert refused("token", str(tmp_path / "staging.token"))[0] == 0
    (tmp_path / "patterns.json").write_text('{"a": [1, 2]}')
    served = start("--token-file", str(tmp_path / "staging.token"))
    there = served.url.removesuffix("/staging")

    def typed(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    for program in blocks("python"):
        typed(sys.executable, "-c", program.replace("http://127.0.0.1:8080", there))
    out = typed("sh", "-ec", lines.replace("http://127.0.0.1:8080", there))
    answers = [json.loads(each) for each in re.split(r"(?<=})(?={)", out)]
    assert [each["status"] for each in answers] == ["success", "ok", "success"]
    assert answers[0]["files"][0]["job"] == "job_7"
    assert answers[2]["removed"] == ["patterns.json"]
    assert (tmp_path / "fetched.json").read_text() == '{"a": [1, 2]}'


def test_the_page_has_a_cure_for_every_status_it_refuses_with() -> None:
    section = DOCS.read_text("utf-8").partition("| refused with |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| (\d{3})", section, re.MULTILINE)) == {
        "401", "404", "408", "409", "413", "415", "422", "503", "507",
    }  # fmt: skip
