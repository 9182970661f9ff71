"""Jobs that go in with a transaction of the caller's, or not at all."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from clx.db.jobs import NewJob, Queue
from clx.db.wait import Bells
from clx.errors import JobExistsError, QueueError, UnknownJobError

_PAGE = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text(encoding="utf-8")
_SECTION = _PAGE.partition("## In your own transaction")[2].partition("\n## ")[0]


@pytest.fixture
def queue(postgresql: str) -> Iterator[Queue]:
    with Queue.open(postgresql) as queue:
        yield queue


@pytest.fixture
def connection(postgresql: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgresql) as connection:
        connection.execute("CREATE TEMPORARY TABLE orders (id bigint)")
        connection.commit()
        yield connection


def test_a_job_is_there_exactly_if_the_transaction_is_committed(
    queue: Queue, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("INSERT INTO orders VALUES (1)")
    kept = queue.within(connection).enqueue(NewJob("mail"))
    assert queue.get(kept) is None  # nobody sees it yet
    connection.commit()
    lost = queue.within(connection).enqueue(NewJob("mail"))
    connection.rollback()

    assert [job.id for job in queue.claim(["mail"], 5)] == [kept]
    assert queue.get(lost) is None


def test_what_to_type_next_names_the_database(queue: Queue, connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(QueueError) as alone:
        queue.enqueue(NewJob("mail", limit="gpu"))
    with pytest.raises(QueueError) as within:
        queue.within(connection).enqueue(NewJob("mail", limit="gpu"))

    assert "--db-path 'postgresql://" in within.value.next_step
    assert str(within.value) == str(alone.value)


def test_all_ways_of_putting_in(queue: Queue, connection: psycopg.Connection[Any]) -> None:
    inside = queue.within(connection)
    first = inside.enqueue(NewJob("mail", key="k", unique_for=60_000))
    many = inside.enqueue_many([NewJob("mail", {"n": n}) for n in range(3)])
    batch, jobs = inside.enqueue_batch([NewJob("mail", needs=[first])], NewJob("done"))
    with pytest.raises(JobExistsError):
        inside.enqueue(NewJob("mail", key="k"), on_conflict="raise")
    connection.commit()

    assert {job.id for job in queue.search()} == {first, *many, *jobs}
    assert [job.id for job in queue.search(batch=batch)] == jobs


def test_the_callers_connection_is_as_it_was(queue: Queue, connection: psycopg.Connection[Any]) -> None:
    connection.row_factory = dict_row
    path = connection.execute("SHOW search_path").fetchone()

    queue.within(connection).enqueue(NewJob("mail", priority=5))

    assert connection.execute("SHOW search_path").fetchone() == path
    assert connection.execute("SELECT %s AS n", (2**40,)).fetchone() == {"n": 2**40}
    connection.rollback()
    assert connection.execute("SHOW search_path").fetchone() == path


@pytest.mark.parametrize(
    "put",
    [
        lambda inside: inside.enqueue(NewJob("t", needs=[99])),
        lambda inside: inside.enqueue(NewJob("t", limit="no")),
    ],
)
def test_what_is_refused_leaves_the_transaction_as_it_was(
    queue: Queue, connection: psycopg.Connection[Any], put: Callable[[Any], Any]
) -> None:
    connection.execute("INSERT INTO orders VALUES (1)")

    with pytest.raises(QueueError) as caught:
        put(queue.within(connection))

    assert isinstance(caught.value, UnknownJobError) or "limit" in str(caught.value)
    connection.execute("INSERT INTO orders VALUES (2)")
    connection.commit()
    assert connection.execute("SELECT count(*) FROM orders").fetchone() == (2,)
    assert queue.search() == []


def test_who_sleeps_is_woken_after_the_commit(
    queue: Queue, connection: psycopg.Connection[Any], postgresql: str
) -> None:
    with Queue.open(postgresql) as other, Bells(other.database, ["mail"]) as bells:
        bells.silence()
        inside = queue.within(connection)
        inside.enqueue(NewJob("mail"))
        connection.commit()
        inside.ring()
        bells.wait(60)

        assert other.may_claim(["mail"])


def test_a_connection_that_commits_by_itself_is_refused(queue: Queue, postgresql: str) -> None:
    with psycopg.connect(postgresql, autocommit=True) as connection:
        with pytest.raises(QueueError, match="in no transaction"):
            queue.within(connection)
        with connection.transaction():
            job_id = queue.within(connection).enqueue(NewJob("t"))

    assert queue.get(job_id) is not None


def test_a_connection_to_another_database_is_refused(queue: Queue, postgresql: str) -> None:
    with (
        psycopg.connect(postgresql, dbname="postgres") as connection,
        pytest.raises(QueueError, match="leads to the database postgres, and the queue lies in"),
    ):
        queue.within(connection)


def test_what_has_no_connection_is_refused(queue: Queue) -> None:
    with pytest.raises(QueueError, match="int has no connection of psycopg"):
        queue.within(7)
    with Queue.open("memory:") as other, pytest.raises(QueueError, match="in a file"):
        other.within(7)


def test_with_sqlalchemy(queue: Queue, postgresql: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgresql))
    with engine.begin() as connection:
        first = queue.within(connection).enqueue(NewJob("t"))
    with Session(engine) as session:
        second = queue.within(session).enqueue(NewJob("t"))
        session.commit()
        queue.within(session).enqueue(NewJob("t"))
        session.rollback()
    engine.dispose()

    assert [job.id for job in queue.claim(["t"], 5)] == [first, second]


_DJANGO = """
import sys
from clx import NewJob, Queue
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict
url, example = sys.argv[1:]
named = conninfo_to_dict(url)
of_django = {"HOST": "host", "PORT": "port", "USER": "user", "NAME": "dbname"}
found = {name: named[key] for name, key in of_django.items() if key in named}
settings.configure(USE_TZ=True, DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **found}})
import django
django.setup()
with Queue.open(url) as queue:
    exec(example)
    from django.db import connection, transaction
    with transaction.atomic(), connection.cursor() as cursor:
        print(queue.within(cursor).enqueue(NewJob("t")))
    connection.close()
"""


def test_the_examples_of_the_page_run(queue: Queue, postgresql: str) -> None:
    plain, django = re.findall(r"```python\n(.*?)```", _SECTION, re.DOTALL)
    with psycopg.connect(postgresql) as connection:
        connection.execute("CREATE TEMPORARY TABLE orders (id bigint)")
        exec(plain, {"queue": queue, "connection": connection, "NewJob": NewJob})
    assert [job.type for job in queue.claim(["confirm"], 5)] == ["confirm"]

    done = subprocess.run(
        [sys.executable, "-c", _DJANGO, postgresql, django], capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert [job.id for job in queue.claim(["t"], 5)] == [int(done.stdout)]
    assert len(queue.claim(["confirm"], 5)) == 1
