"""What a detector does with other rules, and what it says of it."""

from __future__ import annotations

import gc
import json
import pickle
import threading
import weakref

import attrs
import pytest
from engine_parts import HOST, PROCESS, event, event_rule, named, program_rule

from kestrel_framework._pipeline.sequence_tracker import TrackerLimits
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector, RevisionState
from kestrel_framework.errors import RuleError
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.predicate import Field, Lineage, LineageRelation
from kestrel_framework.reload import MOST_DRAINING, CarriedMatches, OnRuleChange
from kestrel_framework.rule import (
    JoinKey,
    JoinRule,
    Rollout,
    RolloutMode,
    Rule,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)

SECOND = 1_000_000_000
SHADOW = Rollout(RolloutMode.SHADOW)


def step(name: str) -> Step:
    return Step(PROCESS, named(name), HOST)


def sequence(*names: str, rule_id: str = "chain", maxspan: int | None = None) -> Rule:
    return Rule(
        RuleMetadata(rule_id),
        SequenceRule(tuple(map(step, names)), None if maxspan is None else maxspan * SECOND),
    )


def in_shadow(rule: Rule) -> Rule:
    return attrs.evolve(rule, rollout=SHADOW)


def on_host(host: str, name: str, seconds: float) -> Document:
    return {**event(name, seconds), "host": {"id": host}}


def found(alerts: list[Alert]) -> list[tuple[str, bool]]:
    return [(alert.revision, alert.shadow) for alert in alerts]


OLD, NEW, OTHER = (
    sequence("curl", "sh"),
    sequence("curl", "nc"),
    sequence("a", "b", rule_id="other"),
)
EVENT = event_rule("sh")


def test_the_report_says_what_was_done() -> None:
    gone, added = sequence("curl", "ls", rule_id="gone"), event_rule("ls")
    detector = Detector(RuleSet((OTHER, OLD, gone, EVENT)))
    detector.feed([event("a", 0), event("curl", 1)])
    report = detector.replace(RuleSet((added, NEW, OTHER, EVENT)))
    assert (report.added, report.removed) == (("found-ls",), ("gone",))
    assert (report.changed, report.unchanged) == (("chain",), ("found-sh", "other"))
    assert report.kept == CarriedMatches(1, {"other": 1})
    assert report.draining == CarriedMatches(2, {"chain": 1, "gone": 1})
    assert report.ended == CarriedMatches()
    assert (report.waiting_kept, report.waiting_left_out) == (0, 0)
    assert report.compile_seconds > report.seconds > 0
    assert "1 added, 1 removed, 1 changed, 2 unchanged; partial matches: 1 kept, 2 d" in str(report)
    report = detector.replace(detector.prepare(RuleSet(()), on_rule_change=OnRuleChange.DROP))
    assert report.ended == CarriedMatches(3, {"chain": 1, "gone": 1, "other": 1})
    assert detector.partial_matches.ended == {"rule_changed": 3}


def test_rules_are_named_where_they_are_few() -> None:
    rules = [sequence("curl", "sh", rule_id=f"rule-{number}") for number in range(21)]
    detector = Detector(RuleSet(rules))
    detector.feed([event("curl", 0)])
    assert detector.replace(RuleSet(rules)).kept == CarriedMatches(21)
    assert len(detector.replace(RuleSet(rules[:20])).kept.by_rule) == 20


def test_step_matches_that_wait_are_counted() -> None:
    detector = Detector(RuleSet((OLD, OTHER)))
    detector.feed(EventBatch(documents=[event("curl", 0), event("a", 0)], disorder=SECOND))
    report = detector.replace(RuleSet((OTHER,)))
    assert (report.waiting_kept, report.waiting_left_out) == (2, 0)
    # The rule has begun nothing, but what waits may still begin it.
    assert [state.rule_id for state in detector.revisions] == ["other", "chain"]
    report = detector.replace(detector.prepare(RuleSet((OTHER,)), on_rule_change=OnRuleChange.DROP))
    assert (report.waiting_kept, report.waiting_left_out) == (1, 1)
    assert detector.statistics.untimely == {"rule_changed": 1}


