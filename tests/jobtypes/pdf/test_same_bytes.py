"""What a browser writes into PDF files beside the page."""

from __future__ import annotations

from clx.jobtypes.pdf.same_bytes import same_bytes

PDF = b"""<</Creator (Chromium)
/CreationDate (D:20261129063658+00'00')
/ModDate (D:20261129063658-05'30')>>
/ID (node00000084)>> /Headers [(node00000084) (node00000091)] <</Limits [(node00000084) (node00000091)]
"""


def test_times_go_and_elements_are_numbered_from_one() -> None:
    found = same_bytes(PDF)
    assert len(found) == len(PDF)
    assert b"/CreationDate (D:20000101000000+00'00')" in found
    assert b"/ModDate (D:20000101000000+00'00')" in found
    assert found.count(b"(node00000001)") == 3
    assert found.count(b"(node00000002)") == 2


def test_the_same_page_later_in_a_browser_is_the_same_file() -> None:
    later = PDF.replace(b"00000091", b"00012345").replace(b"00000084", b"00012001").replace(b"29063658", b"30070102")
    assert same_bytes(later) == same_bytes(PDF) != PDF


def test_elements_of_a_table_that_the_browser_took_in_another_order_are_the_same_file() -> None:
    page = b"/ID (node000000%d)>> /ID (node000000%d)>> /Headers [(node000000%d)]\n"
    tree = b"/Limits [(node00000084) (node00000091)]\n/Names [(node00000084) %d 0 R (node00000091) %d 0 R]>>"
    one = page % (84, 91, 91) + tree % (9, 10)
    other = page % (91, 84, 84) + tree % (10, 9)
    found = same_bytes(one)
    assert found == same_bytes(other) != one
    assert b"/Names [(node00000001) 9 0 R (node00000002) 10 0 R]>>" in found
    assert len(found) == len(one)
