"""The pages of a course as a whole: what stands on them, when they are written, and when they go."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.support.courses import tree
from tests.support.planning import job_of

from clx.artifacts.store import ArtifactStore
from clx.course.build_state import BuildState, Owner
from clx.course.layout import Layout, Selection
from clx.course.pages import renewal
from clx.course.pages.course_index import CourseIndex
from clx.course.pages.entries import quoted_path
from clx.course.pages.places import TASK
from clx.course.pages.shelf import _anchors
from clx.course.plan import OutlineDeck, OutputPath, Plan
from clx.course.publish import OutputFile, Publisher
from clx.course.spec import CourseSpec, read_spec
from clx.db.jobs import Queue

SPEC = """name: {de: Ein Kurs, en: "A <Course>"}
prog_lang: python
description: {de: Worum es geht, en: What it is about}
sections:
  - {name: {de: Eins, en: One}, topics: [a]}
  - {name: {de: Zwei, en: Two}, topics: [b]}
"""
PAGE = '<main id="main"><h1 id="top">%s</h1><p>%s</p></main>'
COMPLETED = "public/En/A _Course_/Slides/Html/Completed"
SPEAKER = "speaker/En/A _Course_/Slides/Html/Speaker"


class Site:
    """A course of two decks, whose files are published without being built."""

    def __init__(self, root: Path, state: BuildState) -> None:
        self.root, self.state = root, state
        self.spec = read_spec(SPEC, "course.yaml")
        self.published: set[str] = set()
        self.text = {"a.py": "about loops", "b.py": "about names"}
        self.titles = {"a.py": "Loops & more", "b.py": "Names"}
        self.anew()

    def anew(self, selection: Selection | None = None, course: str = "course.yaml") -> Site:
        """As a next build sees it."""
        self.selection = selection or Selection()
        layout = Layout(self.spec, self.selection)
        output = self.root / "output"
        self.store = ArtifactStore(self.root / "artifacts")
        owner = Owner(str(self.root / course), str(output))
        self.publisher = Publisher(layout.directories(output), owner, self.state, self.store, self.root / "state")
        self.plan = Plan()
        self.plan.outline = [
            OutlineDeck(section, 1, source, {"de": title, "en": title})
            for section, (source, title) in enumerate(self.titles.items())
        ]
        self.plan.jobs = [job_of(source, key=text) for source, text in self.text.items()]
        self.layout = layout
        self.index = CourseIndex(self.root, self.spec, self.selection, self.plan, self.publisher, self.store)
        return self

    def publish(self, *sources: str) -> Site:
        """Write the files of decks in all variants that are asked for."""
        files = []
        extensions = {"html": ".html", "notebook": ".ipynb", "code": ".py"}
        for number, source in enumerate(self.titles):
            if source not in (sources or self.titles):
                continue
            for each in self.layout.variants:
                section = self.layout.sections[each.variant.language][number]
                kind = each.variant.kind
                title = self.titles[source]
                data = (PAGE % (title, f"{self.text[source]} {kind}")).encode()
                path = f"{each.path}/{section}/01 {title}{extensions[each.variant.format]}"
                task = f"render {each.variant.language}"
                place = OutputPath(each.target, path, str(each.variant))
                files.append(OutputFile(place, source, task, self.text[source], self.store.put_bytes(data)))
        self.publisher.publish(files)
        self.published = {file.place.path for file in files}
        return self

    def remove_unpublished(self) -> Site:
        """Remove the files of decks that were not just published."""
        rows = [row for rows in self.publisher.owned().values() for row in rows.values()]
        self.publisher.remove(row for row in rows if row.task != TASK and row.path not in self.published)
        return self

    def refresh(self, *unmade: tuple[str, str], has_changed: bool = True, is_withdrawn: bool = False) -> Site:
        """What comes after the decks."""
        self.index.refresh(set(unmade), has_changed=has_changed, is_withdrawn=is_withdrawn)
        return self

    def read(self, path: str) -> str:
        return (self.root / "output" / path).read_text()

    def files(self) -> set[str]:
        """The files that belong to no deck."""
        found = (path.relative_to(self.root / "output") for path in (self.root / "output").rglob("*") if path.is_file())
        return {str(path) for path in found if not path.name.startswith("0")}


@pytest.fixture
def site(tmp_path: Path, state: BuildState) -> Iterator[Site]:
    site = Site(tmp_path, state)
    yield site
    site.publisher.close()


def data_of(script: str) -> Any:
    return json.loads(script[script.rindex("})({") + 3 : script.rindex(")")])


def found_in(script: str) -> Any:
    return json.loads(script[script.index("clxSearch(") + 10 : script.rindex(")")])


def test_each_kind_has_its_index_with_all_that_is_there(site: Site) -> None:
    site.publish().refresh()
    page = site.read(f"{COMPLETED}/index.html")
    assert '<h1 class="title">A &lt;Course&gt;</h1>' in page
    assert "What it is about" in page
    assert '<a href="One/01%20Loops%20%26%20more.html">Loops &amp; more</a>' in page
    assert 'href="../../Notebooks/Completed/One/01%20Loops%20%26%20more.ipynb"' not in page  # its own target's root
    assert "Notebooks/Completed/One/01%20Loops%20%26%20more.ipynb" in page
    assert page.index(">One<") < page.index(">Loops") < page.index(">Two<") < page.index(">Names")
    assert "sitemap" not in page
    top = site.read("public/index.html")
    assert top.count('/index.html"') == 4
    assert "Html/Speaker" not in top


def test_the_top_page_is_called_as_the_course_is_in_each_language(site: Site) -> None:
    top = site.publish().refresh().read("public/index.html")
    assert '<h1 class="title">Ein Kurs · A &lt;Course&gt;</h1>' in top
    assert "<h2>" not in top
    assert 'name="author"' not in top


def test_programs_are_told_who_has_written_the_course(site: Site) -> None:
    site.publish().refresh()
    site.spec = read_spec(SPEC + "author: {de: Jana <J>, en: Jane}\n", "course.yaml")
    site.anew().refresh(has_changed=False)
    assert '<meta name="author" content="Jana &lt;J&gt;">' in site.read("public/index.html")
    assert '<meta name="author" content="Jane">' in site.read(f"{COMPLETED}/index.html")


def test_every_link_leads_to_a_file(site: Site) -> None:
    import re
    from urllib.parse import unquote

    site.publish().refresh()
    for page in (site.root / "output").rglob("*.html"):
        for link in re.findall(r'(?:href|src)="([^"#:]+)"', page.read_text()):
            assert (page.parent / unquote(link)).is_file(), (page, link)


def test_the_way_and_the_search_know_the_decks_of_their_own_kind(site: Site) -> None:
    site.publish().refresh()
    data = data_of(site.read(f"{COMPLETED}/course.js"))
    assert [deck[:3] for deck in data["decks"]] == [
        ["0", "One/01%20Loops%20%26%20more.html", "01 Loops & more"],
        ["1", "Two/01%20Names.html", "01 Names"],
    ]
    found = found_in(site.read(f"{COMPLETED}/search.js"))
    assert found["Two/01%20Names.html"][1] == [["top", "Names", "about names completed"]]
    assert "speaker" not in site.read(f"{COMPLETED}/search.js")
    assert "about names speaker" in site.read(f"{SPEAKER}/search.js")


def test_nothing_is_written_when_nothing_has_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.publish().refresh()
    files = site.files()
    site.anew()
    monkeypatch.setattr(site.index, "_files", lambda _unmade: pytest.fail("looked at all pages"))
    site.refresh(has_changed=False)
    assert site.index.count() == len(files) == 6 * 3 + 2 + 2  # the sitemap in two languages, two targets


@pytest.mark.parametrize("name", ["index.html", "course.js", "search.js"])
def test_a_file_that_is_gone_comes_again(site: Site, name: str) -> None:
    site.publish().refresh()
    path = site.root / "output" / COMPLETED / name
    before = path.read_bytes()
    path.unlink()
    site.anew().refresh(has_changed=False)
    assert path.read_bytes() == before


def test_a_build_that_was_killed_before_them_makes_them_next_time(site: Site) -> None:
    site.publish()
    site.anew().refresh(has_changed=False)
    before = {path: site.read(path) for path in site.files()}
    site.text["a.py"] = "other words"
    site.anew().publish()
    site.anew().refresh(has_changed=False)
    after = {path: site.read(path) for path in site.files()}
    assert before.keys() == after.keys()
    assert "other words" in after[f"{COMPLETED}/search.js"]
    assert after[f"{COMPLETED}/index.html"] == before[f"{COMPLETED}/index.html"]


def test_only_pages_that_changed_are_read_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.publish().refresh()
    read: list[str] = []

    def note(text: str) -> list[Any]:
        read.append(text)
        return []

    site.text["b.py"] = "other words"
    site.anew().publish("b.py")
    monkeypatch.setattr(renewal, "sections", note)
    site.refresh()
    assert len(read) == 6
    assert all("other words" in text for text in read)
    assert "about loops" in site.read(f"{COMPLETED}/search.js")


def test_an_edit_of_text_makes_no_page_of_links_anew(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a course of a thousand decks one costs one, and all is as if it were built from nothing."""
    from clx.course.pages import shelf

    site.publish().refresh()
    site.text["b.py"] = "other words"
    site.anew().publish("b.py")
    with monkeypatch.context() as without:
        without.delattr(shelf, "Maker")
        site.refresh()
    assert "other words" in site.read(f"{COMPLETED}/search.js")
    assert is_as_from_nothing(site)
    site.anew().refresh(has_changed=False)  # which is known to be current


