"""A diagram reaches neither files, nor the network, nor the machine."""

from __future__ import annotations

import base64
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.jobtypes.drawio.conftest import Studio
from tests.jobtypes.drawio.diagrams import cell, model
from tests.support.tools import require

from clx.errors import ToolMissingError
from clx.jobtypes.browser import Browser
from clx.jobtypes.drawio.site import ORIGIN, Site
from clx.settings.schema import Settings
from clx.tools.finding import require as require_tool

SECRET = (1, 200, 77)


class Listener:
    """A real server socket that counts the connections it is offered."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.server.getsockname()[1])
        self.connections = 0
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self.server.accept()
            with connection:
                if connection.recv(4) == b"STOP":
                    return
                self.connections += 1

    def close(self) -> int:
        """How many connections came, other than the one that says stop (they queue in order)."""
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"STOP")
            self._thread.join()
        self.server.close()
        return self.connections


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    if listening.server.fileno() >= 0:
        listening.close()


def hostile_labels(url: str) -> list[str]:
    return [
        f"<img src='{url}/img.png'>",
        f"<img src=x onerror=\"fetch('{url}/fetch'); document.title='pwned'\">",
        f"<script>fetch('{url}/script')</script>",
        f"<svg onload=\"fetch('{url}/svg')\"><script>fetch('{url}/svgscript')</script></svg>",
        f"<svg><image href='{url}/svgimage' xlink:href='{url}/svgxlink'/><use href='{url}/use#a'/></svg>",
        f"<svg><foreignObject><iframe src='{url}/foreign'></iframe></foreignObject></svg>",
        f"<iframe src='{url}/iframe'></iframe><object data='{url}/object'></object><embed src='{url}/embed'>",
        f"<iframe srcdoc=\"<script>fetch('{url}/srcdoc')</script>\"></iframe>",
        f"<link rel=preconnect href='{url}'><link rel=dns-prefetch href='{url}'>",
        f"<link rel=stylesheet href='{url}/css'><style>@import '{url}/import'; *{{background:url({url}/bg)}}</style>",
        f"<div style=\"background-image:url('{url}/style')\">styled</div>",
        f"<meta http-equiv=refresh content='0;url={url}/refresh'>",
        f"<video src='{url}/video' poster='{url}/poster' autoplay></video><audio src='{url}/audio'></audio>",
        f"<form action='{url}/form'><input autofocus onfocus=this.form.submit()></form>",
        f"<a href=\"javascript:fetch('{url}/a')\">link</a><math><mtext><img src='{url}/math'></mtext></math>",
    ]


def hostile_diagram(url: str) -> str:
    styles = [
        f"shape=image;image={url}/shape.png;",
        f"html=1;fontFamily=F;fontSource={url.replace(':', '%3A').replace('/', '%2F')}%2Ffont.ttf;",
        f"label;image={url}/label.svg;",
    ]
    labels = [cell(label, "html=1;", number=10 + i, y=70 * i) for i, label in enumerate(hostile_labels(url))]
    shapes = [cell("x", style, number=100 + i, x=200, y=70 * i) for i, style in enumerate(styles)]
    background = f'backgroundImage=\'{{"src":"{url}/bg.png","width":10,"height":10}}\''
    fonts = f'extFonts="F^{url}/ext.ttf|G^https://fonts.googleapis.com/css?family=G"'
    return model(*labels, *shapes, attributes=f"{background} {fonts}")


@pytest.mark.parametrize("form", ["png", "svg"])
def test_no_connection_is_made(studio: Studio, listener: Listener, form: str) -> None:
    url = f"http://127.0.0.1:{listener.port}"
    drawn = studio.draw(hostile_diagram(url), format=form)
    studio.draw(model(cell("the page is still alive")), format=form)
    assert listener.close() == 0
    assert drawn
    assert b"127.0.0.1" not in drawn[f"1.{form}"]


def test_the_listener_notices_a_connection(listener: Listener) -> None:
    """The proof that the test above can fail."""
    client = http.client.HTTPConnection("127.0.0.1", listener.port)
    client.request("GET", "/")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        client.getresponse()
    client.close()
    assert listener.close() == 1


def test_nothing_in_an_svg_can_run(studio: Studio) -> None:
    svg = studio.svg(hostile_diagram("http://192.0.2.1")).lower()
    for word in ("<script", "onerror", "onload", "onfocus", "javascript:", "<iframe", "<object", "<embed"):
        assert word not in svg
    assert "192.0.2.1" not in svg


def secret_picture(directory: Path) -> Path:
    path = directory / "secret.png"
    Image.new("RGB", (40, 40), SECRET).save(path)
    return path


@pytest.mark.parametrize("form", ["png", "svg"])
def test_files_of_the_machine_are_not_shown(studio: Studio, tmp_path: Path, form: str) -> None:
    secret = secret_picture(tmp_path)
    address = secret.as_uri()
    diagram = model(
        cell("", f"shape=image;image={address};"),
        cell(f"<img src='{address}'><iframe src='file:///etc/passwd'></iframe>", number=3, y=200),
        cell("", "shape=image;image=file:///etc/passwd;", number=4, y=300),
        cell("", f"shape=image;image=../../../../../../../..{secret};", number=5, y=400),
    )
    drawn = studio.draw(diagram, format=form)[f"1.{form}"]
    assert any("file:///etc/passwd" in line and "not part of the file" in line for line in studio.warnings)
    if form == "svg":
        assert b"root:" not in drawn
        assert b"file:" not in drawn
        assert b"iVBORw0K" not in drawn, "no bitmap was embedded"
    else:
        found = Image.open(io.BytesIO(drawn)).convert("RGB").getcolors(1 << 20)
        assert found is not None
        assert SECRET not in {colour for _, colour in found}


def test_embedded_pictures_are_shown(studio: Studio, tmp_path: Path) -> None:
    """The proof that the colour above would be found."""
    data = base64.b64encode(secret_picture(tmp_path).read_bytes()).decode()
    drawn = studio.png(model(cell("", f"shape=image;image=data:image/png,{data};")))
    found = Image.open(io.BytesIO(drawn)).convert("RGB").getcolors(1 << 20)
    assert found is not None
    assert SECRET in {colour for _, colour in found}


def test_scripts_do_not_run_even_where_the_application_lets_them_in(studio: Studio, listener: Listener) -> None:
    """Past the application's own cleaning of labels, straight into its page."""
    studio.png(model(cell("warm")))
    exporter = studio.converter._exporter
    assert exporter is not None
    url = f"http://127.0.0.1:{listener.port}"
    insert = """new Promise(done => {
        const box = document.createElement('div'); document.body.append(box);
        box.innerHTML = %s;
        const image = new Image(); image.onerror = () => setTimeout(done, 50); image.src = '/no-such.png';
        box.append(image);
    })"""
    for label in hostile_labels(url):
        exporter.browser.evaluate(insert % json.dumps(label), session=exporter.page.session, timeout=60)
    title = exporter.browser.evaluate("document.title", session=exporter.page.session, timeout=60)
    assert title != "pwned"
    attempts = """(async () => {
        const tried = [fetch(%r), fetch('file:///etc/passwd'), import('data:text/javascript,1')];
        const ended = await Promise.allSettled(tried);
        let evaluated = true;
        try { new Function('return 1')() } catch { evaluated = false }
        return [...ended.map(one => one.status), evaluated];
    })()"""
    outcome = exporter.browser.evaluate(attempts % url, session=exporter.page.session, timeout=60)
    assert outcome == ["rejected", "rejected", "rejected", False]
    assert studio.png(model(cell("alive")))
    assert listener.close() == 0


