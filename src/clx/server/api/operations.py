"""What the interface is made of: operations, each with the role that its caller needs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from clx.db.tokens import Role

if TYPE_CHECKING:
    from clx.db.jobs import Queue


FEW = 4096
"""Bytes of a body that is soon dealt with."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation.

    Attributes:
        id: the number in its path; 0 where there is none.
        query: its query parameters, checked; None where it takes none.
        body: its body, checked; None where it takes none.
    """

    queue: Queue
    id: int = 0
    query: Any = None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Attended:
    """A call that takes something for its caller, who may wait for it, and may be gone when it is there.

    Attributes:
        seconds: how long it waits at most.
        types: the types of jobs of which one has to be queued.
        same: equal for calls that ask for the same: where one is in vain, so are the others.
        is_in_vain: whether an answer has nothing.
        give_back: undoes what an answer tells that nobody will get.
        is_short: whether looking for it takes moments only.
    """

    seconds: float
    types: tuple[str, ...]
    same: Hashable
    is_in_vain: Callable[[Any], bool]
    give_back: Callable[[Any], None]
    is_short: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the interface: the route table and the OpenAPI document are made of these.

    Attributes:
        name: its ``operationId``.
        path: below ``/api/v1``; ``{id}`` is a number.
        role: what its caller must be.
        run: what it does, in a thread for the table; a mapping or a structure becomes the answer.
        query, body, answer: what it takes and gives.
        writes: whether it writes to the table.
        is_short: whether a call with so few bytes as :data:`FEW` takes moments only, in a single transaction.
        status: of its answer.
        wait: how many seconds to wait for which jobs before *run*, or what finds them in a thread for the table; None:
            it waits for none.
        attended: where it takes something for its caller: what for, and how that is given back; None: it does not.
        errors: the statuses of its refusals, beside those that every operation has.
    """

    name: str
    method: str
    path: str
    role: Role
    summary: str
    run: Callable[[Call], Any]
    answer: Any
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    writes: bool = False
    is_short: bool = False
    status: int = 200
    wait: Callable[[Call], tuple[float, list[int] | Callable[[], list[int]]]] | None = None
    attended: Callable[[Call], Attended] | None = None
    errors: tuple[int, ...] = ()
