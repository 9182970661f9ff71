"""Where a server listens, and who may be there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from clx.errors import UsageError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens, and who may be there.

    Attributes:
        port: 0 for any that is free.
        tokens: whether a caller must have one.
        behind_proxy: whether a proxy before it speaks TLS, and tells who calls.
        certfile, keyfile: the server's own certificate and its key.
        workflow_ports: whether it listens besides where clients of Workflow call, on this machine.
    """

    host: str = "127.0.0.1"
    port: int = 8004
    tokens: bool = True
    behind_proxy: bool = False
    certfile: Path | None = None
    keyfile: Path | None = None
    workflow_ports: bool = False

    def __post_init__(self) -> None:
        if not self.tokens and (not self.is_loopback or self.behind_proxy):
            raise UsageError(
                "Without tokens only this machine may be answered: --no-token goes with --host 127.0.0.1 alone.",
                "Leave out --no-token, and make tokens: clx server token add NAME --role R",
            )
        if self.workflow_ports and self.certfile:
            raise UsageError(
                "Clients of Workflow speak plain HTTP at their ports: --workflow-ports goes without a certificate.",
                "Leave out --workflow-ports, and name https://HOST:PORT/workflow/buckets to the clients.",
            )
        if not (self.is_loopback or self.certfile or self.behind_proxy):
            raise UsageError(
                f"At {self.host} everybody on the way could read tokens and jobs.",
                "Give --ssl-certfile and --ssl-keyfile, or --behind-proxy where a proxy before it speaks TLS.",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def url_of(place: Place) -> str:
    """Where the server is called, as far as this machine can say."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"{'https' if place.certfile else 'http'}://{host}:{place.port}"