def test_an_old_revision_is_gone_with_the_last_of_what_was_under_way() -> None:
    detector = Detector(RuleSet((OLD,)))
    detector.feed([event("curl", 0)])
    detector.replace(RuleSet((NEW,)))
    assert detector.rules == RuleSet((NEW,))
    assert [(one.revision, one.partial_matches) for one in detector.revisions] == [
        (NEW.revision, 0),
        (OLD.revision, 1),
    ]
    # It begins nothing, and completes under its own name.
    assert found(detector.feed([event("curl", 1), event("sh", 2)])) == [(OLD.revision, False)]
    assert [one.revision for one in detector.revisions] == [NEW.revision]
    assert detector.feed([event("curl", 3), event("sh", 4)]) == []
    assert len(detector._generation.rules) == 2
    detector.replace(RuleSet((NEW,)))
    assert len(detector._generation.rules) == 1


def test_a_rule_that_comes_back_goes_on_where_it_drained() -> None:
    detector = Detector(RuleSet((OLD,)))
    detector.feed([event("curl", 0)])
    detector.replace(RuleSet(()))
    report = detector.replace(RuleSet((OLD,)))
    assert (report.added, report.kept.number, report.draining.number) == (("chain",), 1, 0)
    assert found(detector.feed([event("sh", 1)])) == [(OLD.revision, False)]
    assert len(detector.feed([event("curl", 2), event("sh", 3)])) == 1


def test_of_too_many_old_revisions_the_oldest_ends() -> None:
    spans = range(100, 101 + MOST_DRAINING + 1)
    revisions = [sequence("curl", "sh", maxspan=span) for span in spans]
    detector = Detector(RuleSet(revisions[:1]))
    for number, revision in enumerate(revisions[1:]):
        detector.feed([event("curl", number)])
        report = detector.replace(RuleSet((revision,)))
    assert report.draining.number == MOST_DRAINING
    assert report.ended == CarriedMatches(1, {"chain": 1})
    assert detector.partial_matches.ended == {"rule_changed": 1}
    alerts = detector.feed([event("sh", 50)])
    assert {alert.revision for alert in alerts} == {one.revision for one in revisions[1:-1]}


def test_of_too_many_old_revisions_what_waits_is_left_out() -> None:
    revisions = [sequence("curl", "sh", maxspan=span) for span in range(1, 3 + MOST_DRAINING)]
    detector = Detector(RuleSet(revisions[:1]))
    for number, revision in enumerate(revisions[1:]):
        detector.feed(EventBatch(documents=[event("curl", number / 1000)], disorder=SECOND))
        report = detector.replace(RuleSet((revision,)))
    assert (report.waiting_kept, report.waiting_left_out) == (MOST_DRAINING, 1)


def test_what_waits_begins_nothing_where_an_event_must_not_come_before() -> None:
    steps = (attrs.evolve(step("ls"), missing=True), step("curl"), step("sh"))
    old = Rule(RuleMetadata("chain"), SequenceRule(steps, 10 * SECOND))
    detector = Detector(RuleSet((old,)))
    detector.feed(EventBatch(documents=[event("ls", 15), event("curl", 20)]))
    report = detector.replace(RuleSet((NEW,)))
    assert (report.draining.number, report.ended.number) == (1, 1)  # `ls` forbids nothing more
    assert detector.partial_matches.ended == {"rule_changed": 1}
    detector.feed(EventBatch(documents=[event("curl", 21)], disorder=SECOND))
    detector.replace(RuleSet((old,)))
    detector.feed(EventBatch(documents=[event("curl", 22)], disorder=SECOND))
    # Of an event before `curl`, which may still come, the old revision would not hear.
    report = detector.replace(RuleSet((NEW,)))
    assert report.waiting_left_out == 1
    assert detector.statistics.untimely == {"rule_changed": 1}


def test_limits_hold_for_all_revisions_together() -> None:
    detector = Detector(RuleSet((OLD,)), limits=TrackerLimits(total=64))
    detector.feed([on_host(str(second), "curl", second) for second in range(60)])
    detector.replace(RuleSet((NEW,)))
    detector.feed([on_host(str(second), "curl", second) for second in range(60, 90)])
    partial = detector.partial_matches
    assert partial.live <= 64
    assert partial.live + partial.ended["evicted"] == 90
    assert detector.revisions[1].partial_matches == 60 - partial.ended["evicted"]


