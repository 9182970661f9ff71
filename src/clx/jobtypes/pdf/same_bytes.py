"""What a browser writes into a PDF file and what is not of the page: taken out, byte for byte of the same length."""

from __future__ import annotations

import re

_DATE = re.compile(rb"/(CreationDate|ModDate) \(D:\d{14}([+-]\d\d'\d\d'|Z)?")
_NODE = re.compile(rb"\(node(\d{8})\)")
_LEAF = re.compile(rb"/Limits \[\(node\d{8}\) \(node\d{8}\)\](\s+)/Names \[((?:\(node\d{8}\) \d+ 0 R ?)+)\]")
_NAMED = re.compile(rb"(\(node\d{8}\)) \d+ 0 R")


def same_bytes(pdf: bytes) -> bytes:
    """*pdf* without the time it was made, and with elements numbered from 1 in the order of the document.

    The browser numbers them since it started, and those of one table in any order. Lengths stay, and so does the table
    of where each object lies.
    """
    pdf = _DATE.sub(_long_ago, pdf)
    new = {old: b"(node%08d)" % number for number, old in enumerate(dict.fromkeys(_NODE.findall(pdf)), 1)}
    return _LEAF.sub(_sorted, _NODE.sub(lambda found: new[found[1]], pdf))


def _sorted(found: re.Match[bytes]) -> bytes:
    """The one leaf of the tree of names, in the order that the format demands (PDF 32000-1, 7.9.6)."""
    named = sorted((each[1], each[0]) for each in _NAMED.finditer(found[2]))
    limits = named[0][0], named[-1][0]
    return b"/Limits [%s %s]%s/Names [%s]" % (*limits, found[1], b" ".join(each for _, each in named))


def _long_ago(found: re.Match[bytes]) -> bytes:
    zone = (found[2] or b"").translate(bytes.maketrans(b"123456789-", b"000000000+"))
    return b"/%s (D:20000101000000%s" % (found[1], zone)
