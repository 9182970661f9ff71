"""What a browser writes into a PDF file and what is not of the page: taken out, byte for byte of the same length."""

from __future__ import annotations

import re

_DATE = re.compile(rb"/(CreationDate|ModDate) \(D:\d{14}([+-]\d\d'\d\d'|Z)?")
_NODE = re.compile(rb"\(node(\d{8})\)")


def same_bytes(pdf: bytes) -> bytes:
    """*pdf* without the time it was made, and with elements numbered from 1 instead of since the browser started.

    Lengths stay, and so does the table of where each object lies.
    """
    pdf = _DATE.sub(_long_ago, pdf)
    numbers = sorted(set(_NODE.findall(pdf)))
    # in the order of their numbers, by which they are sorted in the file
    new = {old: b"(node%08d)" % number for number, old in enumerate(numbers, 1)}
    return _NODE.sub(lambda found: new[found[1]], pdf)


def _long_ago(found: re.Match[bytes]) -> bytes:
    zone = (found[2] or b"").translate(bytes.maketrans(b"123456789-", b"000000000+"))
    return b"/%s (D:20000101000000%s" % (found[1], zone)
