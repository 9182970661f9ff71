"""Windows, WSL, macOS and their file systems, from recorded inputs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from clx.db.sqlite.filesystem import NETWORK, Mount, file_system_of, kind_in, parse_mounts
from clx.platforms.container import container_id
from clx.settings.schema import DatabaseSettings, Settings
from clx.workers.container_env import database_inside
from clx.workers.platforms import (
    Platform,
    Surroundings,
    choose_journal_mode,
    database_options,
    mount_name,
    mount_source,
    platform_of,
    sharing_warning,
    with_journal_mode,
)

WSL2 = "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@941d701f84f1) (gcc (GCC) 11.2.0) #1 SMP Fri Mar 29"
WSL1 = "Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com) (gcc version 5.4.0 (GCC) ) #1237-Microsoft"
LINUXKIT = "Linux version 6.6.12-linuxkit (root@buildkitsandbox) (gcc (Alpine 12.2.1) 12.2.1) #1 SMP Tue Jan 30"
DEBIAN = "Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP"

WSL_MOUNTS = r"""66 73 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard,errors=remount-ro,data=ordered
111 66 0:47 / /mnt/wslg rw,relatime shared:1 - tmpfs none rw
150 66 0:66 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\;uid=1000;gid=1000,mmap,access=client
151 66 0:67 / /mnt/my\040drive rw,noatime - drvfs D: rw
"""
CONTAINER_MOUNTS = """814 690 0:60 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/ABC
830 814 254:1 /var/lib/docker/containers/{id}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda1 rw
831 814 254:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw,relatime - ext4 /dev/vda1 rw
"""
PODMAN_MOUNTS = (
    "900 814 0:25 /containers/storage/overlay-containers/containers/{id}/userdata/hostname /etc/hostname rw"
    " - tmpfs tmpfs rw\n"
)
ID = "7be1" * 16


@pytest.mark.parametrize(
    ("sys_platform", "version", "expected"),
    [
        ("linux", WSL2, "wsl"),
        ("linux", WSL1, "wsl"),
        ("linux", LINUXKIT, "desktop"),
        ("linux", DEBIAN, "linux"),
        ("linux", "", "linux"),
        ("win32", "", "windows"),
        ("cygwin", "", "windows"),
        ("darwin", "", "macos"),
    ],
)
def test_platforms(sys_platform: str, version: str, expected: str) -> None:
    assert platform_of(sys_platform, version) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/me/course/.clx/jobs.db", "ext4"),
        ("/mnt/c/Users/me/course", "9p"),
        ("/mnt/my drive/course", "drvfs"),
        ("/mnt/cold/course", "ext4"),
    ],
)
def test_file_systems(path: str, expected: str) -> None:
    assert file_system_of(PurePosixPath(path), parse_mounts(WSL_MOUNTS)) == expected


def test_the_later_of_two_mounts_on_one_point_counts() -> None:
    mounts = [Mount("/", "ext4"), Mount("/data", "nfs4"), Mount("/data", "tmpfs")]
    assert file_system_of(PurePosixPath("/data/x"), mounts) == "tmpfs"
    assert file_system_of(PurePosixPath("/x"), []) == ""


@pytest.mark.parametrize("containers", [True, False])
@pytest.mark.parametrize("platform", ["linux", "wsl", "windows", "macos", "desktop"])
def test_journal_mode_follows_platform_and_containers(platform: Platform, containers: bool) -> None:
    mode, why = choose_journal_mode("auto", Surroundings(platform, "ext4"), containers=containers)
    assert mode == ("delete" if containers and platform != "linux" else "wal")
    assert why


@pytest.mark.parametrize("file_system", ["9p", "drvfs", "nfs4", "cifs", "fuse.sshfs"])
def test_shared_file_systems_never_get_wal_unasked(file_system: str) -> None:
    where = Surroundings("linux", file_system)
    assert choose_journal_mode("auto", where, containers=False)[0] == "delete"
    assert choose_journal_mode("wal", where, containers=False)[0] == "wal"


def test_setting_decides_over_everything() -> None:
    assert choose_journal_mode("wal", Surroundings("windows", ""), containers=True)[0] == "wal"
    assert choose_journal_mode("delete", Surroundings("linux", "ext4"), containers=False)[0] == "delete"


def test_delete_mode_waits_longer_unless_told(tmp_path: Path) -> None:
    def options(**database: object) -> dict[str, object]:
        settings = Settings(database=DatabaseSettings(**database))  # type: ignore[arg-type]
        return database_options(with_journal_mode(settings, tmp_path / "jobs.db", containers=True))

    assert options() == {"journal_mode": "wal", "busy_timeout": 10.0}
    assert options(journal_mode="delete") == {"journal_mode": "delete", "busy_timeout": 60.0}
    assert options(journal_mode="delete", busy_timeout=7.0) == {"journal_mode": "delete", "busy_timeout": 7.0}


def test_container_keeps_a_database_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    fresh = with_journal_mode(Settings(), path, containers=True, keep=True)
    assert database_options(fresh)["journal_mode"] == "wal"
    path.touch()
    kept = with_journal_mode(Settings(), path, containers=True, keep=True)
    assert database_options(kept)["journal_mode"] == "keep"


@pytest.mark.parametrize(
    ("path", "platform", "warned"),
    [
        ("/mnt/c/Users/me/course/.clx/jobs.db", "wsl", "Windows drive"),
        ("/home/me/course/.clx/jobs.db", "wsl", ""),
        (r"\\wsl$\Ubuntu\home\me\jobs.db", "windows", "inside WSL"),
        (r"\\wsl.localhost\Ubuntu\home\me\jobs.db", "windows", "inside WSL"),
        (r"\\server\share\jobs.db", "windows", "network share"),
        (r"C:\Users\me\jobs.db", "windows", ""),
        ("/mnt/c/jobs.db", "linux", ""),
    ],
)
def test_places_that_containers_cannot_share_well(path: str, platform: Platform, warned: str) -> None:
    text = sharing_warning(path, Surroundings(platform, ""))
    assert (warned in text) if warned else text == ""


@pytest.mark.parametrize(
    ("path", "platform", "expected"),
    [
        (r"C:\Users\me\My Course\.clx", "windows", "/c/Users/me/My Course/.clx"),
        ("D:/data", "windows", "/d/data"),
        ("c:\\", "windows", "/c"),
        (r"\\wsl$\Ubuntu\home\me\.clx", "windows", "/home/me/.clx"),
        (r"\\wsl.localhost\Debian\srv", "windows", "/srv"),
        ("/home/me/.clx", "linux", "/home/me/.clx"),
        ("/mnt/c/Users/me", "wsl", "/mnt/c/Users/me"),
        ("/Users/me/.clx", "macos", "/Users/me/.clx"),
    ],
)
def test_mount_sources(path: str, platform: Platform, expected: str) -> None:
    assert mount_source(path, platform) == expected


@pytest.mark.parametrize("text", [CONTAINER_MOUNTS, PODMAN_MOUNTS])
def test_containers_know_their_id(text: str) -> None:
    assert container_id(text.replace("{id}", ID)) == ID


def test_hosts_are_no_containers() -> None:
    assert container_id(WSL_MOUNTS) is None


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/a/.clx", ".clx"),
        ("/a/.clx/", ".clx"),
        ("./.clx", ".clx"),
        (r"C:\a\.clx", ".clx"),
        ("/data", "data"),
        ("/", "data"),
    ],
)
def test_a_state_directory_keeps_its_name(directory: str, name: str) -> None:
    assert mount_name(directory) == name


def test_database_inside_a_container() -> None:
    assert database_inside({"CLX_DB": "/clx/data/x.db"}) == Path("/clx/data/x.db")
    assert database_inside({"CLX_DATABASE_DIR": "./.clx"}) == Path("/clx/.clx/jobs.db")
    named = {"CLX_DATABASE_DIR": "/srv/db", "CLX_DATABASE_FILE": "clx_jobs.db"}
    assert database_inside(named) == Path("/clx/data/clx_jobs.db")
    assert database_inside({}) is None


@pytest.mark.parametrize("kind", sorted(NETWORK))
def test_no_write_ahead_log_is_chosen_where_one_is_refused(kind: str) -> None:
    assert choose_journal_mode("auto", Surroundings("linux", kind), containers=False)[0] == "delete"


@pytest.mark.parametrize(
    ("escaped", "point"),
    [("/a\\040b", "/a b"), ("/a\\011b", "/a\tb"), ("/a\\012b", "/a\nb"), ("/a\\134b", "/a\\b"), ("/a\x85b", "/a\x85b")],
)
def test_mount_points_are_read_in_one_way(escaped: str, point: str) -> None:
    lines = ["22 1 8:1 / / rw - ext4 /dev/a rw", f"23 22 0:9 / {escaped} rw - lustre srv rw"]
    assert parse_mounts("\n".join(lines))[1] == Mount(point, "lustre")
    assert kind_in(lines, Path(point) / "jobs.db") == "lustre"
