"""Files of works are archived as policies say: nothing is lost, and nothing is read that a run has not made."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clx.artifacts.store import ArtifactStore
from clx.settings.schema import ArchiveSettings
from clx.work.archiving.archive import Archive, Kept
from clx.work.archiving.places import Directory, folder_of, numbered
from clx.work.archiving.policy import policies
from clx.work.archiving.sources import Source, is_picture, source

PNG = b"\x89PNG\r\n\x1a\n" + b"picture"
WORK = {"id": "w1", "pipeline": "p", "creation": 86_400.0, "results": {"n": 1}}


class Desk:
    """A directory with files, and what archives them."""

    def __init__(self, root: Path) -> None:
        self.here, self.kept = root / "here", root / "kept"
        self.here.mkdir()
        self.store = ArtifactStore(root / "artifacts")

    def write(self, name: str, data: bytes = b"data") -> str:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def keep(self, settings: dict[str, Any] | None = None, *, given: dict[str, Any] | None = None, **work: Any) -> Kept:
        """Archive a work whose function has returned the files in *work*; *given* were named when it was deposited."""
        archive = Archive(ArchiveSettings(**{"posix": str(self.kept), **(settings or {})}), self.store, self.here)
        before = archive.look(given or {})
        returned = [] if given else [*work.get("products", []), *work.get("plots", [])]
        return archive.keep({**WORK, **work}, before, b"said", returned)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def refused(kept: Kept) -> list[str]:
    return [each["reason"] for each in kept.fields["artifacts"].get("refused", [])]


def test_copies_are_named_where_they_are_and_shown(desk: Desk) -> None:
    desk.write("out/a.dat")
    desk.write("b.png", PNG)
    kept = desk.keep(products=["out/a.dat"], plots=[str(desk.here / "b.png")])
    where = desk.kept / "19700102" / "p" / "w1"
    assert kept.fields["products"] == [str(where / "a.dat")]
    assert kept.fields["plots"] == [str(where / "b.png")]
    (plot,) = kept.fields["artifacts"]["plots"]
    assert (plot["name"], plot["path"], plot["bytes"]) == ("b.png", str(where / "b.png"), len(PNG))
    assert desk.store.get_bytes(plot["digest"]) == PNG
    assert (where / "a.dat").read_bytes() == b"data"
    kept.remove()
    assert (desk.here / "out/a.dat").exists()


def test_what_is_moved_goes_once_the_work_says_so(desk: Desk) -> None:
    desk.write("a.dat")
    kept = desk.keep({"products": "move"}, products=["a.dat"])
    assert (desk.here / "a.dat").exists()
    kept.remove()
    assert not (desk.here / "a.dat").exists()
    assert Path(kept.fields["products"][0]).read_bytes() == b"data"


def test_what_changes_after_it_was_copied_stays(desk: Desk) -> None:
    desk.write("a.dat")
    kept = desk.keep({"products": "move"}, products=["a.dat"])
    desk.write("a.dat", b"changed")
    kept.remove()
    assert (desk.here / "a.dat").read_bytes() == b"changed"


def test_what_is_deleted_is_said(desk: Desk) -> None:
    desk.write("a.dat")
    kept = desk.keep({"products": "delete", "results": "delete", "logs": "delete"}, products=["a.dat"])
    assert kept.fields == {"products": [], "results": None, "artifacts": {"deleted": ["a.dat", "results"]}}
    assert not kept.keeps_output
    kept.remove()
    assert not (desk.here / "a.dat").exists()


def test_names_that_clash_get_numbers_and_a_copy_that_is_there_serves(desk: Desk) -> None:
    for folder, data in (("x", b"1"), ("y", b"2"), ("z", b"1")):
        desk.write(f"{folder}/a.dat", data)
    first = desk.keep(products=["x/a.dat", "y/a.dat", "z/a.dat"])
    names = [Path(each).name for each in first.fields["products"]]
    assert names == ["a.dat", "a-1.dat", "a.dat"]
    again = desk.keep(products=["x/a.dat", "y/a.dat"])
    assert again.fields["products"] == first.fields["products"][:2]
    found = numbered(".bashrc")
    assert [next(found) for _ in range(3)] == [".bashrc", ".bashrc-1", ".bashrc-2"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret", "upwards"),
        ("a/../../secret", "upwards"),
        ("{root}/secret", "outside"),
        ("out.link", "outside"),
        ("nothing", "not there"),
        ("folder", "a directory"),
        ("pipe", "no regular file"),
        ("a\0b", "no path"),
        ("", "no path"),
        ("dangling", "not there"),
        ("x" * 5000, "too long"),
    ],
)
@pytest.mark.parametrize("policy", ["copy", "move", "delete"])
def test_what_is_no_file_of_here_is_left_and_noted(desk: Desk, name: str, reason: str, policy: str) -> None:
    secret = desk.here.parent / "secret"
    secret.write_bytes(PNG)
    (desk.here / "folder").mkdir()
    (desk.here / "out.link").symlink_to(secret)
    (desk.here / "dangling").symlink_to("none")
    os.mkfifo(desk.here / "pipe")
    named = name.format(root=desk.here.parent)
    kept = desk.keep({"products": policy}, products=[named])
    assert kept.fields["products"] == [named]
    assert reason in refused(kept)[0]
    assert kept.removable == []
    assert secret.read_bytes() == PNG


def test_a_link_within_is_copied_and_never_followed_to_remove(desk: Desk) -> None:
    desk.write("a.dat")
    (desk.here / "b.dat").symlink_to("a.dat")
    assert desk.keep(products=["b.dat"]).fields["products"][0].endswith("b.dat")
    for policy in ("move", "delete"):
        kept = desk.keep({"products": policy}, products=["b.dat"])
        assert "a link" in refused(kept)[0]
        assert kept.removable == []


def test_other_directories_may_be_named(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "a.dat").write_bytes(b"data")
    kept = desk.keep({"sources": (str(tmp_path / "scratch"),)}, products=[str(tmp_path / "scratch" / "a.dat")])
    assert Path(kept.fields["products"][0]).read_bytes() == b"data"


@pytest.mark.parametrize("data", [b"text", b"", b"<html><svg></html>", b"\x89PNG"])
def test_plots_are_pictures(desk: Desk, data: bytes) -> None:
    desk.write("a.png", data)
    kept = desk.keep({"plots": "move"}, plots=["a.png"])
    assert refused(kept) == ["it is no picture"]
    assert kept.fields["plots"] == ["a.png"]
    assert kept.removable == []


def test_svg_is_a_picture(desk: Desk) -> None:
    desk.write("a.svg", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>')
    assert is_picture((desk.here / "a.svg").read_bytes())


def test_what_only_the_depositor_names_is_archived_where_the_run_made_it(desk: Desk) -> None:
    desk.write(".env", b"secret")
    kept = desk.keep(given={"products": [".env"]}, products=[".env"])
    assert "was there before" in refused(kept)[0]
    archive = Archive(ArchiveSettings(posix=str(desk.kept)), desk.store, desk.here)
    before = archive.look({"products": ["new.dat", ".env"]})
    desk.write("new.dat")
    kept = archive.keep({**WORK, "products": ["new.dat", ".env"]}, before, b"", [])
    assert Path(kept.fields["products"][0]).name == "new.dat"
    assert kept.fields["products"][1] == ".env"


def test_without_a_place_files_are_shown_as_far_as_they_are_small(desk: Desk) -> None:
    desk.write("a.dat")
    kept = desk.keep({"posix": None}, products=["a.dat"])
    assert kept.fields["products"] == ["a.dat"]
    assert desk.store.get_bytes(kept.fields["artifacts"]["products"][0]["digest"]) == b"data"
    assert "larger than" in refused(desk.keep({"posix": None, "artifact_mb": 0}, products=["a.dat"]))[0]
    assert "neither" in refused(desk.keep({"posix": None, "products": "move"}, products=["a.dat"]))[0]
    kept = desk.keep({"artifact_mb": 0}, products=["a.dat"])
    assert "digest" not in kept.fields["artifacts"]["products"][0]


def test_outputs_and_results_are_written_where_it_is_asked(desk: Desk) -> None:
    kept = desk.keep({"logs": "copy", "results": "copy"})
    where = desk.kept / "19700102" / "p" / "w1"
    assert (where / "output.log").read_bytes() == b"said"
    assert (where / "results.json").read_text() == '{"n":1}'
    assert kept.keeps_output
    assert "results" not in kept.fields


def test_a_place_that_takes_nothing_loses_nothing(desk: Desk) -> None:
    desk.write("a.dat")
    desk.kept.write_bytes(b"a file, no directory")
    kept = desk.keep({"products": "move"}, products=["a.dat"])
    assert "could not be kept" in refused(kept)[0]
    assert (kept.fields["products"], list(kept.removable)) == (["a.dat"], [])


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        ({}, "copy"),
        ({"archive": True}, "copy"),
        ({"archive": False}, "bypass"),
        ({"archive": {"plots": "move"}}, "move"),
        ({"archive": {"plots": "pass"}}, "bypass"),
        ({"archive": {"plots": "upload"}}, "copy"),
        ({"archive": {"plots": False}}, "bypass"),
        ({"archive": {"plots": True}}, "copy"),
        ({"archive": True, "config": {"archive": {"plots": "delete"}}}, "delete"),
        ({"archive": {"plots": "move"}, "config": {"archive": {"plots": "delete"}}}, "move"),
        ({"config": None}, "copy"),
    ],
)
def test_policies_are_read_in_the_words_of_all_clients(work: dict[str, Any], expected: str) -> None:
    found, wrong = policies(work, ArchiveSettings())
    assert (found["plots"], wrong) == (expected, {})


@pytest.mark.parametrize("odd", ["burn", 5, ["copy"], {"a": 1}])
def test_a_policy_that_is_none_is_noted_and_nothing_done(desk: Desk, odd: Any) -> None:
    desk.write("a.png", PNG)
    kept = desk.keep(plots=["a.png"], archive={"plots": odd})
    assert kept.fields["artifacts"]["refused"][0]["kind"] == "plots"
    assert "plots" not in kept.fields


def test_names_of_others_lead_nowhere() -> None:
    odd = {**WORK, "pipeline": "../../etc", "id": "/root/.ssh\n"}
    assert folder_of(odd) == "19700102/_.._etc/_root_.ssh_"
    assert folder_of({**WORK, "pipeline": "..", "id": "."}) == "19700102/_/_"


def _exchanged(desk: Desk, monkeypatch: pytest.MonkeyPatch, exchange: Callable[[], object]) -> Kept:
    """Archive ``out/a.png`` of which something is exchanged between the look at it and the copy."""
    desk.write("out/a.png", PNG)

    def look(*given: Any, **named: Any) -> Source:
        found = source(*given, **named)
        exchange()
        return found

    monkeypatch.setattr("clx.work.archiving.archive.source", look)
    return desk.keep({"products": "move"}, products=["out/a.png"])


@pytest.mark.parametrize("what", ["link", "folder", "pipe", "file"])
def test_what_is_exchanged_after_the_look_is_neither_read_nor_removed(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    out, other = desk.here / "out", tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes(b"secret")

    def exchange() -> None:
        if what == "folder":
            out.rename(desk.here / "away")
            out.symlink_to(other)
            return
        (out / "a.png").unlink()
        if what == "pipe":
            os.mkfifo(out / "a.png")
        elif what == "link":
            (out / "a.png").symlink_to(other / "a.png")
        else:
            (out / "a.png").write_bytes(b"others")

    kept = _exchanged(desk, monkeypatch, exchange)
    assert len(refused(kept)) == 1
    assert (kept.fields["products"], list(kept.removable)) == (["out/a.png"], [])
    assert not [each for each in desk.kept.rglob("*") if each.is_file()]
    assert (other / "a.png").read_bytes() == b"secret"


def test_a_folder_that_is_exchanged_after_the_copy_loses_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.write("out/a.dat")
    kept = desk.keep({"products": "move"}, products=["out/a.dat"])
    (desk.here / "out").rename(tmp_path / "other")
    (desk.here / "out").symlink_to(tmp_path / "other")
    kept.remove()
    assert (tmp_path / "other" / "a.dat").exists()


@pytest.mark.parametrize("name", ["a\nb.dat", "-rf", " ", "\x1b[31m.dat", "ä\u202e.dat", "a" * 255])
def test_odd_names_are_names(desk: Desk, name: str) -> None:
    kept = desk.keep(products=[desk.write(name)])
    assert Path(kept.fields["products"][0]).read_bytes() == b"data"


def test_what_a_killed_copy_has_left_goes_and_one_that_is_being_made_stays(tmp_path: Path) -> None:
    shelf = Directory(tmp_path)
    shelf.keep(io.BytesIO(b"1"), "a", "b.dat")
    (tmp_path / "a" / ".dead.part").write_bytes(b"half")
    (tmp_path / "a" / ".link.part").symlink_to(tmp_path / "a" / "b.dat")
    os.mkfifo(tmp_path / "a" / ".pipe.part")
    left: list[int] = []

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if not left:
                left.append(0)
                shelf.keep(io.BytesIO(b"3"), "a", "other.dat")  # as another runner does meanwhile
                left.append(len([each for each in (tmp_path / "a").glob(".*.part") if each.is_file()]))
            return super().read(size)

    where, _, _ = shelf.keep(Slow(b"2"), "a", "c.dat")
    assert Path(where).read_bytes() == b"2"
    assert left == [0, 2]  # its own one, and the link, which is nobody's
    names = {each.name for each in (tmp_path / "a").iterdir()}
    assert names == {"b.dat", "c.dat", "other.dat", ".link.part", ".pipe.part"}


_FULL = """
import io, resource, signal, sys
from pathlib import Path
from clx.work.archiving.places import Directory
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
source = Path(sys.argv[1], "sparse")
try:
    with source.open("rb") as file:
        Directory(Path(sys.argv[1], "kept")).keep(file, "a", "b.dat")
