"""Settings of the tests that no configuration file can hold."""

from __future__ import annotations

import os

from hypothesis import settings

# A busy machine is no failure. Under CI, hypothesis has a profile of its own that says the same.
if "CI" not in os.environ:
    settings.register_profile("kestrel", deadline=None)
    settings.load_profile("kestrel")
