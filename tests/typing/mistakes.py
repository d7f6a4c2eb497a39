"""Mistakes that a type checker must find: each `type: ignore` here is needed."""

from __future__ import annotations

from kestrel_framework import Detector, EventBatch, EventSource, RuleSet, hookimpl


class HalfASource:
    def open(self, position: str | None) -> None: ...

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        return None


half: EventSource = HalfASource()  # type: ignore[assignment]
Detector(RuleSet()).feed(42)  # type: ignore[arg-type]
counted = Detector(RuleSet()).statistics.event  # type: ignore[attr-defined]
EventBatch(documents=[], watermark="now")  # type: ignore[arg-type]
hookimpl(42)  # type: ignore[call-overload]
