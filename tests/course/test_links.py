"""Links and pictures of real builds: what leads nowhere is told, what a page shows is there."""

from __future__ import annotations

from pathlib import Path

from tests.support.courses import Course


def test_a_build_tells_and_repeats_it_until_it_is_mended(course: Course) -> None:
    root = Path("slides/module_1/topic_100_a")
    course.deck("a", "# %% [markdown]\n# [x](gone.pdf) [y](#nowhere) [z](#A-Heading)\n#\n# ## A Heading\n")
    course.spec("a")
    expected = [
        f"{root}/slides_a.py: line 2: gone.pdf is not published",
        f"{root}/slides_a.py: line 2: the anchor #nowhere is not on the page",
    ]
    assert course.build().report["warnings"] == expected
    again = course.build()
    assert (again.report["warnings"], again.ran) == (expected, 0)
    course.write(f"{root}/gone.pdf", "")
    mended = course.build()
    assert (mended.report["warnings"], mended.ran) == (expected[1:], 2)
