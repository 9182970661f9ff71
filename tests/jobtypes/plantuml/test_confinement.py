"""Hostile diagrams: nothing outside a job's inputs may show in a picture, and nobody is called."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.jobtypes.plantuml.bench import SOURCE, Bench
from tests.support.tools import require

from clx.errors import ConversionError
from clx.jobtypes.plantuml import launch
from clx.jobtypes.plantuml.converter import PlantUmlConverter
from clx.settings.schema import Settings
from clx.tools.finding import locate

SECRET = "S3CR3T"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Files that no diagram may read, and links to them that a job brings along."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("secret.puml", "puml-theme-secret.puml"):
        (folder / name).write_text(f"!startsub S\nclass {SECRET}\n!endsub\n")
    (folder / "secret.json").write_text(f'{{"a": "{SECRET}"}}')
    Image.new("RGB", (40, 40), "red").save(folder / "red.png")
    (folder / "red.svg").write_text('<svg width="9" height="9"><path d="M0 0L9 9L0 9Z" fill="red"/></svg>')
    return folder


ATTACKS = [
    "!include {way}/secret.puml",
    "!include_once {way}/secret.puml",
    "!include_many {way}/secret.puml",
    "!includesub {way}/secret.puml!S",
    '!$d = "{way}"\n!include $d/secret.puml',
    '!$x = %load_json("{way}/secret.json")\nclass "$x.a" as X',
    "!theme secret from {way}",
    "!import {way}\n!include secret.puml",
]
PICTURES = [
    "@startuml\nclass A\nnote left of A : <img:{way}/red.png>\n@enduml\n",
    "@startuml\nsprite $s {way}/red.svg\nclass A\nnote left of A : <$s>\n@enduml\n",
    "@startuml\nskinparam backgroundImage {way}/red.png\nclass A\n@enduml\n",
    '@startdot\ndigraph G {{\n a [image="{way}/red.png" shape=none label=x]\n}}\n@enddot\n',
    '@startdot\ndigraph G {{\n imagepath="{way}"\n a [image="red.png" shape=none label=x]\n}}\n@enddot\n',
    '@startdot\ndigraph G {{\n a [shape=custom shapefile="{way}/red.png" label=x]\n}}\n@enddot\n',
    '@startdot\ndigraph G {{\n a [label=<<table><tr><td><img src="{way}/red.png"/></td></tr></table>>]\n}}\n@enddot\n',
]


def ways(bench: Bench, outside: Path) -> list[str]:
    """Absolute, as a URL, upwards from the working directory of the JVM, and through a link."""
    assert bench.converter.pids()
    directory = Path(f"/proc/{bench.converter.pids()[0]}/cwd").readlink()
    return [str(outside), f"file://{outside}", f"file:{outside}", os.path.relpath(outside, directory), "link"]


def bring_links(outside: Path) -> dict[str, Path]:
    return {"link": outside, **{f"link-{each.name}": each for each in outside.iterdir()}}


def attack(bench: Bench, outside: Path, source: str, picture_format: str) -> list[bytes]:
    """What a hostile source gets to see: pictures, or an error (which is just as good)."""

    def prepare(inputs: Path) -> None:
        folder = (inputs / SOURCE).parent
        for name, target in bring_links(outside).items():
            (folder / name).symlink_to(target)

    with contextlib.suppress(ConversionError):
        return bench.convert(source, prepare=prepare, format=picture_format)
    return []


@pytest.fixture
def started(bench: Bench) -> Bench:
    assert "A" in bench.uml("A -> B")
    return bench


@pytest.mark.parametrize("body", ATTACKS)
def test_no_text_from_outside_gets_into_a_diagram(started: Bench, outside: Path, body: str) -> None:
    sources = [body.format(way=way) for way in ways(started, outside)]
    sources.append(body.replace("{way}/", "link-").format(way="."))
    for source in sources:
        for svg in attack(started, outside, f"@startuml\n{source}\nclass A\n@enduml\n", "svg"):
            assert SECRET not in svg.decode(), source


def test_the_attacks_work_when_the_file_is_an_input(bench: Bench) -> None:
    """So that the test above is about confinement and not about typing errors in it."""
    others = {
        "in/secret.puml": f"!startsub S\nclass {SECRET}\n!endsub\n",
        "in/puml-theme-secret.puml": f"class {SECRET}\n",
        "in/secret.json": f'{{"a": "{SECRET}"}}',
    }
    for body in ATTACKS[:-1]:
        assert SECRET in bench.uml(body.format(way="in"), others=others), body


@pytest.mark.parametrize("source", PICTURES)
def test_no_picture_from_outside_gets_into_a_diagram(started: Bench, outside: Path, source: str) -> None:
    for way in ways(started, outside):
        for data in attack(started, outside, source.format(way=way), "png"):
            with Image.open(io.BytesIO(data)) as picture:
                colours = picture.convert("RGB").getcolors(1 << 24) or []
            assert (255, 0, 0) not in [colour for _, colour in colours], way


def test_links_that_stay_inside_the_inputs_work(bench: Bench) -> None:
    def prepare(inputs: Path) -> None:
        (inputs / SOURCE).with_name("link.puml").symlink_to("../real.puml")

    svg = bench.uml("!include link.puml", others={"../real.puml": "class REAL\n"}, prepare=prepare)
    assert "REAL" in svg


def test_neighbours_of_the_box_are_not_readable(started: Bench) -> None:
    """PlantUML's allow-list compares text: /a/box also allows /a/box2, unless nothing is called so."""
    directory = Path(f"/proc/{started.converter.pids()[0]}/cwd").readlink()
    box = next(parent for parent in directory.parents if parent.name == "box")
    assert not [each for each in box.parent.iterdir() if each != box and each.name.startswith("box")]
    assert box.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["PATH", "HOME", "user.home", "java.class.path"])
