"""Building the images of ``docker/``: the context, the arguments, and whether it has to be done at all.

An image gets the very package versions of the environment that builds it, so that the same course gives the
same bytes in subprocesses and in containers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from functools import partial
from hashlib import sha256
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import clx
from clx import DISTRIBUTION, __version__
from clx.db.identity import is_gone, process_identity
from clx.errors import EngineError, ToolMissingError, UsageError
from clx.jobtypes.registry import JOB_TYPES
from clx.tools.catalog import PINS
from clx.tools.finding import cache_root
from clx.tools.install import install
from clx.workers.executors.docker.engine import connect, engine_errors, where_possible
from clx.workers.executors.docker.images import CODE_LABEL, CONTEXT_LABEL, TYPE_LABEL, VERSION_LABEL, Image, find
from clx.workers.executors.docker.wheel import digest_of_wheel, wheel_of_installed

DEFAULT_BASE = "python:3.12-slim-bookworm"
STAGE_LABEL = "clx.stage"
"""What the Dockerfiles call the images of their first stage; the worker's image does not inherit it."""
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CONFLICT = re.compile("conflicting dependencies|Invalid requirement|No matching distribution")
_STEP = re.compile(r"^ ---> ([0-9a-f]{12})$", re.MULTILINE)
_SCRATCH = "clx-image-"
_OWNER = "owner"
_BUILD_LIMIT = 1800.0
"""Seconds one step of a build may be silent."""
_STAGE_AGE = 3600.0
"""Seconds after which a stage is no more of a build that goes on beside this one."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of."""

    type: str
    tag: str
    wheel: Path
    """The wheel of CLX."""
    base: str = DEFAULT_BASE
    """The image it is built on; the Dockerfile's ``BASE_IMAGE``."""
    requirements: Path | None = None
    """A requirements file with packages the course's cells need."""
    fetch: bool = False
    """Fetch packages on this machine instead of inside the build, for an engine without a network."""


def default_tag(type_: str) -> str:
    """What the image of *type_* is called where nobody says otherwise."""
    return f"clx-{type_}:{__version__}"


def build(recipe: Recipe, report: Callable[[str], None], *, force: bool = False) -> bool:
    """Build an image unless the very same one is there; says whether it was built.

    Args:
        report: called with one line per step.

    Raises:
        EngineError: the engine does not answer, or a step of the build fails.
        ToolMissingError: a package cannot be fetched.
        UsageError: a file that is named is not there.
    """
    with scratch() as folder, closing(connect(_BUILD_LIMIT)) as client:
        context = folder / "context"
        context.mkdir()
        _context(recipe, context)
        digest = _digest(context, recipe, client)
        before = find(client, recipe.tag)
        if not force and before is not None and before.context == digest:
            report(f"{recipe.tag} is up to date")
            return False
        _tools(recipe, context / "tools", report)
        if recipe.fetch:
            _fetch(context / "packages", report)
        report(f"building {recipe.tag} on {recipe.base}")
        used = _build(client, recipe, context, digest)
        where_possible(partial(_remove_replaced, client, recipe, before, used))
    return True


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory for a while; those of builds that were killed are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*/{_OWNER}"):
        with suppress(OSError):  # another user's, or somebody else removes it at this moment
            if is_gone(left.read_text(encoding="ascii")):
                shutil.rmtree(left.parent)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH) as name:
        (Path(name) / _OWNER).write_text(process_identity(), encoding="ascii")
        yield Path(name)


def make_wheel(folder: Path) -> Path:
    """The wheel of this CLX in *folder*: built from the source tree, or made from what is installed.

    Raises:
        ToolMissingError: neither is possible.
    """
    source = Path(clx.__file__).parents[2]
    if not (source / "pyproject.toml").is_file():
        return wheel_of_installed(folder)
    _pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source), cwd=folder)
    return next(folder.glob(f"{DISTRIBUTION.replace('-', '_')}-*.whl"))


def dockerfile(type_: str) -> Path:
    """The Dockerfile of *type_*: of the source tree, or as it came with the package."""
    package = Path(clx.__file__).parent
    for folder in (package / "docker", package.parents[1] / "docker"):
        found = folder / type_ / "Dockerfile"
        if found.is_file():
            return found
    raise ToolMissingError(
        f"The Dockerfile for {type_} did not come with this installation.",
        "Install CLX again, in a clone: pip install .",
    )