except OSError as error:
    print(error.strerror, [each.name for each in Path(sys.argv[1], "kept", "a").iterdir()])
"""


def test_a_copy_that_finds_no_room_leaves_nothing(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    done = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large []\n"


def test_two_that_archive_the_same_names_at_once_lose_nothing(tmp_path: Path) -> None:
    shelf = Directory(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: shelf.keep(io.BytesIO(b"%d" % (n % 5)), "a", "b.dat"), range(40)))
    assert [Path(where).read_bytes() for where, _, _ in found] == [b"%d" % (n % 5) for n in range(40)]
    assert len(list((tmp_path / "a").iterdir())) == 5


_KILLED = """
import io, os, signal, sys
from pathlib import Path
from clx.work.archiving import places
left = int(sys.argv[2])
def trace(event, arguments):
    global left
    if event in ("open", "os.link", "os.remove", "os.mkdir", "os.rename") and sys.argv[1] in str(arguments[0]):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(trace)
places.Directory(Path(sys.argv[1])).keep(io.BytesIO(b"x" * 3_000_000), "a/b", "c.dat")
"""


@pytest.mark.slow
def test_a_copy_is_whole_or_not_there_whenever_it_is_killed(tmp_path: Path) -> None:
    kills = 0
    for moment in range(1, 40):
        root = tmp_path / str(moment)
        died = subprocess.run([sys.executable, "-c", _KILLED, str(root), str(moment)], check=False)
        kills += died.returncode == -signal.SIGKILL
        if (root / "a/b/c.dat").exists():
            assert (root / "a/b/c.dat").read_bytes() == b"x" * 3_000_000
        source = tmp_path / "source"
        source.write_bytes(b"x" * 3_000_000)
        with source.open("rb") as file:
            where, _, size = Directory(root).keep(file, "a/b", "c.dat")
        assert (Path(where).name, size, Path(where).stat().st_size) == ("c.dat", 3_000_000, 3_000_000)
        if died.returncode == 0:
            break
    assert kills > 5
