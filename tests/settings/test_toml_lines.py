"""Lines of keys in TOML files."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clx.settings.toml_file import key_lines

DOCUMENT = '''# comment = 1
top = "a # no comment" # [not.a.table]

[workers] # comment
text = """
[fake]
fake = 1
\\""" still"""
raw = \'\'\'
other = 2\'\'\'
list = [ 1, # two = 2
  "]", [2, 3],
  {inner = 1},
]
[ workers . "note\\u0062ook" ]
count=2
a.b . c = 3
day = 1979-05-27 07:32:00
inline = { x = 1, y.z = "}", empty = {} }
[[docker]]
first = 1
[[docker]]
second = 2
'''


def test_every_kind_of_value_is_stepped_over() -> None:
    assert key_lines(DOCUMENT) == {
        ("top",): 2,
        ("workers",): 4,
        ("workers", "text"): 5,
        ("workers", "raw"): 9,
        ("workers", "list"): 11,
        ("workers", "list", "inner"): 13,
        ("workers", "notebook"): 15,
        ("workers", "notebook", "count"): 16,
        ("workers", "notebook", "a"): 17,
        ("workers", "notebook", "a", "b"): 17,
        ("workers", "notebook", "a", "b", "c"): 17,
        ("workers", "notebook", "day"): 18,
        ("workers", "notebook", "inline"): 19,
        ("workers", "notebook", "inline", "x"): 19,
        ("workers", "notebook", "inline", "y"): 19,
        ("workers", "notebook", "inline", "y", "z"): 19,
        ("workers", "notebook", "inline", "empty"): 19,
        ("docker",): 20,
        ("docker", "first"): 21,
        ("docker", "second"): 23,
    }
    tomllib.loads(DOCUMENT)


def paths(value: Any, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    below = value.items() if isinstance(value, dict) else ()
    return {prefix} - {()} | {path for key, each in below for path in paths(each, (*prefix, key))}


KEYS = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", '"\\t#"', "a.b", 'x . "y"'])
VALUES = st.sampled_from(
    [
        "1",
        "true",
        '"x = 1"',
        "'[y]'",
        '"""\n[z]\n"""',
        "'''\nq = 1'''",
        '"\\""',
        '""""a"""""',
        "[1, [2, '],']]",
        "[\n# r = 1\n]",
        "{}",
        "{ h = 1 }",
        "{ i.j = [ 1 ], k = '}' }",
        "1979-05-27 07:32:00Z",
        "-1.5e3",
        '""',
        "''''''",
        '"""\\"""""',
    ]
)
LINES = st.one_of(
    st.builds("{} = {}".format, KEYS, VALUES),
    st.builds("[{}]".format, KEYS),
    st.sampled_from(["", "# a = 1", "  \t"]),
)


@given(st.lists(LINES, max_size=8).map("\n".join))
def test_finds_the_same_keys_as_the_parser(text: str) -> None:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = key_lines(text)
    assert set(lines) == paths(values)
    written = text.split("\n")
    for path, line in lines.items():
        assert path[-1][0] in written[line - 1] or "\\t" in written[line - 1]
