"""Where a database of a server is: what its URL says, told without the password, and what stands for it here.

Everything that lies beside a file of SQLite (logs, locks, artifacts, the state of services) has its place in a
directory of this user for a database of a server, too. A small file in there stands for the database wherever a path
is wanted: it holds the URL without the password, so that no command line of a process shows one.
"""

from __future__ import annotations

import os
import platform
import re
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec

from clx.commands import SERVED
from clx.db.identity import machine
from clx.db.state import StateDirectory
from clx.errors import DatabaseError, UsageError
from clx.settings.problems import did_you_mean

VARIABLE = "CLX_DATABASE__URL"
"""Hands a URL with its password to child processes, whose command line anybody may see."""
_FORM = "Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE; in a password @ is %40, / is %2F, % is %25, # is %23."
_LOCAL = "local socket"
_PLACE = frozenset({"user", "host", "port", "dbname"})
_SECRET = frozenset({"password", "sslpassword", "oauth_client_secret"})
_PLAIN = re.compile(r"[^A-Za-z0-9.-]+")
_UNKNOWN = re.compile('invalid URI query parameter: "([a-z_]{1,40})"')
"""What the driver says of a parameter that it does not know; nothing but plain words is shown of a URL."""
_known: dict[Path, str] = {}
"""What this process was told of databases: stand-in → URL, with its password."""


class Address(msgspec.Struct, frozen=True):
    """A database of a server.

    Attributes:
        url: all of it, the password too: never shown.
        place: the file that stands for it on this machine.
    """

    url: str
    host: str
    port: str
    database: str
    user: str
    place: Path

    def __str__(self) -> str:
        """For people: a URL with host, port, database and user, and nothing else."""
        return self._written({})

    __repr__ = __str__

    def without_secrets(self) -> str:
        """The whole URL but for passwords: what a file may keep of it, and a command line show."""
        said = self._said()
        return self._written({name: str(value) for name, value in said.items() if name not in _SECRET | _PLACE})

    def _written(self, more: dict[str, str]) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.host.startswith(("/", "@")) or "," in self.host:  # sockets, or several servers
            more = {"host": self.host, "port": self.port, **more}
            host = ""
        elif self.host != _LOCAL:
            host = f"{host}:{self.port}"
        else:
            host, more = "", {"port": self.port, **more}
        options = f"?{urlencode(more, safe='/,:@', quote_via=quote)}" if more else ""
        return f"postgresql://{quote(self.user, safe='')}@{host}/{quote(self.database, safe='')}{options}"

    @property
    def is_local(self) -> bool:
        """Whether the server is reached by a socket of this machine, in the usual place."""
        return self.host == _LOCAL

    @property
    def socket_directory(self) -> str:
        """The directory of the socket that leads to the server; empty where it is reached by a network."""
        usual = "/var/run/postgresql" if self.is_local else ""
        return self.host if self.host.startswith("/") else usual

    def with_password(self, password: str) -> str:
        """The whole URL with *password*, and with what this process knows of the server from elsewhere."""
        url = self.without_secrets()
        return url.replace("@", f":{quote(password, safe='')}@", 1) if password else url

    def for_programs(self) -> tuple[str, dict[str, str]]:
        """What a program of PostgreSQL is told of it on its command line, and what by its environment."""
        password = self._said().get("password")
        return self.without_secrets(), {} if password is None else {"PGPASSWORD": str(password)}

    def has_secrets(self) -> bool:
        """Whether its URL holds a password."""
        return not _SECRET.isdisjoint(self._said())

    def _said(self) -> dict[str, str | int | None]:
        from clx.db.postgresql.driver import driver

        return dict(driver.conninfo.conninfo_to_dict(self.url))

    def stand_in(self) -> None:
        """Make the file that stands for it, and know its password as long as this process lives.

        Raises:
            DatabaseError: it cannot be made.
        """
        _known[self.place] = self.url
        StateDirectory.of(self.place).prepare()
        text = f"{self.without_secrets()}\n"
        try:
            if not self.place.exists() or self.place.read_text(encoding="utf-8") != text:
                self.place.write_text(text, encoding="utf-8")
        except OSError as error:
            raise DatabaseError(
                f"{self.place}, which stands for {self} here, cannot be written: {error.strerror}.",
                "Make its directory writable, or set XDG_STATE_HOME.",
            ) from error


def parse(url: str) -> Address:
    """What *url* says; what it does not say is as for every program of PostgreSQL (``PGHOST``, ``PGUSER``, …).

    Raises:
        UsageError: it is none. It is not shown: it may hold a password.
        DatabaseError: psycopg is not installed.
    """
    from clx.db.postgresql.driver import driver

    try:
        said = driver.conninfo.conninfo_to_dict(url)
        usual = {each.keyword.decode(): each.val for each in driver.pq.Conninfo.get_defaults()}
    except driver.Error as error:
        if (unknown := _UNKNOWN.search(str(error))) is not None:
            step = did_you_mean(
                unknown[1], sorted({each.keyword.decode() for each in driver.pq.Conninfo.get_defaults()})
            )
            raise UsageError(f'The URL of the database has an unknown parameter "{unknown[1]}".', step) from None
        raise UsageError("The URL of the database cannot be understood.", _FORM) from None

    def of(name: str, otherwise: str) -> str:
        default = usual.get(name)
        return str(said.get(name) or (default.decode() if default else otherwise))

    if not of("port", "5432").replace(",", "").isdigit():
        raise UsageError("The port in the URL of the database is no number.", _FORM)
    user = of("user", os.environ.get("USER", ""))
    host = of("host", str(said.get("hostaddr") or _LOCAL))
    port, database = of("port", "5432"), of("dbname", user)
    return Address(url, host, port, database, user, _place(host, port, database))


def _place(host: str, port: str, database: str) -> Path:
    import platformdirs

    # a home that several machines mount: what lies beside a database is of processes of one of them
    digest = sha256(
        "\0".join((host, port, database, machine() or platform.node())).encode("utf-8", "surrogatepass")
    ).hexdigest()[:8]
    name = _PLAIN.sub("-", f"{host}-{port}-{database}").strip("-.")[:60]
    state = platformdirs.user_state_path("clx", appauthor=False)
    return state / "postgresql" / f"{name}-{digest}" / ".clx" / f"jobs{SERVED}"


def of_place(place: Path) -> Address:
    """The database that a file stands for, with the password if this process knows or was handed it.

    Raises:
        DatabaseError: there is no such file.
    """
    if place in _known:
        return parse(_known[place])
    handed = os.environ.get(VARIABLE, "")
    if handed and (found := parse(handed)).place == place:
        return found
    try:
        kept = place.read_text(encoding="utf-8").strip()
    except OSError as error:
        if handed and _named_alike(place, parse(handed).place):  # of a machine whose container this one is
            return msgspec.structs.replace(parse(handed), place=place)
        raise DatabaseError(
            f"{place} stands for no database: {error.strerror}.", f"Name it by its URL. {_FORM}"
        ) from error
    found = parse(kept)
    if handed and _names_the_same(parse(handed), found):  # in a container, which is no machine that has made the file
        found = parse(handed)
    return msgspec.structs.replace(found, place=place)


def _named_alike(one: Path, other: Path) -> bool:
    """Whether two files stand for one database on two machines: the machine is in the last part of the name only."""
    return one.parent.parent.name.rpartition("-")[0] == other.parent.parent.name.rpartition("-")[0]


def _names_the_same(one: Address, other: Address) -> bool:
    return (one.host, one.port, one.database) == (other.host, other.port, other.database)
