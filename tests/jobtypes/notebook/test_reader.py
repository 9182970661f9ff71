"""Decks are read within limits of memory and time, whatever their templates and headers do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from clx.errors import ConversionError
from clx.jobtypes.notebook.deck_text import Asked, DeckText, mentioned
from clx.jobtypes.notebook.limits import MEMORY_FACT, TIME_FACT
from clx.jobtypes.notebook.reader import DeckReader

from .conftest import Course

GROWING = [
    '{% set ns = namespace(x="a" * 1000) %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}',
    '{% set ns = namespace(x="a" * 1000) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}',
    "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    '{{ ("%3000000000d" % 1)|length }}',
    '{{ "%3000000000s"|format(1)|length }}',
    '{{ "a".ljust(8000000000)|length }}',
    '{{ "a".zfill(8000000000)|length }}',
    '{{ "\\t".expandtabs(2000000000)|length }}',
    '{{ "{:>8000000000}".format("x")|length }}',
    '{{ "a"|center(8000000000)|length }}',
    '{{ "a"|indent(2000000000, true)|length }}',
    '{{ ("a" * 900000).replace("a", "a" * 900000)|length }}',
    "{{ [[[1]]]|tojson(indent=2000000000)|length }}",
    '{{ (["a" * 1000000] * 1000000)|join|length }}',
    "{{ [1]|batch(1000000000, 1)|list|length }}",
]
ENDLESS = [
    "{{ [[[1] * 1000000] * 1000000]|string|length }}",
    "{{ [1]|slice(1000000000)|list|length }}",
    '{{ range(100000)|reject("in", range(100000)|map("string")|list)|list|length }}',
    "{{ lipsum(n=1000000000)|length }}",
    '{{ ("a" * 900000)|wordwrap(1)|wordwrap(2)|length }}',
    "{% for i in range(99999) %}{{ range(99999)|sum }}{% endfor %}",
    "{% set a = [0] * 1000000 %}{% set b = [0] * 1000000 %}{{ [a] * 1000000 == [b] * 1000000 }}",
]


def slow(bomb: str) -> object:
    """A parameter that takes as long as a deck may."""
    return pytest.param(bomb, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def reader() -> Iterator[DeckReader]:
    """One for all tests, as a build has one for all decks: whatever one of them does to it, the next is read."""
    with DeckReader() as found:
        yield found


def read(reader: DeckReader, course: Course, text: str, name: str = "slides_x.py") -> DeckText:
    path = course.write(name, text)
    return reader.read(Asked(str(course.root), str(path), ["en"], [(True, False)], {}, "python"))


@pytest.mark.parametrize("bomb", [*GROWING, *map(slow, ENDLESS)])
def test_no_template_takes_the_machine_or_for_ever(course: Course, reader: DeckReader, bomb: str) -> None:
    with pytest.raises(ConversionError) as caught:
        read(reader, course, f"# %% [markdown]\n# 1\n\n# {bomb}\n")
    assert caught.value.line == 4
    assert caught.value.fact in {MEMORY_FACT, TIME_FACT}, "a busy machine may run out of time first"
    assert read(reader, course, "# %%\n1\n").links == [], "the next deck is read as ever"


@pytest.mark.parametrize("bomb", [GROWING[0], slow(ENDLESS[2]), slow(ENDLESS[-1])])
def test_the_line_is_the_decks_when_a_macro_of_the_course_runs_wild(
    course: Course, reader: DeckReader, bomb: str
) -> None:
    course.write("templates/wild.j2", "{% macro wild() %}\n\n" + bomb + "{% endmacro %}")
    with pytest.raises(ConversionError) as caught:
        read(reader, course, "# j2 from 'wild.j2' import wild\n# %%\n1\n\n# {{ wild() }}\n")
    assert caught.value.line == 5


def _aliases(levels: int) -> str:
    lines = ["  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "---\njupyter:\n" + "\n".join(lines) + "\n---\n\n# Hi\n"


@pytest.mark.parametrize(
    ("text", "fact", "line"),
    [
        (_aliases(9), "repeat more than", 7),
        ("---\na: &a [*a]\n---\n\n# Hi\n", "*a contains itself", 2),
        ("---\na: &a {b: *a}\n---\n\n# Hi\n", "*a contains itself", 2),
        ("---\na: " + "[" * 5000 + "]" * 5000 + "\n---\n\n# Hi\n", "nested more than", 2),
        ("---\nb:\n  a: 1" + ":1" * 50_000 + "\n---\n\n# Hi\n", "more than 1000 digits", 3),
        ("---\na: 0x" + "f" * 50_000 + "\n---\n\n# Hi\n", "more than 1000 digits", 2),
        ("---\n" + "- " * 5000 + "1\n---\n\n# Hi\n", "nested more than", 2),
    ],
)
def test_a_header_is_small_also_when_it_is_read(
    course: Course, reader: DeckReader, text: str, fact: str, line: int
) -> None:
    (problem,) = read(reader, course, text, "slides_x.md").problems
    assert fact in problem.fact
    assert problem.line == line


def test_aliases_in_a_header_are_fine_where_they_are_few(course: Course, reader: DeckReader) -> None:
    text = _aliases(3).replace("# Hi", "# Hi\n\n![](a.png)")
    assert read(reader, course, text, "slides_x.md").links == ["a.png"]


def test_one_process_reads_all_decks_and_ends_with_its_reader(course: Course) -> None:
    me = psutil.Process()
    before = {child.pid for child in me.children()}
    with DeckReader() as reader:
        for number in range(3):
            read(reader, course, "# %%\n1\n", f"slides_{number}.py")
        started = [child for child in me.children() if child.pid not in before]
        assert len(started) == 1
    assert not started[0].is_running()


def test_time_in_which_the_process_starts_can_be_used(course: Course) -> None:
    calls = list[str]()
    with DeckReader(lambda: calls.append("called")) as reader:
        assert not calls
        assert read(reader, course, "# %%\n1\n", "slides_a.py").titles == {}
        assert calls == ["called"]
        reader.close()
        read(reader, course, "# %%\n1\n", "slides_a.py")
        assert calls == ["called"], "only the first time"


def test_a_process_that_was_killed_is_told_and_replaced(course: Course, reader: DeckReader) -> None:
    read(reader, course, "# %%\n1\n")
    assert reader._process is not None
    os.kill(reader._process.pid, 9)
    reader._process.wait()
    with pytest.raises(ConversionError, match=MEMORY_FACT):
        read(reader, course, "# %%\n1\n")
    read(reader, course, "# %%\n1\n")


def test_what_a_deck_mentions() -> None:
    text = (
        "flow.pu a/b.drawio, x.png ./slides_b.py.bak v1.2.puml-old sub.py_x\nimport topic_c\n\n from slides_d import e"
    )
    assert set(mentioned(text)) == {"flow.pu", "b.drawio", "slides_b.py", "v1.2.puml", "topic_c", "slides_d"}


def test_memory_is_as_it_was_behind_a_deck(course: Course) -> None:
    import resource

    from .test_expand import expanded

    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(ConversionError, match=MEMORY_FACT) as caught:
        expanded(course, f"# %% [markdown]\n# 1\n# {GROWING[0]}\n")
    assert caught.value.line == 3
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert Path("/proc/self/statm").exists()


LONG = 300_000


@pytest.mark.parametrize(
    "text",
    [
        "# %%\nx = '" + "a" * LONG + "'\n",
        "# %%\nx = '" + "a.-" * (LONG // 3) + "'\n",
        "# %% [markdown]\n# " + "<img " * (LONG // 5),
        "# %% [markdown]\n# " + "<img src= " * (LONG // 10),
        "# %% [markdown]\n# " + "<img src=' " * (LONG // 11),
        "# %% [markdown]\n# " + "](<" * (LONG // 3),
        "# %% [markdown]\n#" + " " * LONG + "x\n",
        "# %% [markdown]\n" + "# ```a\n" * (LONG // 7),
        "# %% [markdown]\n# ```a\n" * (LONG // 24),
        "# %% [markdown]\n# " + "`" * LONG + "\n# x\n# " + "`" * (LONG - 9),
        "# %% " + "a" * LONG + "\n1\n",
        "# %% " + "".join(f"a{number}={{ " for number in range(LONG // 9)) + "\n1\n",
        "# %%\n1\n" + "\n" * LONG + "import x\n",
        "# %%\n1\n" + "# " * (LONG // 2) + "tag\n",
        "# %%\n1\n#" + " " * LONG + "tag\n",
        "# %%\n1\n# % " + "tag " * (LONG // 4) + "\n",
        "# %%\n1\n# % tags=[" + "slide " * (LONG // 6) + "\n",
        "# %%\n1\n" + "\u200b# % % tagged\n" * (LONG // 13),
        '# %%\n{{ 1 }}\n# %% tags=["private"]\n' + "{{ 1 }}" * 9_000 + "\n",
        '# %%\n{{ 1 }}\n# %% tags=["private"]\n' + "{% if 1 %}\n# %%\n{% endif %}\nx\n" * 2_000 + "\n",
        "# %%\n1\n" + "%% tag" * (LONG // 6) + "\n",
        "# %%\n" + "{{ a\n" * (LONG // 5),
        "# %%\nx" + "{{ a }} " * (LONG // 8) + "\n",
        "# %%\nx" + "{% if a %}{% endif %}" * (LONG // 21) + "\n",
        "# %%\nx" + "{{1, " * (LONG // 5) + "\n",
        "# %% [markdown]\n# " + "$$ " * (LONG // 3) + "{{1}}\n",
        "# %%\n1\n" + "# j2 if true\n# j2 endif\n" * 3_000,
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_long_texts_are_read_in_linear_time(course: Course, reader: DeckReader, text: str) -> None:
    """Each would take minutes at least if its time grew with the square of its length; a reader gives up before."""
    read(reader, course, text)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("clx.jobtypes.notebook.deck:relinked", "<img " * (LONG // 5)),
        ("clx.jobtypes.notebook.deck:relinked", "`" * LONG),
        ("clx.jobtypes.notebook.deck:relinked", "".join("`" * length + " " for length in range(1, 770))),
        ("clx.jobtypes.notebook.deck:relinked", "`a` [x](b) " * (LONG // 11)),
        ("clx.jobtypes.notebook.markup:Markup.html", "<div>\n" + "<img " * (LONG // 5)),
        ("clx.jobtypes.notebook.markup:Markup.html", "# a\n\n" * 20_000),
        ("clx.jobtypes.plantuml.blocks:split_blocks", "@startuml\n" + "\n" * LONG + "a\n@enduml\n"),
        ("clx.jobtypes.plantuml.blocks:split_blocks", "@startuml\n" + "/' " * (LONG // 3) + "\na\n@enduml\n"),
        ("clx.jobtypes.plantuml.includes:includes", "\n" * LONG),
        ("clx.jobtypes.notebook.deck:relinked", '<a href="x" ' * (LONG // 12)),
        ("clx.jobtypes.notebook.page_refs:references", "<script>" * (LONG // 8)),
        ("clx.jobtypes.notebook.page_refs:references", "<!--" * (LONG // 4)),
        ("clx.jobtypes.notebook.page_refs:references", "<svg>" * (LONG // 5)),
        ("clx.jobtypes.notebook.page_refs:references", "<a '" * (LONG // 4)),
        ("clx.jobtypes.notebook.page_refs:references", ' href="x"' * (LONG // 9)),
        ("clx.jobtypes.notebook.page_refs:references", "<a" + ' href="x"' * (LONG // 9) + ">"),
        ("clx.jobtypes.notebook.attachments:embedded", ' src="attachment:' * (LONG // 17)),
        ("clx.jobtypes.notebook.ansi:ansi_html", "\x1b[" + "1;" * (LONG * 3) + "mx"),
    ],
    ids=lambda value: ascii(value[:40]),
)
@pytest.mark.slow
def test_long_texts_are_converted_in_linear_time(function: str, text: str) -> None:
    module, _, name = function.partition(":")
    program = f"""if True:
        import sys
        from {module} import {name.partition(".")[0]}
        text = sys.stdin.read()
        {{"relinked": lambda: relinked(text, {{"a": "b"}}), "Markup.html": lambda: Markup().html(text, doc="x"),
         "embedded": lambda: embedded(text, {{}}, str)}}.get(
            "{name}", lambda: {name}(text))()
    """
    subprocess.run([sys.executable, "-c", program], input=text, text=True, check=True, timeout=100)
