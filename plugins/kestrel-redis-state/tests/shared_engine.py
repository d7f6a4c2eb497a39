"""A program: one engine among several that share sequences, as a host of its own would run it.

Called with a JSON object: `folder` (with `events.ndjson`), `url`, `member`, `members`, `outage`,
and `death`: in which commit of the store it kills itself, or 0.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from kestrel_framework import Alert, Detector
from kestrel_framework.config import (
    Configuration,
    EngineConfig,
    SectionConfig,
    SharedConfig,
    SourceConfig,
    StateConfig,
)
from kestrel_framework.engine import Engine, ExitStatus
from kestrel_framework.event import Document, EventBatch, EventSettings
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    Rule,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_redis_state import RedisStateStore, plugin

INTERVAL: Final = 0.01
SECOND: Final = 1_000_000_000
SETTINGS: Final = EventSettings("t", "ns", "kind")


def step(letter: str, *, missing: bool = False) -> Step:
    condition = Comparison(ComparisonOperator.EQUAL, Field("name"), Literal(letter))
    return Step(ANY_EVENT, condition, (JoinKey(Field("key")),), missing=missing)


def _sequence(name: str, *letters: str, **more: object) -> Rule:
    steps = tuple(step(each) for each in letters)
    return Rule(RuleMetadata(name), SequenceRule(steps, **more))  # type: ignore[arg-type]


RULES: Final = RuleSet(
    (
        Rule(RuleMetadata("alone"), EventRule(ANY_EVENT, step("D").predicate)),
        _sequence("a-b-c", "A", "B", "C", maxspan=60 * SECOND),
        _sequence("a-b-until-d", "A", "B", until=step("D")),
        Rule(
            RuleMetadata("a-silence"),
            SequenceRule((step("A"), step("B", missing=True)), maxspan=5 * SECOND),
        ),
        Rule(RuleMetadata("both"), SampleRule((step("B"), step("D")))),
    )
)


def _die_after(commits: int) -> None:
    """Kill this process within one of its commits: before it is sent, or when it is made."""
    commit = RedisStateStore._committed
    left = [commits]

    def counted(store: RedisStateStore, arguments: list[bytes]) -> int:
        left[0] -= 1
        if left[0] == 0 and commits % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        version = commit(store, arguments)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return version

    setattr(RedisStateStore, "_committed", counted)  # noqa: B010


def _work_slowly() -> None:
    """Have a commit between any two batches."""
    feed = Detector.feed

    def slow(detector: Detector, events: EventBatch | Iterable[Document]) -> list[Alert]:
        time.sleep(2 * INTERVAL)
        return feed(detector, events)

    setattr(Detector, "feed", slow)  # noqa: B010


def main() -> None:
    _work_slowly()
    asked = json.loads(sys.argv[1])
    if asked["death"]:
        _die_after(asked["death"])
    folder = Path(asked["folder"])
    configuration = Configuration(
        sources={"events": SourceConfig("jsonl", {"path": str(folder / "events.ndjson")})},
        outputs={"alerts": SectionConfig("jsonl", {"path": str(folder / "alerts.ndjson")})},
        state=StateConfig(
            type="redis",
            outage=asked["outage"],
            options={
                "url": asked["url"],
                "namespace": "shared",
                "command_timeout": 0.5,
                "connect_timeout": 0.5,
            },
        ),
        shared=SharedConfig(
            asked["member"],
            tuple(asked["members"]),
            partitions=4,
            lease=1.0,
            idle_after=60.0,
            interval=INTERVAL,
        ),
        engine=EngineConfig(batch_size=9, read_timeout=0.05),
        events=SETTINGS,
    )
    engine = Engine.build(configuration, plugins=[plugin], discover=False, rules=RULES)
    report = engine.run()
    if report.exit_status is not ExitStatus.FINE:
        raise SystemExit(f"{asked['member']}: {report.failures}")
    shared, state = report.statistics["shared"], report.statistics["state"]
    assert isinstance(shared, dict)
    assert isinstance(state, dict)
    json.dump(shared | state, sys.stdout)


if __name__ == "__main__":
    main()
