"""Titles as parts of paths."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clx.course.names import (
    FALLBACK,
    MAX_BYTES,
    name_problem,
    natural_order,
    path_problem,
    safe_directory,
    safe_name,
    windows_problem,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Einführung in C#", "Einführung in CSharp"),
        ("{a} [b] (c)", "(a) (b) (c)"),
        ("a/b\\c$d#e%f&g<h>i*j=k^l€m|n", "a_b_c_d_e_f_g_h_i_j_k_l_m_n"),
        ("a;b!c?d\"e'f.g:h`i", "abcdefghi"),
        ("C++ & F#", "C++ _ F_"),
        ("  Was ist das?  ", "Was ist das"),
        ("Wait ...", "Wait"),
        ("one\n two\tthree", "one two three"),
        ("L'été : données & cie", "Lété données _ cie"),
        ("CON", "CON"),
        ("a\x00b\x1bc\x7fd\x9fe", "abcde"),
        ("a\ud800b", "ab"),
        ("u\u0308ber", "\u00fcber"),
        ("\u037ea\u1fef", "a"),
        ("../x", "_x"),
        ("", FALLBACK),
        (".", FALLBACK),
        ("..", FALLBACK),
        ("?!\x00", FALLBACK),
        ("x" * 300, "x" * MAX_BYTES),
        ("x" * (MAX_BYTES - 1) + "€ä", "x" * (MAX_BYTES - 1) + "_"),
        ("x" * (MAX_BYTES - 1) + "ä", "x" * (MAX_BYTES - 1)),
        ("x" * (MAX_BYTES - 1) + "q\u0323", "x" * (MAX_BYTES - 1)),
    ],
)
def test_safe_name(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.one_of(st.text(), st.text(alphabet=" .\u0301\u0338=<;\u037eaäC#\n\t\u200d🙂\ud800", max_size=400)))
@example("=\u0338" * 90)
@example("a" * 198 + " b")
def test_a_safe_name_is_always_one_component_that_stays_as_it_is(text: str) -> None:
    name = safe_name(text)
    assert name
    assert name == name.strip()
    assert len(name.encode()) <= MAX_BYTES
    assert not set(name) & set("{}[]/\\$#%&<>*=^€|;!?\"'.:`")
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)
    assert safe_name(name) == name
    assert Path(f"07 {name}.ipynb").name == f"07 {name}.ipynb"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("CON", "CON_"), ("aux", "aux_"), ("COM1", "COM1_"), ("lpt².", "lpt²_"), ("nul ", "nul_")),
        *(("Console", "Console"), ("COM", "COM"), ("con x", "con x"), ("Wait ...", "Wait")),
    ],
)
def test_a_directory_is_called_like_no_device_of_windows(text: str, name: str) -> None:
    assert safe_directory(text) == name
    assert safe_directory(name) == name


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        *(("a/aux.txt", "aux.txt"), ("con", "con"), ("COM1/x", "COM1"), ("a/b?.png", "b?.png"), ("a./b", "a.")),
        *(("a/b ", "b "), ("a/b:c/d", "b:c"), ("a/auxiliary.txt", ""), ("a/.hidden", ""), ("a/x.con", "")),
    ],
)
def test_what_windows_cannot_have_is_known(path: str, problem: str) -> None:
    assert windows_problem(path) == problem


@pytest.mark.parametrize(("one", "two"), [("slides_2.py", "slides_10.py"), ("a/1/z", "a/02/b"), ("a", "b1")])
def test_people_count(one: str, two: str) -> None:
    assert sorted([two, one], key=natural_order) == [one, two]


def test_the_longest_name_fits_a_real_file_system_with_all_that_is_added(tmp_path: Path) -> None:
    name = safe_name("ä🙂" * 200)
    (tmp_path / f".07 {name}.ipynb.{os.getpid()}-12345678.tmp").touch()


@pytest.mark.parametrize("text", ["Week 1", "C#", "TCP/IP", "_", "Input / Output", "1.2", "Wo?"])
def test_good_names(text: str) -> None:
    assert name_problem(text) is None


@pytest.mark.parametrize("text", ["", " ", ".", "..", "...", "../x", "a/../b", "a\\..", "a\nb", "a\x00", "?!", "/"])
def test_bad_names(text: str) -> None:
    assert name_problem(text)


@pytest.mark.parametrize("text", [".", "a", "a/b", "data/*.csv", "a b", "a..b", "...", "~x", "a/", "ä/é"])
def test_good_paths(text: str) -> None:
    assert path_problem(text) is None


@pytest.mark.parametrize(
    "text", ["", " ", "/", "/etc", "..", "a/..", "../a", "a\\b", "C:/x", "c:x", "a\nb", "a\x00", "x" * 256, "ä" * 128]
)
def test_bad_paths(text: str) -> None:
    assert path_problem(text)


@given(st.text(alphabet="./\\aC:\x00 ~", max_size=12))
def test_a_good_path_stays_below(text: str) -> None:
    if path_problem(text) is None:
        assert os.path.normpath(f"/root/{text}").startswith("/root")
