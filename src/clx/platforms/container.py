"""Whether this process runs in a container, and in which."""

from __future__ import annotations

import re
from pathlib import Path

IMAGE_VARIABLE = "CLX_IMAGE"
"""What the container's image was asked for by."""
_CONTAINER_ID = re.compile(r"/containers/([0-9a-f]{64})/")


def container_id(mountinfo: str) -> str | None:
    """The id of the container that a process with this ``/proc/self/mountinfo`` runs in; None outside.

    Docker and Podman bind files of ``…/containers/<id>/`` into every container (``/etc/hostname`` among them).
    """
    found = _CONTAINER_ID.search(mountinfo)
    return found[1] if found else None


def own_container_id() -> str | None:
    """The id of the container this process runs in; None outside."""
    try:
        return container_id(Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:  # no such file on this platform
        return None
