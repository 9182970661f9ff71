"""Notebooks as decks in a course, and files that are only called like one."""

from __future__ import annotations

import json

import pytest
from tests.support.courses import Course
from tests.support.planning import copied, plan_of

from clx.jobtypes.notebook.deck import decks_among, is_misnamed

TOPIC = "slides/module_1/topic_100_values"
NOTEBOOK = json.dumps({"cells": [{"cell_type": "markdown", "metadata": {}, "source": ["# Hi"]}], "nbformat": 4})


def test_a_notebook_is_a_deck(course: Course) -> None:
    course.write(f"{TOPIC}/slides_a.ipynb", NOTEBOOK)
    course.spec("values")
    plan = plan_of(course)
    assert [job.source for job in plan.jobs][:1] == [f"{TOPIC}/slides_a.ipynb"]
    assert (plan.decks, plan.warnings, copied(plan)) == (1, [], set())


@pytest.mark.parametrize("pair", ["slides_a.ipynb", "pairs/slides_a.ipynb", "slides_a.nbconvert.ipynb"])
def test_beside_a_text_deck_of_its_name_a_notebook_is_left_out(course: Course, pair: str) -> None:
    course.write(f"{TOPIC}/slides_a.py", "# %%\n1\n")
    course.write(f"{TOPIC}/{pair}", NOTEBOOK)
    course.spec("values")
    plan = plan_of(course)
    assert {job.source for job in plan.jobs} == {f"{TOPIC}/slides_a.py"}
    assert copied(plan) == set()
    [warning] = plan.warnings
    assert f"{TOPIC}/{pair}" in warning


def test_a_topic_of_one_file_may_be_a_notebook_or_have_one_as_its_pair(course: Course) -> None:
    course.write("slides/module_1/topic_100_values.py", "# %%\n1\n")
    course.write("slides/module_1/topic_100_values.ipynb", NOTEBOOK)
    course.write("slides/module_1/topic_110_names.ipynb", NOTEBOOK)
    course.spec("values", "names")
    assert {job.source for job in plan_of(course).jobs} == {
        "slides/module_1/topic_100_values.py",
        "slides/module_1/topic_110_names.ipynb",
    }


@pytest.mark.parametrize("name", ["slides_q.qmd", "slides_r.R", "topic_j.js", "slides_s.sql"])
def test_a_file_that_is_only_called_like_a_deck_is_left_out_and_told(course: Course, name: str) -> None:
    course.write(f"{TOPIC}/slides_a.py", "# %%\n1\n")
    course.write(f"{TOPIC}/{name}", "x")
    course.spec("values")
    plan = plan_of(course)
    assert copied(plan) == set()
    [warning] = plan.warnings
    assert warning.startswith(f"{TOPIC}/{name} is called like a deck and is none")
    course.spec(f'{{id: values, inputs: ["{TOPIC}/{name}"]}}')
    assert name in copied(plan_of(course))


def test_names() -> None:
    assert decks_among(["a/slides_1.ipynb", "a/slides_1.py", "a/slides_2.ipynb", "a/x.ipynb"]) == [
        "a/slides_1.py",
        "a/slides_2.ipynb",
    ]
    assert [is_misnamed(name) for name in ("slides_a.qmd", "slides_a.png", "slides_a.py", "a.qmd")] == [
        True,
        *[False] * 3,
    ]