def _context(recipe: Recipe, context: Path) -> None:
    """The Dockerfile, the wheel of CLX, what it requires, and the versions that is to have."""
    packages = context / "packages"
    packages.mkdir()
    shutil.copy(dockerfile(recipe.type), context)
    if not recipe.wheel.is_file():
        raise UsageError(f"There is no wheel {recipe.wheel}.", "Name the file that `pip wheel --no-deps .` makes.")
    (context / "clx").mkdir()
    shutil.copy(recipe.wheel, context / "clx")
    versions = {found.metadata["Name"].lower(): found.version for found in distributions()}
    lines = sorted(f"{name}=={version}\n" for name, version in versions.items() if name != DISTRIBUTION)
    (packages / "constraints.txt").write_text("".join(lines), encoding="utf-8")
    required = "".join(f"{line}\n" for line in _required(recipe.wheel, {JOB_TYPES[recipe.type].extra, *_served()}))
    (packages / "requirements.txt").write_text(required + _course_requirements(recipe), encoding="utf-8")


def labels_of(recipe: Recipe) -> dict[str, str]:
    """What the image says of itself: the worker type, and which CLX it holds, which is that of the wheel."""
    version = str(_metadata(recipe.wheel)["Version"])
    return {TYPE_LABEL: recipe.type, VERSION_LABEL: version, CODE_LABEL: digest_of_wheel(recipe.wheel)}


def _metadata(wheel: Path) -> Message:
    """What a wheel says of itself; one that is none of CLX is a UsageError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            found = message_from_bytes(archive.read(names[0])) if names else Message()
    except (zipfile.BadZipFile, OSError):
        found = Message()
    if found["Name"] != DISTRIBUTION:
        raise UsageError(f"{wheel} is no wheel of CLX.", "Name the file that `pip wheel --no-deps .` makes in a clone.")
    return found


def _served() -> set[str]:
    """The extra for tables of a server, where this environment has it too."""
    return {"postgres"} if find_spec("psycopg") is not None else set()


def _required(wheel: Path, extras: Collection[str]) -> list[str]:
    """What a wheel requires with some of its extras, one requirement per line."""
    found = []
    for line in _metadata(wheel).get_all("Requires-Dist") or ():
        asked = _EXTRA.search(line)
        if asked is None:
            found.append(line)
        elif asked[1] in extras:
            found.append(line[: asked.start()].rstrip("; "))
    return found


def _course_requirements(recipe: Recipe) -> str:
    if recipe.requirements is None:
        return ""
    try:
        return recipe.requirements.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{recipe.requirements} cannot be read: {error.strerror}.", "Correct --requirements."
        ) from error


def _fetch(packages: Path, report: Callable[[str], None]) -> None:
    """Put the required packages into *packages*; what was fetched once is kept in the user's cache."""
    asked = b"".join((packages / name).read_bytes() for name in ("requirements.txt", "constraints.txt"))
    kept = cache_root() / "packages" / sha256(asked + sys.version.encode()).hexdigest()[:16]
    if not kept.is_dir():
        report("fetching packages")
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as name:
            _pip("download", "--quiet", "--dest", name, "--requirement", "requirements.txt",
                 "--constraint", "constraints.txt", cwd=packages)  # fmt: skip
            shutil.copytree(name, kept, dirs_exist_ok=True)
    shutil.copytree(kept, packages, dirs_exist_ok=True)


def _tools(recipe: Recipe, folder: Path, report: Callable[[str], None]) -> None:
    """Copies of the pinned tools, laid out as in the cache that the image is told to use."""
    folder.mkdir()
    for name in JOB_TYPES[recipe.type].image_tools:
        tool = install(name, report)
        # the cache holds one directory per tool and version; the entry is that directory or a file in it
        home = tool.path if tool.path.is_dir() else tool.path.parent
        shutil.copytree(home, folder / name / tool.version, copy_function=_copy)