def test_the_browser_itself_resolves_nothing(tmp_path: Path, listener: Listener) -> None:
    """Without request interception and without a policy: the third wall alone."""
    require("drawio")
    browser = Browser(require_tool("browser", Settings()).path, tmp_path, lambda _event: None)
    try:
        target = browser.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = browser.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        reached = browser.evaluate(
            f"fetch('http://127.0.0.1:{listener.port}/', {{mode: 'no-cors'}}).then(() => true, () => false)",
            session=attached["sessionId"],
            timeout=60,
        )
    finally:
        browser.kill()
    assert reached is False
    assert listener.close() == 0


@pytest.mark.parametrize(
    "path",
    [
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/js/..%2f..%2f..%2fsecret.txt",
        "/link.txt",
        "/math/es5/../../secret.txt",
        "/math/es5/startup.js",
        "/%00",
        "/",
    ],
)
def test_the_site_stays_in_its_directory(tmp_path: Path, path: str) -> None:
    application = tmp_path / "app"
    (application / "js").mkdir(parents=True)
    for name in ("app.min.js", "export.js", "stencils.min.js", "shapes-14-6-5.min.js"):
        (application / "js" / name).write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    (application / "link.txt").symlink_to(tmp_path / "secret.txt")
    site = Site(application, None)
    assert site.answer(ORIGIN + path) is None
    assert site.answer(ORIGIN + "/js/export.js") is not None
    assert site.answer(ORIGIN.replace("https", "http") + "/js/export.js") is None
    assert site.answer(f"{ORIGIN}.evil.example/js/export.js") is None


def test_a_directory_that_is_not_the_application_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"is not a complete draw\.io application"):
        Site(tmp_path, None)