def test_the_environment_and_the_properties_are_not_readable(bench: Bench, name: str) -> None:
    assert ">E[]</text>" in bench.uml(f'class "E[%getenv("{name}")]" as A')


class Listener:
    """A real server that notes whether anybody called."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.calls = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.calls += 1
                connection.close()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.close()


@pytest.mark.parametrize(
    "body",
    [
        "!include {url}/a.puml",
        "!includeurl {url}/a.puml",
        "!includesub {url}/a.puml!S",
        '!$x = %load_json("{url}/a.json")\nclass "$x.a" as X',
        "!theme x from {url}",
        "!import {url}/a.zip",
        "note left of A : <img:{url}/a.png>",
        "sprite $s {url}/a.png\nnote left of A : <$s>",
        "class A [[{url}/]]",
    ],
)
def test_nobody_is_called(bench: Bench, listener: Listener, body: str) -> None:
    with contextlib.suppress(ConversionError):
        bench.uml(body.format(url=f"http://127.0.0.1:{listener.port}") + "\nclass A")
    with socket.create_connection(("127.0.0.1", listener.port)) as own:
        own.recv(1)  # The server has counted us, so it has counted everybody before us.
    assert listener.calls == 1


def test_a_colon_in_the_path_opens_nothing(tmp_path: Path) -> None:
    """PlantUML splits its allow-list at colons: "/x/a:b/box" would allow everything that starts with "/x/a"."""
    require("plantuml")
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a.puml").write_text(f"class {SECRET}\n")
    converter = PlantUmlConverter(Settings(), work_dir=tmp_path / "a:b")
    try:
        bench = Bench(converter, tmp_path / "jobs")
        with pytest.raises(ConversionError, match="cannot include"):
            bench.uml(f"!include {tmp_path}/a.puml")
        assert "FINE" in bench.uml("!include part.puml", others={"part.puml": "class FINE\n"})
    finally:
        converter.close()


def test_a_source_outside_the_inputs_is_refused(bench: Bench, outside: Path) -> None:
    (outside / "a.pu").write_text("@startuml\nA -> B\n@enduml\n")
    inputs, outputs = bench.job({SOURCE: "@startuml\nA -> B\n@enduml\n"})
    (inputs / "link.pu").symlink_to(outside / "a.pu")
    for source in ("../../outside/a.pu", str(outside / "a.pu"), "link.pu", "slides/../" + SOURCE, "nothing.pu"):
        with pytest.raises(ConversionError, match="not among the inputs"):
            bench.converter.convert({"source": source, "format": "svg"}, inputs, outputs, print)


def test_inputs_are_never_written_to(bench: Bench) -> None:
    inputs, outputs = bench.job({SOURCE: "@startuml\n!include i.puml\n@enduml\n"})
    part = (inputs / SOURCE).with_name("i.puml")
    part.write_text("class A\n-> ->\n")
    with pytest.raises(ConversionError, match=r"i\.puml, line 2"):
        bench.converter.convert({"source": SOURCE, "format": "svg"}, inputs, outputs, print)
    assert part.read_text() == "class A\n-> ->\n"


@pytest.mark.parametrize(("confined", "warnings"), [(True, 0), (False, 1)])
def test_a_jar_of_the_users_own_is_tried_and_a_leak_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, confined: bool, warnings: int
) -> None:
    require("plantuml")
    jar = locate("plantuml", Settings())
    assert jar is not None
    if not confined:
        weak = [flag for flag in launch._FLAGS if "SECURITY_PROFILE" not in flag]
        monkeypatch.setattr(launch, "_FLAGS", tuple(weak))
    monkeypatch.setenv("PLANTUML_JAR", str(jar.path))
    converter = PlantUmlConverter(Settings(), work_dir=tmp_path)
    try:
        bench = Bench(converter, tmp_path / "jobs")
        bench.uml("A -> B")
        bench.uml("A -> B")
        assert len([each for each in bench.warnings if "outside the course" in each]) == warnings
    finally:
        converter.close()
