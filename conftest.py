"""Settings of the tests that no configuration file can hold."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A busy machine is no failure. Under CI, hypothesis has a profile of its own that says the same.
if "CI" not in os.environ:
    settings.register_profile("kestrel", deadline=None)
    settings.load_profile("kestrel")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here, because pytest knows options of this folder's `conftest.py` only, whatever is run."""
    parser.addoption(
        "--corpus",
        metavar="PATH",
        help="EQL test cases for tests/conformance: a folder with `eql/elasticsearch` and "
        "`eql/endgame`, one of these, or one file of cases. Default: $KESTREL_CORPUS.",
    )
