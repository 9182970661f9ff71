"""Large objects of the store, mapped into memory: their bytes are read when they are used, and shared by all who do."""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from typing import Any
from weakref import WeakKeyDictionary

from clx.routines.codecs.canonical import Files, Refusal, find_object

MAPPED_FROM = 64 << 10
"""Bytes from which on an object is mapped and not read."""
UNREAD_FROM = 64 << 20
"""Bytes from which on its digest is not looked at again: that would take as long as the first time."""
MAPPED: WeakKeyDictionary[mmap, str] = WeakKeyDictionary()
"""Objects that are mapped → their digests."""


def map_object(files: Files, digest: Any, size: Any) -> mmap | bytes:
    """The bytes of an object; those of a large one are read when they are used.

    Raises:
        Refusal: it has another size.
        ArtifactError: it is missing or damaged.
    """
    find_object(files, digest, size)
    if size < MAPPED_FROM:
        return files.get_bytes(digest)
    if size < UNREAD_FROM:
        files.require_whole(digest)
    with files.reader(digest) as stream:
        found = mmap(stream.fileno(), 0, access=ACCESS_READ)
    if len(found) != size:
        raise Refusal(f"artifact {digest[:12]} has {len(found)} bytes, not {size}.")
    MAPPED[found] = digest
    return found
