"""A page that opens as slides."""

from __future__ import annotations

from tests.jobtypes.notebook.test_page import page

from clx.jobtypes.notebook.views import as_slides


def test_only_the_first_element_changes() -> None:
    html, _ = page('# %% [markdown]\n# Write `<html data-view="page">`.\n')
    html = html.replace("</main>", '<p data-view="page"></p></main>')
    assert as_slides(html.encode()).decode() == html.replace(' data-view="page"', ' data-view="slides"', 1) != html
