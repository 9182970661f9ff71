"""Waiting for descriptors and sockets."""

from __future__ import annotations

import fcntl
import os
import resource
import socket

import pytest

from clx.platforms import system


def test_those_that_are_readable_are_told_by_what_was_given() -> None:
    reading, writing = os.pipe()
    one, other = socket.socketpair()
    with one, other:
        assert system.wait_readable([reading, one], 0) == []
        os.write(writing, b"!")
        assert system.wait_readable([reading, one], 5) == [reading]
        other.send(b"!")
        assert set(system.wait_readable([reading, one], 5)) == {reading, one}
    os.close(writing)
    os.read(reading, 1)
    assert system.wait_readable([reading], 5) == [reading], "its end is something to read, too"
    os.close(reading)


def test_a_descriptor_may_have_any_number() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= 2000:
        pytest.fail(f"this test needs more than 2000 open files, and {hard} are allowed: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2001), hard))
    reading, writing = os.pipe()
    high = fcntl.fcntl(reading, fcntl.F_DUPFD, 1500)
    try:
        os.write(writing, b"!")
        assert system.wait_readable([high], 5) == [high]
    finally:
        for each in (reading, writing, high):
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