@pytest.mark.parametrize("body", [SampleRule, JoinRule])
def test_samples_and_joins_go_on_with_the_keys_they_have(
    body: type[SampleRule] | type[JoinRule],
) -> None:
    old = Rule(RuleMetadata("both"), body((step("a"), step("b"))))
    new = Rule(RuleMetadata("both"), body((step("a"), step("c"))))
    detector = Detector(RuleSet((old,)))
    detector.feed([on_host("here", "a", 0)])
    detector.replace(RuleSet((new,)))
    alerts = detector.feed(
        [on_host("there", "a", 1), on_host("there", "b", 2), on_host("here", "b", 3)]
    )
    assert [alert.join_keys for alert in alerts] == [("here",)]
    assert detector.feed([on_host("here", "a", 4), on_host("here", "b", 5)]) == []
    assert len(detector.feed([on_host("here", "c", 6), on_host("there", "c", 7)])) == 2


@pytest.mark.parametrize("body", [SampleRule, JoinRule])
def test_filters_of_old_revisions_mean_nothing_where_no_key_is_held(
    body: type[SampleRule] | type[JoinRule],
) -> None:
    detector = Detector(RuleSet((Rule(RuleMetadata("both"), body((step("a"), step("b")))),)))
    detector.feed([event("a", 0)])
    detector.replace(RuleSet((NEW,)))
    generation = detector._generation
    going_on = frozenset(n for n, target in enumerate(generation.targets) if not target.begins)
    assert len(going_on) == 2
    assert generation.tracker.idle(going_on) == frozenset()
    assert len(detector.feed([event("b", 1)])) == 1
    assert generation.tracker.idle(going_on) == going_on


def without(*names: str, rule_id: str = "chain", maxspan: int = 10) -> Rule:
    """Return a rule that ends with an event that must not come."""
    *steps, last = map(step, names)
    body = SequenceRule((*steps, attrs.evolve(last, missing=True)), maxspan * SECOND)
    return Rule(RuleMetadata(rule_id), body)


def test_what_waits_for_no_event_leaves_in_the_order_of_the_new_rules() -> None:
    rules = [without("curl", "sh", rule_id=name) for name in "abc"]
    detector = Detector(RuleSet(rules))
    detector.feed([event("curl", 0)])
    detector.replace(RuleSet((rules[2], rules[0])))
    alerts = detector.feed([event("x", 30)])
    assert [alert.rule.rule_id for alert in alerts] == ["c", "a", "b"]


def test_what_waits_for_no_event_is_dropped_with_its_rule() -> None:
    detector = Detector(RuleSet((without("curl", "sh"), without("curl", "nc", rule_id="other"))))
    detector.feed([event("curl", 0)])
    ending = detector.prepare(
        RuleSet((without("curl", "nc", rule_id="other"),)), on_rule_change=OnRuleChange.DROP
    )
    assert detector.replace(ending).ended == CarriedMatches(1, {"chain": 1})
    assert [alert.rule.rule_id for alert in detector.finish()] == ["other"]
    assert detector.partial_matches.live == 0


def test_an_event_that_must_not_come_contradicts_an_old_revision() -> None:
    detector = Detector(RuleSet((without("curl", "sh"),)))
    detector.feed([event("curl", 0)])
    detector.replace(RuleSet((NEW,)))
    assert detector.feed([event("sh", 1)]) == []
    assert detector.partial_matches.ended == {"contradicted": 1}


def test_a_snapshot_goes_on_as_far_as_the_rules_are_there() -> None:
    detector = Detector(RuleSet((OLD,)))
    detector.feed([event("curl", 0)])
    detector.replace(RuleSet((NEW,)))
    detector.feed([event("curl", 1)])
    snapshot = detector.snapshot()
    elsewhere = Detector(RuleSet((NEW,)))
    elsewhere.restore(snapshot)
    assert elsewhere.partial_matches.ended == {"rule_changed": 1}
    assert elsewhere.feed([event("sh", 2)]) == []
    # The old revision can be given to it, to go on with what it had.
    draining = attrs.evolve(OLD, rollout=Rollout(draining=True))
    given = Detector(RuleSet((NEW, draining)))
    given.restore(snapshot)
    assert given.rules == RuleSet((NEW,))
    for one in (detector, given, pickle.loads(pickle.dumps(detector))):
        one.restore(snapshot)
        assert found(one.feed([event("sh", 2)])) == [(OLD.revision, False)]
        assert found(one.feed([event("nc", 3)])) == [(NEW.revision, False)]
        assert one.feed([event("curl", 4), event("sh", 5)]) == []