def _copy(source: str, target: str) -> str:
    """Copy a file, its time in whole seconds: registries keep no more, and Java's class archive knows the jar by it."""
    shutil.copy2(source, target)
    os.utime(target, (int(Path(source).stat().st_mtime),) * 2)
    return target


def _digest(context: Path, recipe: Recipe, client: Any) -> str:
    """What decides about the image: Dockerfile, wheel, versions, tools, base."""
    found = sha256()
    for path in sorted(context.rglob("*")):
        if path.is_file():
            found.update(f"{path.name}\0".encode() + path.read_bytes())
    base = find(client, recipe.base)
    pins = [PINS[name].sha256 for name in JOB_TYPES[recipe.type].image_tools]
    found.update(repr((base.id if base else recipe.base, pins, recipe.fetch, labels_of(recipe))).encode())
    return found.hexdigest()[:16]


def _pip(*arguments: str, cwd: Path) -> None:
    command = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = pip_reason(done.stderr)
        raise ToolMissingError(
            f"pip {arguments[0]} failed: {said}",
            "Correct the file named with --requirements: images hold the versions of this environment."
            if _CONFLICT.search(said)
            else "Check the network, and that this environment has pip.",
        )


def pip_reason(said: str) -> str:
    """Why pip failed, in one line of what it *said*: its last line is about where to read more, or a new pip."""
    lines = [_COLOUR.sub("", line).strip() for line in said.splitlines()]
    errors = [line for line in lines if line.startswith("ERROR: ") and "ResolutionImpossible" not in line]
    found = errors or [line for line in lines if line]
    return found[-1].removeprefix("ERROR: ") if found else "it said nothing"


def _build(client: Any, recipe: Recipe, context: Path, digest: str) -> set[str]:
    """Build it; returns the short ids of the images that its steps made or took from the engine's cache."""
    arguments = {"BASE_IMAGE": recipe.base, "PIP_OPTIONS": "--no-index" if recipe.fetch else ""}
    labels = labels_of(recipe) | {CONTEXT_LABEL: digest}
    said: list[str] = []
    failed = ""
    with engine_errors(f"build {recipe.tag}"):
        steps = client.api.build(
            path=str(context), tag=recipe.tag, buildargs=arguments, labels=labels, rm=True, forcerm=True, decode=True,
            network_mode="none" if recipe.fetch else None,
        )  # fmt: skip
        for step in steps:
            said.append(step.get("stream", ""))
            failed = step.get("error", failed).strip()
    if failed:
        why = pip_reason("".join(said))
        fact = f"pip install failed: {why}" if "pip install" in failed else f"{failed} {why}"
        raise EngineError(f"{recipe.tag} was not built: {fact}", _after_failure(client, recipe, failed))
    return set(_STEP.findall("".join(said)))


def _remove_replaced(client: Any, recipe: Recipe, before: Image | None, used: set[str]) -> None:
    """Remove what earlier builds left without a name: the image that had it, and old stages that this one did not use.

    An image that a worker still runs in stays, and so does one that has another name.
    """
    wanted = {"dangling": True, "label": f"{STAGE_LABEL}={recipe.type}"}
    stages = [each for each in client.api.images(filters=wanted) if each["Created"] < time.time() - _STAGE_AGE]
    left = [each["Id"] for each in stages if each["Id"].removeprefix("sha256:")[:12] not in used]
    if before and not _is_named(client.api.inspect_image(before.id)):
        left.append(before.id)
    for each in left:
        where_possible(partial(client.api.remove_image, each))


def _is_named(image: Mapping[str, Any]) -> bool:
    return bool(image["RepoTags"] or image["RepoDigests"])


def _after_failure(client: Any, recipe: Recipe, failed: str) -> str:
    if find(client, recipe.base) is None:
        return f"{recipe.base} is not here. Check the network, or name a base that is: --base-image IMAGE"
    if "pip install" not in failed:
        return "Name a base image that is made like the usual one (Debian, with Python and pip): --base-image IMAGE"
    if recipe.fetch:
        return "Name a base image with the Python version of this environment: --base-image IMAGE"
    return (
        "Correct the file named with --requirements; where the engine has no network, type: "
        f"clx docker build {recipe.type} --fetch"
    )
