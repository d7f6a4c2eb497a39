"""Which parts of the kernel run natively here."""

from __future__ import annotations

from kestrel_framework._builtin.pattern_engine import literal_finder
from kestrel_framework._pipeline import event_scanner


def native_modules() -> list[str]:
    """Return the names of the native modules that were compiled with the kernel."""
    compiled = {"scanner": event_scanner.is_available(), "literals": literal_finder.is_native()}
    return [name for name, is_there in compiled.items() if is_there]