def test_a_snapshot_has_what_waits_for_an_old_revision() -> None:
    detector = Detector(RuleSet((OLD,)))
    detector.feed(EventBatch(documents=[event("curl", 0)], disorder=SECOND))
    detector.replace(RuleSet((NEW,)))
    given = Detector(RuleSet((NEW, attrs.evolve(OLD, rollout=Rollout(draining=True)))))
    given.restore(detector.snapshot())
    for one in (detector, given):
        assert [state.revision for state in one.revisions] == [NEW.revision, OLD.revision]
        one.replace(RuleSet((NEW, OTHER)))
        batch = EventBatch(documents=[event("sh", 1)], disorder=SECOND)
        assert found(one.feed(batch) + one.finish()) == [(OLD.revision, False)]


def test_two_revisions_side_by_side_have_their_own_sequences_and_counts() -> None:
    detector = Detector(RuleSet((OLD, in_shadow(NEW))))
    events = [event(name, n) for n, name in enumerate(["curl", "sh", "curl", "nc", "curl"])]
    # Where one has ended with `sh`, the other still waits for `nc`.
    alerts = detector.feed([*events, event("sh", 6), event("nc", 7), event("curl", 8)])
    assert found(alerts) == [
        (OLD.revision, False),
        (NEW.revision, True),
        (OLD.revision, False),
        (NEW.revision, True),
    ]
    assert detector.statistics.alerts == {"chain": 2}
    assert detector.statistics.shadow_alerts == {"chain": 2}
    assert detector.revisions == (
        RevisionState("chain", OLD.revision, Rollout(), 1, 2, 0),
        RevisionState("chain", NEW.revision, SHADOW, 1, 2, 0),
    )


def test_a_revision_in_shadow_that_is_promoted_goes_on_with_what_it_has() -> None:
    detector = Detector(RuleSet((OLD, in_shadow(NEW))))
    detector.feed([event("curl", 0)])
    report = detector.replace(RuleSet((NEW,)))
    assert (report.changed, report.kept.number, report.draining.number) == (("chain",), 1, 1)
    assert found(detector.feed([event("nc", 1)])) == [(NEW.revision, False)]
    # What the other one had under way is still worth an alert.
    assert found(detector.feed([event("sh", 2)])) == [(OLD.revision, False)]
    assert detector.statistics.shadow_alerts == {}


def test_a_revision_that_was_in_shadow_drains_in_shadow() -> None:
    detector = Detector(RuleSet((OLD, in_shadow(NEW))))
    detector.feed([event("curl", 0)])
    detector.replace(RuleSet((OLD,)))
    assert detector.revisions[1].rollout == Rollout(RolloutMode.SHADOW, draining=True)
    assert found(detector.feed([event("nc", 1)])) == [(NEW.revision, True)]
    assert detector.statistics.alerts == {}


def test_failures_are_counted_by_revision() -> None:
    class Failing:
        def load(self, *_: object) -> object:
            return self

        def matches_many(self, rows: object) -> object:
            raise ValueError("no")

    rule = program_rule(b"p")
    detector = Detector(RuleSet((rule,)), evaluators={"toy": Failing()})  # type: ignore[dict-item]
    detector.feed([event("x", 0)])
    assert [one.failures for one in detector.revisions] == [1]


def test_lineage_is_remembered_for_old_revisions() -> None:
    def of_shell(name: str) -> Rule:
        shell = Lineage(
            LineageRelation.CHILD,
            PROCESS,
            named("sh"),
            Field("process.entity_id"),
            Field("process.parent.entity_id"),
        )
        body = SequenceRule((step("curl"), Step(PROCESS, shell, HOST)))
        return Rule(RuleMetadata(name), body)

    def process(name: str, second: int, own: str, parent: str) -> dict[str, object]:
        document = dict(event(name, second))
        document["process"] = {"name": name, "entity_id": own, "parent": {"entity_id": parent}}
        return document

    detector = Detector(RuleSet((of_shell("old"), of_shell("kept"))))
    detector.feed([process("sh", 0, "shell", "init"), process("curl", 1, "curl", "init")])
    detector.replace(RuleSet((of_shell("kept"),)))
    alerts = detector.feed([process("x", 2, "x", "shell")])
    assert [alert.rule.rule_id for alert in alerts] == ["kept", "old"]