def text(site: Site) -> None:
    site.text["a.py"] = "other words"


def title(site: Site) -> None:
    site.titles["a.py"] = "Another title"


def look(site: Site) -> None:
    site.spec = read_spec(SPEC + "author: Somebody\nlabels: {en: {speaker: Teacher}}\n", "course.yaml")


def section(site: Site) -> None:
    site.spec = read_spec(SPEC.replace("One", "First"), "course.yaml")


def less(site: Site) -> None:
    del site.titles["b.py"], site.text["b.py"]


def damage(name: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        text(site)
        (site.root / "output" / COMPLETED / name).write_text("somebody's")

    return change


def remove(name: str) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        text(site)
        (site.root / "output" / COMPLETED / name).unlink()

    return change


@pytest.mark.parametrize(
    "changes",
    [
        *([text], [title], [look], [section], [less], [text, text], [title, text], [text, title, text], [less, text]),
        *([damage(name)] for name in ("index.html", "search.js", "course.js")),
        *([remove(name), text] for name in ("index.html", "search.js", "course.js")),
    ],
)
def test_after_any_change_all_is_as_if_it_were_built_from_nothing(
    site: Site, changes: list[Callable[[Site], None]]
) -> None:
    site.publish().refresh()
    for change in changes:
        change(site)
        site.anew().publish().remove_unpublished().refresh()
        assert is_as_from_nothing(site)


def is_as_from_nothing(site: Site) -> bool:
    """Whether all files are those of a build into another place of which nothing is known."""
    root = site.root / "elsewhere"
    shutil.rmtree(root, ignore_errors=True)
    with Queue.open(root / "jobs.db") as queue:
        other = Site(root, BuildState(queue.database))
        other.spec, other.titles, other.text = site.spec, site.titles, site.text
        other.anew().publish().refresh()
        other.publisher.close()
    return tree(other.root / "output") == tree(site.root / "output")


def test_a_reader_is_told_of_what_a_deck_says_and_not_of_its_look(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.publish().refresh()
    before = [deck[3] for deck in data_of(site.read(f"{COMPLETED}/course.js"))["decks"]]
    site.text["b.py"] = "other words"
    monkeypatch.setattr(f"{__name__}.PAGE", "<style>new</style>" + PAGE)
    site.anew().publish().refresh()
    after = [deck[3] for deck in data_of(site.read(f"{COMPLETED}/course.js"))["decks"]]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_a_build_of_a_part_leaves_the_pages_of_others_alone(site: Site) -> None:
    site.publish().refresh()
    before = {path: site.read(path) for path in site.files()}
    site.text["a.py"] = "other words"
    part = Selection(languages=frozenset({"en"}), kinds=frozenset({"completed"}))
    site.anew(part).publish().refresh()
    changed = {path for path in site.files() if site.read(path) != before[path]}
    assert changed == {f"{COMPLETED}/course.js", f"{COMPLETED}/search.js"}
    assert site.files() == before.keys()


def test_what_was_withdrawn_stands_on_no_page_also_of_what_was_not_asked_for(site: Site) -> None:
    site.publish().refresh()
    gone = [row for rows in site.publisher.owned().values() for row in rows.values() if row.source == "a.py"]
    site.anew(Selection(formats=frozenset({"code"})))
    site.publisher.remove(gone)
    site.refresh(is_withdrawn=True)
    assert "about loops" not in site.read(f"{COMPLETED}/search.js")
    assert "01%20Loops" not in site.read(f"{COMPLETED}/index.html")
    assert site.read(f"{COMPLETED}/index.html").count(">not built<") == 1


def test_pages_go_with_the_last_deck_of_their_kind(site: Site) -> None:
    site.publish().refresh()
    own = Selection()
    gone = [row for rows in site.publisher.owned().values() for row in rows.values() if "/En/" in f"/{row.path}"]
    site.anew(own).publisher.remove([row for row in gone if row.task != "index"])
    site.refresh()
    assert not [path for path in site.files() if "/En/" in path]
    assert f"{COMPLETED}/index.html".replace("En/A _Course_/Slides", "De/Ein Kurs/Folien") in site.files()


def test_teachers_see_what_failed_and_students_do_not(site: Site) -> None:
    site.publish("a.py").refresh(("a.py", "execute en"), ("b.py", "render en"))
    sitemap = site.read(f"{SPEAKER}/sitemap.html")
    assert sitemap.count('<span class="state stale">out of date</span>') == 1
    assert sitemap.count('<span class="state failed">failed</span>') == 1
    assert "../../../../../../public/En/A%20_Course_/Slides/Html/Code-Along/One/01%20Loops" in sitemap
    assert "out of date" in site.read(f"{SPEAKER}/index.html")
    page = site.read(f"{COMPLETED}/index.html")
    assert "out of date" not in page
    assert "failed" not in page.partition("</style>")[2]


def test_a_deck_of_an_earlier_title_is_still_led_to(site: Site) -> None:
    site.publish().refresh()
    site.titles["a.py"] = "Another title"
    site.anew().refresh(("a.py", "execute en"))
    assert '<a href="One/01%20Loops%20%26%20more.html">Another title</a>' in site.read(f"{COMPLETED}/index.html")


def test_decks_of_a_section_whose_directory_is_called_otherwise_are_led_to(site: Site) -> None:
    site.spec = read_spec(SPEC.replace("en: One", "en: Con"), "course.yaml")
    site.anew().publish().refresh()
    assert '<a href="Con_/01%20Loops%20%26%20more.html">Loops &amp; more</a>' in site.read(f"{COMPLETED}/index.html")
    assert "about loops" in site.read(f"{COMPLETED}/search.js")


def test_pages_in_directories_of_a_section_and_files_of_the_whole_course_are_led_to(site: Site) -> None:
    site.publish()
    files = [
        (f"{COMPLETED}/Two/sub/01 Names.html", "en/completed/html", "b.py", "render en"),
        (f"{COMPLETED}/A _Course_.pdf".replace("Html", "Pdf"), "en/completed/pdf", "course.yaml", "pdf completed en"),
    ]
    own = [row for rows in site.publisher.owned().values() for row in rows.values()]
    site.publisher.remove([row for row in own if row.source == "b.py" and row.slice == "en/completed/html"])
    digest = site.store.put_bytes((PAGE % ("Names", "below")).encode())
    for path, slice_, source, task in files:
        place = OutputPath(0, path.removeprefix("public/"), slice_)
        site.publisher.publish([OutputFile(place, source, task, "key", digest)])
    site.refresh()
    page = site.read(f"{COMPLETED}/index.html")
    assert '<a href="Two/sub/01%20Names.html">Names</a>' in page
    assert 'Pdf/Completed/A%20_Course_.pdf" aria-label="PDF: A &lt;Course&gt;">PDF</a>' in page
    assert "below" in site.read(f"{COMPLETED}/search.js")


def test_sections_called_like_a_device_have_their_decks(site: Site) -> None:
    site.spec = read_spec(SPEC.replace("en: One", "en: Con").replace("en: Two", "en: aux"), "course.yaml")
    site.anew().publish().refresh()
    page = site.read(f"{COMPLETED}/index.html")
    assert '<a href="Con_/01%20Loops%20%26%20more.html">' in page
    assert '<a href="aux_/01%20Names.html">' in page


def test_courses_of_one_target_share_its_top_page(site: Site) -> None:
    site.publish().refresh()
    site.spec = read_spec(SPEC.replace("Ein Kurs", "Zweiter").replace("A <Course>", "Second"), "other.yaml")
    site.anew(course="other.yaml").publish().refresh()
    top = site.read("public/index.html")
    assert top.count('/index.html"') == 8
    assert "A _Course_" in top
    assert ">Second<" in top
    site.spec = read_spec(SPEC, "course.yaml")
    site.anew().refresh(has_changed=False)
    assert site.read("public/index.html") == top


def test_slides_that_are_asked_for_have_an_index_of_their_own(site: Site) -> None:
    site.publish().refresh()
    before = site.files()
    digest = site.store.put_bytes((PAGE % ("Names", "slides")).encode())
    slides = COMPLETED.replace("Html", "Slides")
    place = OutputPath(0, f"{slides.removeprefix('public/')}/Two/01 Names.html", "en/completed/slides")
    site.anew(Selection(formats=frozenset({"slides"})))
    site.publisher.publish([OutputFile(place, "b.py", "render en", "key", digest)])
    site.refresh()
    assert site.files() - before == {f"{slides}/{name}" for name in ("index.html", "course.js", "search.js")}
    assert before <= site.files()
    site.anew(Selection(formats=frozenset({"html"}))).refresh()
    assert f"{slides}/index.html" in site.files()


def test_files_of_authors_are_not_replaced(site: Site) -> None:
    path = COMPLETED.removeprefix("public/") + "/course.js"
    site.plan.places[0, path] = ("div/course.js", "digest")
    site.index = CourseIndex(site.root, site.spec, site.selection, site.plan, site.publisher, site.store)
    site.publish().refresh()
    assert f"public/{path}" not in site.files()
    assert f"{COMPLETED}/index.html" in site.files()


def test_a_course_may_go_without(site: Site) -> None:
    site.spec = read_spec(SPEC + "index: false\n", "course.yaml")
    site.anew().publish().refresh()
    assert site.files() == set()
    assert site.index.wanted() == set()


def test_damage_in_the_store_is_mended(site: Site) -> None:
    site.publish().refresh()
    path = site.root / "output" / COMPLETED / "search.js"
    before = path.read_bytes()
    import hashlib

    kept = site.store.path(hashlib.sha256(before).hexdigest())
    kept.chmod(0o644)
    kept.write_bytes(before[:-1] + b"!")
    path.unlink()
    site.anew().refresh(has_changed=False)
    assert path.read_bytes() == before


def test_a_spec_says_whether_there_is_an_index() -> None:
    assert read_spec(SPEC, "c").index is True
    spec: CourseSpec = read_spec(SPEC + "index: false\n", "c")
    assert spec.index is False


# -- links ------------------------------------------------------------------------------------------


def test_two_formats_of_one_name_are_two_links_and_nothing_of_them_is_markup() -> None:
    found = _anchors([("A<", "x'.ipynb"), ("A<", "x.py")], 'Loops & "more"')
    of = 'aria-label="A&lt;: Loops &amp; &#34;more&#34;">A&lt;</a>'
    assert found == f'<a href="x&#39;.ipynb" {of}<a href="x.py" {of}'


@pytest.mark.parametrize(
    "path", ["", "En/01 Loops (x).html", "a%20b", "é b", "a&b c", "a#b", "a\tb", "a\n", "~/+@=!,'"]
)
def test_paths_are_quoted_as_the_standard_library_does(path: str) -> None:
    assert quoted_path(path) == quote(path, safe="/()!,'~+@=")
