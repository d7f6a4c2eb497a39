"""What an engineer writes who embeds the engine; it only has to type-check."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from kestrel_framework import (
    Alert,
    Configuration,
    Detector,
    DetectorStatistics,
    Document,
    Engine,
    EngineReport,
    EventBatch,
    EventSettings,
    KestrelError,
    LoadReport,
    OnRuleChange,
    PreparedRules,
    ReloadReport,
    RevisionState,
    Rule,
    RuleCompiler,
    RuleError,
    RuleSet,
    SchemaRegistry,
    SearchResult,
    load_rules,
    search,
    source_from_iterable,
)


def detect(
    compiler: RuleCompiler, folder: Path, events: Sequence[Document]
) -> tuple[list[str], int]:
    report: LoadReport = load_rules(folder, compilers=[compiler], schema=SchemaRegistry.ecs())
    problems: list[RuleError] = [*report.errors, *report.warnings]
    detector = Detector(report, settings=EventSettings(timestamp_unit="ms"))
    alerts: list[Alert] = detector.feed(events)
    alerts += detector.feed(EventBatch(payloads=[b"{}"], watermark=1))
    alerts += detector.advance(2)
    alerts += detector.finish()
    statistics: DetectorStatistics = detector.statistics
    return [alert.rule.name for alert in alerts], statistics.events + len(problems)


def hand_over(detector: Detector, rules: RuleSet) -> Detector:
    successor = Detector(rules)
    successor.restore(detector.snapshot())
    prepared: PreparedRules = successor.prepare(rules, on_rule_change=OnRuleChange.DROP)
    report: ReloadReport = successor.replace(prepared)
    prepared.release()
    report = successor.replace(RuleSet(tuple(rules)))
    if report.draining.by_rule.get("mine", 0) + report.ended.number > len(report.changed):
        revisions: tuple[RevisionState, ...] = successor.revisions
        print(report, [one.alerts for one in revisions])
    return successor


def reload(engine: Engine) -> float:
    rules: LoadReport = engine.load_rules()
    done: Future[ReloadReport] = engine.replace_rules(rules)
    return done.result().seconds


def find(rule: Rule, documents: list[dict[str, object]]) -> list[str]:
    results: list[SearchResult] = search(rule, documents, size=None)
    return [
        str(document["message"])
        for result in results
        for document in result.events
        if document is not None
    ]


def run(configuration: Configuration, plugins: Sequence[object]) -> int:
    source_from_iterable([{"event": {"category": "process"}}], stream="mine")
    try:
        engine = Engine.build(configuration, plugins=plugins, discover=False)
        report: EngineReport = engine.run()
    except KestrelError as error:
        return len(error.problem)
    return int("events" in report.statistics)