def test_rules_are_prepared_while_the_detector_works() -> None:
    detector = Detector(RuleSet((OLD,)))
    over = threading.Event()
    prepared = []

    def prepare() -> None:
        while not over.is_set():
            prepared.append(detector.prepare(RuleSet((NEW,))))

    thread = threading.Thread(target=prepare)
    thread.start()
    alerts = []
    while len(prepared) < 20:
        second = detector.statistics.events
        alerts += detector.feed([event("curl", second), event("sh", second + 1)])
    over.set()
    thread.join()
    assert len(alerts) == detector.statistics.events // 2
    last = detector.statistics.events
    detector.feed([event("curl", last)])
    report = detector.replace(prepared[0])
    assert report.draining.number == 1
    assert detector.rules == RuleSet((NEW,))
    # The others were prepared for rules that are not at work any more.
    report = detector.replace(prepared[-1])
    assert (report.unchanged, report.draining.number) == (("chain",), 1)
    assert found(detector.feed([event("sh", last + 1)])) == [(OLD.revision, False)]


def test_rules_that_are_prepared_and_not_used_change_nothing() -> None:
    detector = Detector(RuleSet((OLD, OTHER)))
    detector.feed([event("curl", 0), event("a", 1)])
    before = detector.snapshot()
    detector.prepare(RuleSet((NEW, OTHER)))
    detector.prepare(RuleSet(()), on_rule_change=OnRuleChange.DROP)
    with pytest.raises(RuleError):
        detector.prepare(RuleSet((program_rule(b"p"),)))
    assert detector.snapshot() == before
    assert len(detector.feed([event("sh", 2), event("b", 3)])) == 2


@pytest.mark.parametrize("in_one_step", [True, False])
def test_of_rules_that_were_replaced_nothing_is_left_for_the_collector(in_one_step: bool) -> None:
    detector = Detector(RuleSet((OLD, OTHER, EVENT)))
    detector.feed(EventBatch(payloads=[json.dumps(event("curl", 0)).encode()]))
    matcher = detector._generation.matcher.rule_matcher
    parts = [*matcher.graph.fields, matcher.graph, matcher]
    gone = [weakref.ref(part) for part in parts]
    del matcher, parts
    gc.disable()
    try:
        prepared = detector.prepare(RuleSet((NEW, OTHER)))
        if in_one_step:
            detector.replace(RuleSet((NEW, OTHER)))
        else:
            detector.replace(prepared)
            assert all(part() is not None for part in gone)
        prepared.release()
        prepared.release()
        del prepared
        assert all(part() is None for part in gone)
    finally:
        gc.enable()
    assert found(detector.feed([event("sh", 1)])) == [(OLD.revision, False)]
    assert len(detector.feed([event("curl", 2), event("nc", 3)])) == 1


def test_rules_that_were_released_are_prepared_again() -> None:
    detector = Detector(RuleSet((OLD,)))
    prepared = detector.prepare(RuleSet((NEW,)))
    prepared.release()
    assert detector.replace(prepared).changed == ("chain",)
    assert len(detector.feed([event("curl", 0), event("nc", 1)])) == 1


def test_key_fields_stay_readable_for_both_generations() -> None:
    by_user = (JoinKey(Field("user.name")),)
    steps = tuple(attrs.evolve(one, keys=by_user) for one in (step("curl"), step("sh")))
    users = Rule(RuleMetadata("users"), SequenceRule(steps))
    detector = Detector(RuleSet((OLD,)))
    payload = (
        b'{"@timestamp":%d,"event":{"category":"process"},'
        b'"host":{"id":"h"},"user":{"name":"u"},"process":{"name":"%s"}}'
    )
    detector.feed(EventBatch(payloads=[payload % (1000, b"curl")]))
    detector.replace(RuleSet((users,)))
    lines = [payload % (2000, b"curl"), payload % (3000, b"sh")]
    alerts = detector.feed(EventBatch(payloads=lines))
    assert [(alert.rule.rule_id, alert.join_keys) for alert in alerts] == [
        ("users", ("u",)),
        ("chain", ("h",)),
    ]
