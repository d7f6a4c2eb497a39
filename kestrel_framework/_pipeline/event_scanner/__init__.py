"""Scans the bytes of events natively: from JSON to a verdict without making objects of it."""

from kestrel_framework._pipeline.event_scanner.scanner import (
    EventScanner,
    Scanned,
    event_scanner,
    is_available,
)

__all__ = ["EventScanner", "Scanned", "event_scanner", "is_available"]
