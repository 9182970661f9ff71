"""Whose files are believed: this user's and root's, unless others may write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.tools import skip_or_fail

from clx.errors import SettingsError, UntrustedError
from clx.settings.owners import complaint, require_own, who_else_writes
from clx.settings.resolve import SettingsFile, resolve
from clx.settings.trust import change_trusted, forget_trust, read_trusted, trust_file, trust_place

NOBODY = 65534


@pytest.fixture(autouse=True)
def _nothing_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state home"))
    monkeypatch.delenv("SUDO_UID", raising=False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / ".clx"
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text("[jobs]\nmax_runs = 7\n")
    (folder / "config.toml").chmod(0o644)
    return folder


def give_away(path: Path) -> None:
    if os.getuid() != 0:
        skip_or_fail("root", "files cannot be given to another user here: that takes root")
    os.chown(path, NOBODY, NOBODY)


def max_runs(place: Path) -> int:
    return resolve(environ={}, files=[SettingsFile("project", place / "config.toml")]).settings.jobs.max_runs


def test_what_is_ones_own_is_believed(place: Path) -> None:
    assert max_runs(place) == 7
    assert complaint(place / "missing") == ""
    require_own(place / "missing" / "further")


@pytest.mark.parametrize("which", [".", "config.toml"])
def test_what_belongs_to_somebody_else_is_refused_until_it_is_trusted(place: Path, which: str) -> None:
    """The directory as well as the file; the command to type is said, and works."""
    give_away(place / which)
    with pytest.raises(UntrustedError) as refused:
        max_runs(place)
    path = place / which
    assert refused.value.fact == f"{path} belongs to nobody: it is not used."
    assert refused.value.next_step == f"If that is meant to be so, type: clx trust {path}"
    assert refused.value.exit_code == 2
    trust_place(path)
    assert max_runs(place) == 7
    os.chown(path, 1234, 1234)
    with pytest.raises(UntrustedError, match="belongs to user 1234"):  # of one owner only
        max_runs(place)


@pytest.mark.parametrize(
    ("which", "mode"), [(".", 0o777), (".", 0o1777), ("config.toml", 0o666), ("config.toml", 0o602)]
)
def test_what_everybody_may_write_is_refused(place: Path, which: str, mode: int) -> None:
    path = place / which
    path.chmod(mode)
    with pytest.raises(UntrustedError) as refused:
        max_runs(place)
    assert refused.value.fact == f"{path} may be written by everybody: it is not used."
    assert refused.value.next_step.startswith(
        f"Type: chmod go-w {path}; or, if that is meant to be so, type: clx trust"
    )
    trust_place(place)  # the directory, with the files in it
    assert max_runs(place) == 7
    assert forget_trust(place.parent) == [str(place)]
    path.chmod(mode & ~0o022)
    assert max_runs(place) == 7


def test_a_group_of_ones_own_is_nobody_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many systems give every user a group and a umask of 002: what git checks out there is believed."""
    import grp
    import pwd

    people = [pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh"))
              for name, uid, gid in (("ada", os.getuid(), 5000), ("bob", 5001, 5001), ("eve", 5002, 5003))]  # fmt: skip
    groups = {5000: [], 5001: ["ada"], 5003: [], 5004: ["ada", "bob"], 5005: ["ada"]}
    monkeypatch.setattr(pwd, "getpwall", lambda: people)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((f"g{gid}", "x", gid, groups[gid])))
    found = list(place.stat())
    found[0] = 0o40775
    alone = {}
    for gid in groups:
        found[5] = gid
        alone[gid] = who_else_writes(os.stat_result(found))
    assert alone == {5000: "", 5001: "the group g5001", 5003: "the group g5003", 5004: "the group g5004", 5005: ""}
    found[0] = 0o40755
    assert who_else_writes(os.stat_result(found)) == ""


def test_a_link_that_is_somebody_elses_is_not_followed(place: Path, tmp_path: Path) -> None:
    """Also to a file that may be believed; and what a link of one's own leads to must be one's own."""
    elsewhere = tmp_path / "elsewhere.toml"
    (place / "config.toml").rename(elsewhere)
    (place / "config.toml").symlink_to(elsewhere)
    assert max_runs(place) == 7
    give_away(elsewhere)
    with pytest.raises(UntrustedError):
        max_runs(place)
    os.chown(elsewhere, os.getuid(), os.getgid())
    os.chown(place / "config.toml", NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(UntrustedError):
        max_runs(place)


@pytest.mark.parametrize("kind", ["system", "user"])
def test_files_of_user_and_system_are_looked_at_too(place: Path, kind: str) -> None:
    (place / "config.toml").chmod(0o666)
    with pytest.raises(UntrustedError):
        resolve(environ={}, files=[SettingsFile(kind, place / "config.toml")])  # type: ignore[arg-type]


def test_with_sudo_who_typed_it_is_believed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git does; but nobody becomes another by setting a variable."""
    give_away(place)
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    assert max_runs(place) == 7
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    with pytest.raises(UntrustedError):
        max_runs(place)


def test_who_may_write_what_is_trusted_decides_nothing(place: Path) -> None:
    """Nothing is believed then, and the file is named."""
    place.chmod(0o777)
    trust_place(place)
    trust_file().chmod(0o666)
    with pytest.raises(SettingsError, match=r"trust\.json: may be written by everybody"):
        max_runs(place)
    trust_file().chmod(0o600)
    trust_file().write_text("{")
    with pytest.raises(UntrustedError):
        max_runs(place)


def test_what_is_trusted_at_the_same_time_is_all_written(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def trust(number: int) -> None:
        change_trusted(lambda trusted: trusted.places.update({str(number): number}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(trust, range(40)))
    assert len(read_trusted().places) == 40
