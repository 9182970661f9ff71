"""The style sheets and scripts of pages."""

from __future__ import annotations

import subprocess
import sys

from clx.jobtypes.notebook.page_assets import controls_script, page_css, page_script, squeezed


def test_comments_and_indentation_are_left_out() -> None:
    assert squeezed("/* what it is */\na {\n  /* why */\n  color: red;\n\n}\n") == "a {\ncolor: red;\n}"
    assert squeezed("// why\n  go();\n", "//") == "go();"


def test_pages_have_the_styles_and_scripts_of_all_their_parts() -> None:
    assert "mjx-container" in page_css()
    assert "/*" not in page_css()
    assert controls_script() in page_script()


def test_whoever_asks_for_them_imports_nothing_that_renders() -> None:
    code = "import sys, clx.course.pages.writing; print({'markdown_it', 'pygments'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"set()\n"
