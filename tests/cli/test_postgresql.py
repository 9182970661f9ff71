"""Commands on a database of a server: named by its URL, and the password is shown nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest
from tests.support.postgresql import Server, programs

from clx.db.database import Database
from clx.db.jobs import NewJob, Queue
from clx.db.postgresql.address import VARIABLE, parse

_SECRET = "gehe/m@1"
_WRITTEN = "gehe%2Fm%401"


@pytest.fixture
def url(postgresql: str) -> str:
    """With a password, for which this server does not ask."""
    return postgresql.replace("clx@", f"clx:{_WRITTEN}@")


def _clx(*arguments: str, cwd: Path, code: int = 0, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    command = [sys.executable, "-m", "clx", *arguments]
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert _SECRET not in said
    assert _WRITTEN not in said
    return done.stdout or done.stderr


@pytest.mark.parametrize("how", ["--db-path", "--db", "variable", "settings"])
def test_a_database_is_named_by_its_url(url: str, tmp_path: Path, how: str) -> None:
    named, environment = [], {}
    if how == "variable":
        environment["CLX_DATABASE__URL"] = url
    elif how == "settings":
        folder = Path(os.environ["XDG_CONFIG_HOME"]) / "clx"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(f'[database]\nurl = "{url}"\n', encoding="utf-8")
    else:
        named = [how, url]
    try:
        with Queue.open(url) as queue:
            queue.enqueue(NewJob("t", {"a": 1}))
        listed = json.loads(_clx("jobs", "list", "--format", "json", *named, cwd=tmp_path, environment=environment))
        assert [job["type"] for job in listed["jobs"]] == ["t"]
        checked = json.loads(_clx("db", "check", "--format", "json", *named, cwd=tmp_path, environment=environment))
        assert checked == {"database": str(parse(url)), "ok": True, "problems": []}
        assert not (tmp_path / ".clx").exists()
    finally:
        if how == "settings":
            (folder / "config.toml").unlink()


def test_settings_show_it_without_the_password(url: str, tmp_path: Path) -> None:
    shown = _clx("config", "show", "database", "--origin", cwd=tmp_path, environment={"CLX_DATABASE__URL": url})
    assert "clx:***@" in shown
    assert "CLX_DATABASE__URL" in shown
    told = json.loads(_clx("config", "show", "--format", "json", cwd=tmp_path, environment={"CLX_DATABASE__URL": url}))
    assert told["settings"]["database.url"]["value"] == url.replace(_WRITTEN, "***")


def test_a_project_that_names_a_server_has_to_be_trusted(url: str, tmp_path: Path) -> None:
    said = _clx("config", "set", "database.url", url, cwd=tmp_path)
    assert "clx:***@" in said  # who types it trusts it
    config = tmp_path / ".clx" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("/shared", "/other"), encoding="utf-8")
    assert "names a server" in _clx("status", cwd=tmp_path, code=2)
    config.unlink()


def test_a_file_that_is_named_by_a_higher_layer_is_meant(url: str, tmp_path: Path) -> None:
    with Queue.open(tmp_path / "jobs.db"):
        pass
    shown = _clx("db", "check", "--db-path", "jobs.db", cwd=tmp_path, environment={"CLX_DATABASE__URL": url})
    assert shown == f"{tmp_path}/jobs.db: ok\n"


def test_operators_look_after_it(url: str, tmp_path: Path) -> None:
    assert "schema " in _clx("db", "migrate", "--db", url, cwd=tmp_path)
    found = programs()
    assert found is not None
    _clx("db", "backup", "copy.dump", "--db", url, cwd=tmp_path, environment={"PATH": f"{found}:{os.environ['PATH']}"})
    assert (tmp_path / "copy.dump").stat().st_size > 0
    pruned = json.loads(_clx("db", "prune", "--vacuum", "--format", "json", "--db", url, cwd=tmp_path))
    assert pruned["database"] == str(parse(url))
    status = json.loads(_clx("status", "--format", "json", "--db", url, cwd=tmp_path))
    assert status["database"] == str(parse(url))


def test_the_doctor_tells_what_is_known_of_the_server(url: str, tmp_path: Path) -> None:
    with Queue.open(url) as queue, queue.database.snapshot() as connection:
        connection.execute("SELECT count(*) FROM jobs")  # a transaction that is open
        found = json.loads(_clx("doctor", "--db", "--db-path", url, "--format", "json", cwd=tmp_path, code=4))
    facts = {each["name"]: each for each in found["findings"]}
    # that of the tests does without, to be quick
    assert [name for name, fact in facts.items() if not fact["ok"]] == ["durability"]
    assert facts["server"]["detail"].startswith("PostgreSQL ")
    assert "idle in transaction" in facts["oldest transaction"]["detail"]
    assert "woken at once" in facts["waking"]["detail"]
    assert {"connections", "autovacuum", "dead rows", "clock", "leases", "database"} <= set(facts)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    told = _clx("status", "--db", f"postgresql://clx:{_WRITTEN}@127.0.0.1:1/x", cwd=tmp_path, code=4)
    assert "postgresql://clx@127.0.0.1:1/x" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("named", ["mysql://clx:{}@db/x", "postgresql+psycopg://clx:{}@db/x", "sqlite:///jobs.db"])
def test_a_url_of_something_else_becomes_no_file(tmp_path: Path, named: str) -> None:
    told = _clx("db", "migrate", "--db", named.format(_WRITTEN), cwd=tmp_path, code=2)
    assert "is not a database CLX can open here" in told
    assert "postgresql://USER@HOST/DATABASE" in told
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_looks_at_no_other_table_than_the_one_that_is_meant(tmp_path: Path) -> None:
    told = _clx("doctor", "--db", f"postgresql://clx:{_WRITTEN}@127.0.0.1:1/x", cwd=tmp_path, code=2)
    assert "clx doctor --db --db-path" in told


def test_without_tables_it_is_said_how_to_make_them(server: Server, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE untouched")
    try:
        assert "clx db migrate" in _clx("jobs", "list", "--db", server.url("untouched"), cwd=tmp_path, code=4)
    finally:
        server.execute("DROP DATABASE untouched WITH (FORCE)")


def test_a_child_finds_the_password_in_its_environment_and_nobody_on_its_command_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clx.db.url import placed

    monkeypatch.delenv(VARIABLE, raising=False)
    place = placed(url)
    assert os.environ[VARIABLE] == url
    look = (
        "import sys; from pathlib import Path; from clx.db.database import Database\n"
        "from psycopg.conninfo import conninfo_to_dict\n"
        "print(conninfo_to_dict(Database.open(Path(sys.argv[1])).address.url)['password'], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", look, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == f"{_SECRET}\n"
        assert not any(_WRITTEN in word or _SECRET in word for word in psutil.Process(child.pid).cmdline())
        child.communicate("\n")
    with Database.open(place) as database:
        assert _SECRET not in repr(database.name)
