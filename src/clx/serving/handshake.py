"""How a controller and a worker of another machine meet: versions first, then proofs that both know the token.

The worker greets. The controller shows first that it knows the token, so that nobody who merely connects gets something
to try guesses on; the token itself never travels. What follows is neither encrypted nor signed: between the two lies a
network that is trusted, or a tunnel.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import socket
import struct
from contextlib import suppress
from time import monotonic_ns, time_ns
from typing import NamedTuple

import msgspec

from clx import __version__
from clx.serving.frames import VERSION

PATIENCE = 10.0
"""Seconds in which the other end has to have said what it has to say."""
_LARGEST = 4096
_NONCE = 32
_length = struct.Struct("<I")


class Greeting(msgspec.Struct, tag="clx serving worker", array_like=True):
    """From a worker, first of all; *clock*: nanoseconds since 1970."""

    version: int
    release: str
    nonce: bytes


class Proof(msgspec.Struct, tag="clx serving controller", array_like=True):
    """From a controller."""

    version: int
    release: str
    nonce: bytes
    proof: bytes


class Welcome(msgspec.Struct, tag="welcome", array_like=True):
    """From a worker; *clock*: nanoseconds since 1970."""

    proof: bytes
    clock: int


class Denied(msgspec.Struct, tag="denied", array_like=True):
    """From either: why this comes to nothing."""

    text: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Greeting | Proof | Welcome | Denied).decode


class Unmet(Exception):
    """The two do not go together; the text says why."""


class Met(NamedTuple):
    """What a controller knows of a worker that it has met.

    Attributes:
        release: its version of CLX.
        ahead: nanoseconds by which its clock is ahead of this one.
        within: nanoseconds by which that may be wrong.
    """

    release: str
    ahead: int
    within: int


def _proof(token: bytes, who: str, challenge: bytes, nonce: bytes) -> bytes:
    return hmac.digest(token, b"clx serving %d %b\0" % (VERSION, who.encode()) + challenge + nonce, hashlib.sha256)


async def seek(link: socket.socket, token: bytes) -> Met:
    """The controller's part.

    Raises:
        Unmet: it is no worker, of another version, knows another token, or does not want this controller.
        OSError: the other end is gone.
        TimeoutError: it says nothing.
    """
    async with asyncio.timeout(PATIENCE):
        greeting = await _receive(link)
        if not isinstance(greeting, Greeting):
            raise _unmet(greeting, "there is no worker of CLX there")
        if greeting.version != VERSION:
            text = _versions(greeting.version, greeting.release)
            await _deny(link, f"the controller is of another version: {__version__} (frames {VERSION})")
            raise Unmet(text)
        nonce, began = secrets.token_bytes(_NONCE), monotonic_ns()
        await _send(link, Proof(VERSION, __version__, nonce, _proof(token, "controller", greeting.nonce, nonce)))
        welcome = await _receive(link)
        took = monotonic_ns() - began
        if not isinstance(welcome, Welcome):
            raise _unmet(welcome, "it does not keep to what was agreed")
        if not hmac.compare_digest(welcome.proof, _proof(token, "worker", nonce, greeting.nonce)):
            raise Unmet("it does not know the token")
        return Met(greeting.release, welcome.clock + took // 2 - time_ns(), took // 2)


async def receive(link: socket.socket, token: bytes, busy: str = "") -> None:
    """The worker's part; *busy*: why nobody can be taken at present, told only to who knows the token.

    Raises:
        Unmet: it is no controller, of another version, or knows another token; or it was told that nobody is taken.
        OSError: the other end is gone.
        TimeoutError: it says nothing.
    """
    async with asyncio.timeout(PATIENCE):
        nonce = secrets.token_bytes(_NONCE)
        await _send(link, Greeting(VERSION, __version__, nonce))
        proof = await _receive(link)
        if not isinstance(proof, Proof):
            raise _unmet(proof, "it is no controller of CLX")
        if proof.version != VERSION:
            await _deny(link, f"the worker is of another version: {__version__} (frames {VERSION})")
            raise Unmet(_versions(proof.version, proof.release))
        if not hmac.compare_digest(proof.proof, _proof(token, "controller", nonce, proof.nonce)):
            await _deny(link, "the worker knows another token")
            raise Unmet("it does not know the token")
        if busy:
            await _deny(link, busy)
            raise Unmet(busy)
        await _send(link, Welcome(_proof(token, "worker", proof.nonce, nonce), time_ns()))


def _versions(version: int, release: str) -> str:
    return (
        f"it is of CLX {release[:40]} (frames {version}), this is {__version__} (frames {VERSION}): "
        "install the same version on both machines"
    )


def _unmet(said: object, otherwise: str) -> Unmet:
    return Unmet(said.text[:300] if isinstance(said, Denied) else otherwise)


async def _deny(link: socket.socket, text: str) -> None:
    with suppress(OSError):
        await _send(link, Denied(text))


async def _send(link: socket.socket, said: Greeting | Proof | Welcome | Denied) -> None:
    body = _encode(said)
    await asyncio.get_running_loop().sock_sendall(link, _length.pack(len(body)) + body)


async def _receive(link: socket.socket) -> Greeting | Proof | Welcome | Denied:
    (size,) = _length.unpack(await _exactly(link, _length.size))
    if size > _LARGEST:
        raise Unmet("what is there does not speak as CLX does")
    try:
        said: Greeting | Proof | Welcome | Denied = _decode(await _exactly(link, size))
    except msgspec.MsgspecError:
        raise Unmet("what is there does not speak as CLX does") from None
    return said


async def _exactly(link: socket.socket, size: int) -> bytes:
    loop, have = asyncio.get_running_loop(), b""
    while len(have) < size:
        more = await loop.sock_recv(link, size - len(have))
        if not more:
            raise ConnectionResetError("the other end is gone")
        have += more
    return have


def keep_alive(link: socket.socket) -> None:
    """Have a link to a machine that vanished end within seconds; and nothing wait to be sent."""
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 6000)):
        option = getattr(socket, name, None)  # not every system has all of them
        if option is not None:
            link.setsockopt(socket.IPPROTO_TCP, option, value)
