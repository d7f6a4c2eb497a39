"""What an engine tells its detector of the time of its sources."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

import attrs

from kestrel_framework.alert import Alert
from kestrel_framework.config import SourceConfig
from kestrel_framework.detector import Detector
from kestrel_framework.event import EventBatch
from kestrel_framework.timestamps import NANOSECONDS

_NOTHING: Final[list[Alert]] = []


class SourceTimes:
    """Says when sources begin, are quiet, and end. For the thread of the engine.

    Args:
        detector: Told of it.
        sources: How the time of each is taken.
        live: The sources that go on for ever. The others read one input after the other,
            and time begins anew with each.
        clock: Monotonic seconds: says how long a source has been quiet.
    """

    def __init__(
        self,
        detector: Detector,
        sources: Mapping[str, SourceConfig],
        live: Collection[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._detector = detector
        self._sources = sources
        self._live = live
        self._clock = clock
        self._quiet_since: dict[str, float] = {}
        self._streams: dict[str, str | None] = {}

    def begin(self, source: str) -> list[Alert]:
        """Have time wait for a source."""
        self._quiet_since[source] = self._clock()
        return self._detector.feed(EventBatch(source=source))

    def stamped(self, source: str, batch: EventBatch) -> EventBatch:
        """Return a batch with its source, and a stream that no other source has."""
        disorder = self._sources[source].disorder
        return attrs.evolve(
            batch,
            stream=source if batch.stream is None else f"{source}/{batch.stream}",
            first_offset=None if batch.stream is None else batch.first_offset,
            source=source,
            disorder=batch.disorder if disorder is None else round(disorder * NANOSECONDS),
        )

    def before(self, source: str, batch: EventBatch) -> list[Alert]:
        """Hear what a source brings, before the detector does."""
        if not len(batch) or source in self._live:
            return _NOTHING
        stream = self._streams.get(source, batch.stream)
        self._streams[source] = batch.stream
        return _NOTHING if batch.stream == stream else self._detector.end_source(source)

    def after(self, source: str, batch: EventBatch) -> list[Alert]:
        """Hear what a source has brought: with nothing for long, nothing waits for it."""
        now = self._clock()
        if len(batch) or batch.watermark is not None:
            self._quiet_since[source] = now
        if now - self._quiet_since[source] < self._sources[source].idle_after:
            return _NOTHING
        return self._detector.leave_out(source)

    def stood_still(self, seconds: float) -> None:
        """Hear that the engine took nothing from any source for some time."""
        for source in self._quiet_since:
            self._quiet_since[source] += seconds

    def end(self, source: str) -> list[Alert]:
        """Hear that a source brings nothing any more."""
        return self._detector.end_source(source)

    def end_unknown(self) -> list[Alert]:
        """End the sources of an earlier run that there are no more."""
        alerts = []
        for source in sorted(self._detector.sources.difference(self._sources)):
            alerts += self._detector.end_source(source)
        return alerts
