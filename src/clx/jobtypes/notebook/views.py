"""The two ways in which a browser shows the page of a deck when it is opened: in one piece, or as slides."""

from __future__ import annotations

_AS_PAGE = b' data-view="page"'
_AS_SLIDES = b' data-view="slides"'


def as_slides(page: bytes) -> bytes:
    """The bytes of a *page* that begins as slides: one attribute of its first element says so.

    Slides are no result of their own, so that nothing is run or kept twice for them.
    """
    return page.replace(_AS_PAGE, _AS_SLIDES, 1)
