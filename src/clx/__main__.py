"""``python -m clx`` is the ``clx`` command."""

from __future__ import annotations

from clx.cli.main import main

main()
