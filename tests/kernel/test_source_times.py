"""What an engine says of the time of its sources."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kestrel_framework._source_times import SourceTimes
from kestrel_framework.alert import Alert
from kestrel_framework.config import SourceConfig
from kestrel_framework.event import Document, EventBatch
from timed_events import SECOND, detector, event, shown


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sources:
    """The sources `disk` and `net`, of which one is live, and a detector."""

    def __init__(self, disorder: float | None = None, idle_after: float = 10.0) -> None:
        self.clock = Clock()
        self.detector = detector()
        configured = {
            name: SourceConfig(name, disorder=disorder, idle_after=idle_after)
            for name in ("disk", "net")
        }
        self.times = SourceTimes(self.detector, configured, {"net"}, self.clock)

    def bring(
        self, source: str, *documents: Document, stream: str | None = None, disorder: int = 0
    ) -> Sequence[Alert]:
        batch = EventBatch(
            documents=documents,
            stream=stream,
            first_offset=None if stream is None else 0,
            disorder=disorder,
        )
        alerts = [*self.times.before(source, batch)]
        alerts += self.detector.feed(self.times.stamped(source, batch))
        return [*alerts, *self.times.after(source, batch)]


def test_a_source_that_has_begun_is_waited_for() -> None:
    sources = Sources()
    sources.times.begin("disk")
    sources.times.begin("net")
    steps = [event(0, "C", 0), event(1, "D", 1), event(2, "E", 9)]
    assert not sources.bring("net", *steps)
    assert shown(sources.times.end("disk")) == [("join", [0, 1])]


def test_a_source_that_is_quiet_for_long_is_not() -> None:
    sources = Sources(idle_after=3.0)
    sources.times.begin("disk")
    sources.times.begin("net")
    assert not sources.bring("net", event(0, "C", 0), event(1, "D", 1), event(2, "E", 9))
    sources.clock.now = 2.9
    assert not sources.bring("disk")
    sources.clock.now = 3.0
    assert shown(sources.bring("disk")) == [("join", [0, 1])]
    assert sources.detector.statistics.untimely == {"source_left_out": 1}
    assert not sources.bring("disk")
    assert sources.detector.statistics.untimely == {"source_left_out": 1}


def test_a_promise_keeps_a_quiet_source_in() -> None:
    sources = Sources(idle_after=3.0)
    sources.times.begin("net")
    sources.clock.now = 9.0
    assert not sources.times.after("net", EventBatch(watermark=5))
    assert not sources.detector.statistics.untimely


def test_the_configuration_has_the_last_word_about_disorder() -> None:
    events = [event(0, "E", 9 * SECOND), event(1, "C", 0)]
    told, configured = Sources(), Sources(disorder=9.0)
    told.bring("net", *events, disorder=SECOND)
    configured.bring("net", *events, disorder=SECOND)
    assert told.detector.statistics.untimely == {"late": 1}
    assert not configured.detector.statistics.untimely


@pytest.mark.parametrize(("source", "late"), [("disk", {}), ("net", {"late": 1})])
def test_time_begins_anew_with_each_file_but_not_with_each_rotation(
    source: str, late: dict[str, int]
) -> None:
    sources = Sources()
    sources.bring(source, event(0, "E", 9 * SECOND), stream="first")
    sources.bring(source, event(1, "C", 0), stream="second")
    assert sources.detector.statistics.untimely == late


def test_what_waits_at_the_end_of_a_file_is_found() -> None:
    sources = Sources(disorder=5.0)
    assert not sources.bring("disk", event(0, "C", 0), event(1, "D", 1), stream="first")
    second = sources.bring("disk", event(2, "E", 0), stream="second")
    assert shown(second) == [("join", [0, 1])]


def test_sources_that_there_are_no_more_are_not_waited_for() -> None:
    sources = Sources()
    gone = EventBatch(source="gone")
    sources.detector.feed(gone)
    assert not sources.bring("net", event(0, "C", 0), event(1, "D", 1), event(2, "E", 9))
    assert shown(sources.times.end_unknown()) == [("join", [0, 1])]
    assert sources.detector.sources == {"net"}


def test_a_source_is_not_quiet_while_the_engine_stands_still() -> None:
    sources = Sources(idle_after=3.0)
    sources.times.begin("disk")
    sources.times.begin("net")
    sources.bring("disk", event(0, "C", 0), event(1, "D", 1), event(2, "E", 9))
    sources.clock.now = 60.0
    sources.times.stood_still(58.0)
    assert not sources.bring("net")
    sources.clock.now = 61.5
    assert shown(sources.bring("net")) == [("join", [0, 1])]
