"""Whether the package `hyperscan` can be used here: its Vectorscan, and the processor."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

from kestrel_framework.errors import PluginError

PLUGIN: Final = "hyperscan"

_PROCESSOR: Final = Path("/proc/cpuinfo")
_NEEDED_ON_X86: Final = frozenset({"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"})


def require_library() -> None:
    """Do nothing where `import hyperscan` works, and what it brings can run.

    Raises:
        PluginError: it is not installed, cannot be loaded, or the processor is too old for it.
    """
    missing = missing_features(processor_features())
    if missing:  # Vectorscan itself would end the process
        raise PluginError(
            PLUGIN,
            f"this processor lacks {', '.join(sorted(missing))}, which Vectorscan needs; "
            "choose the pattern engine `native`",
        )
    try:
        import hyperscan  # noqa: F401
    except ImportError as error:
        raise PluginError(
            PLUGIN,
            f"the package `hyperscan` cannot be loaded: {error}; install it with "
            "`pip install hyperscan`, or choose the pattern engine `native`",
        ) from error


def library_version() -> str:
    """Return the version of the package `hyperscan`, or "" where it is not installed."""
    try:
        return metadata.version("hyperscan")
    except metadata.PackageNotFoundError:
        return ""


def missing_features(features: frozenset[str]) -> frozenset[str]:
    """Return what Vectorscan needs of a processor and `features` lacks; none if it is not known."""
    if not features or platform.machine().lower() not in ("x86_64", "amd64"):
        return frozenset()
    return _NEEDED_ON_X86 - features


@cache
def processor_features() -> frozenset[str]:
    """Return the features of the processor as Linux calls them, or nothing where it is unknown."""
    try:
        lines = _PROCESSOR.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(value.split())
    return frozenset()
