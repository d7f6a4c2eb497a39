"""`python -m kestrel_framework.cli` is `kestrel`."""

from __future__ import annotations

from kestrel_framework.cli import main

main()
