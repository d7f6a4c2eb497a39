"""Lets the tests import what they share, wherever this folder is."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for the module `pattern_texts`
