"""A server that cannot be reached, refuses, or is none is told with words; a token does not go where it is read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from tests.support.serving import Listening

from clx.db.jobs import Queue
from clx.db.models import NewJob
from clx.errors import AccessError, ClxError, DatabaseBusyError, ServerError, UsageError
from clx.remote.client import Client
from clx.remote.connection import TOKEN_VARIABLE


@pytest.mark.parametrize("url", ["", "x", "ftp://h", "http://", "http://h/?q", "http://u:p@h", None, "https://h#x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Client(url)


def test_a_token_does_not_go_to_another_machine_unencrypted() -> None:
    with pytest.raises(UsageError, match="unencrypted"):
        Client("http://192.0.2.1:8004", token="clx_x")
    Client("http://192.0.2.1:8004", token="clx_x", insecure=True).close()
    Client("https://192.0.2.1", token="clx_x").close()
    Client("http://192.0.2.1:8004", token="").close()


def test_who_has_no_token_or_too_small_a_role_is_told(served: Listening) -> None:
    with Client(served.url, token="") as nobody, pytest.raises(AccessError, match="token is needed"):
        nobody.stats()
    with Client(served.url, token="clx_x") as stranger, pytest.raises(AccessError, match="none that is taken"):
        stranger.stats()
    with Client(served.url, token=served.secrets["read"]) as reader, pytest.raises(AccessError, match="role read"):
        reader.enqueue(NewJob("t"))


def test_what_role_is_needed_and_how_one_gets_it_is_told(served: Listening) -> None:
    with Client(served.url, token=served.secrets["read"]) as reader, pytest.raises(AccessError) as told:
        reader.enqueue(NewJob("t"))
    assert told.value.next_step == (
        "Set CLX_TOKEN to a token with the role work; `clx server token add NAME --role work` makes it, at the server."
    )


def test_the_token_may_stand_in_a_variable(served: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, served.secrets["read"])
    with Client(served.url) as client:
        assert client.stats() == {}


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(ServerError, match="does not answer") as raised:
        client.stats()
    assert "clx server" in raised.value.next_step


@pytest.fixture
def stranger() -> Iterator[str]:
    """A server that is none of CLX."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_another_server_is_told(stranger: str) -> None:
    with Client(stranger) as client, pytest.raises(ServerError, match="not as a server of this CLX"):
        client.stats()


def test_connections_are_kept(served: Listening, client: Client) -> None:
    for _ in range(20):
        client.stats()
    assert len(served.server.server_state.connections) == 1


@pytest.mark.slow
def test_a_locked_table_is_told_as_such(served: Listening, queue: Queue, client: Client) -> None:
    assert issubclass(DatabaseBusyError, ClxError)
    connection = queue.database.connection()
    connection.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(DatabaseBusyError):
            client.enqueue(NewJob("t"))
    finally:
        connection.execute("ROLLBACK")
    assert client.search() == []
