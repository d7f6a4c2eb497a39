"""The stage among the others: what it decides, hands on, remembers and refuses."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Mapping, Sequence

import attrs
import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import QUERY, Candidate, Problem, targets_of
from kestrel_framework._pipeline.process_lineage import ProcessLineage, decode, encode
from kestrel_framework.detector import Detector, RememberedProcesses
from kestrel_framework.errors import RuleError, StateError
from kestrel_framework.event import Document, EventBatch, EventSettings
from kestrel_framework.interfaces import FieldValue, Limits, Outcome
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    Comparison,
    ComparisonOperator,
    Field,
    Lineage,
    LineageRelation,
    Literal,
    Not,
    Or,
    Predicate,
    StepField,
    Truth,
)
from kestrel_framework.query import search
from kestrel_framework.rule import (
    ANY_EVENT,
    Condition,
    EventRule,
    JoinKey,
    Pipe,
    Program,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSet,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import FieldType, SchemaRegistry
from sequence_shapes import row_of

SCHEMA = SchemaRegistry()
SETTINGS = EventSettings("t", "ns", "kind")
EVENT, CHILD, DESCENDANT = LineageRelation
PROCESS, PARENT = Field("p"), Field("pp")


def named(name: str) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, Field("name"), Literal(name))


def lineage_of(
    relation: LineageRelation, predicate: Predicate, process: Field = PROCESS
) -> Lineage:
    return Lineage(relation, ANY_EVENT, predicate, process, PARENT)


BELOW_WORD = lineage_of(DESCENDANT, named("word"))
SHELL_BELOW_WORD = And((named("sh"), BELOW_WORD))
WITHOUT_PROCESS = {"name": "sh"}


def event(name: str, process: object, parent: object = None, **more: object) -> Document:
    return {"name": name, "p": process, "pp": parent, **more}


WORD_AND_SHELLS: Sequence[Document] = [
    event("sh", 2),
    event("word", 1),
    event("cmd", 3, 1),
    event("sh", 4, 3),
    event("sh", 2),
]


def rule(rule_id: str, body: RuleBody | Condition, **changes: object) -> Rule:
    if not isinstance(body, RuleBody):
        body = EventRule(ANY_EVENT, body)
    return attrs.evolve(Rule(RuleMetadata(rule_id), body), **changes)  # type: ignore[arg-type]


def detector(*conditions: RuleBody | Condition, **options: object) -> Detector:
    rules = RuleSet(tuple(rule(str(n), condition) for n, condition in enumerate(conditions)))
    return Detector(rules, schema=SCHEMA, settings=SETTINGS, **options)  # type: ignore[arg-type]


def decoded_or_none(content: bytes) -> object:
    try:
        return msgspec.msgpack.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def found(detector: Detector, events: Sequence[Document]) -> list[list[int | None]]:
    return [
        [None if one is None else one.identity.offset for one in alert.evidence]
        for alert in detector.feed(events)
    ]


class TestDecisions:
    def test_an_event_is_judged_by_what_came_before_it(self) -> None:
        assert found(detector(SHELL_BELOW_WORD), WORD_AND_SHELLS) == [[3]]
        assert found(detector(And((named("sh"), Not(BELOW_WORD)))), WORD_AND_SHELLS) == [[0], [4]]

    def test_the_event_itself_counts_for_its_process(self) -> None:
        of_word = lineage_of(EVENT, named("word"))
        events = [event("a", 1), event("word", 1), event("b", 1), event("c", 2, 1)]
        assert found(detector(of_word), events) == [[1], [2]]

    def test_queries_nest(self) -> None:
        child_of_shell_below_word = lineage_of(CHILD, SHELL_BELOW_WORD)
        events = [*WORD_AND_SHELLS, event("id", 5, 4), event("id", 6, 2), event("id", 7, 5)]
        assert found(detector(child_of_shell_below_word), events) == [[5]]

    def test_each_pair_of_fields_is_a_tree_of_its_own(self) -> None:
        by_q = lineage_of(DESCENDANT, named("word"), Field("q"))
        events = [
            {"name": "word", "p": 1, "q": 8},
            {"name": "a", "p": 2, "pp": 1, "q": 9},
            {"name": "b", "p": 3, "q": 7, "pp": 8},
        ]
        assert found(detector(BELOW_WORD), events) == [[1]]
        assert found(detector(by_q), events) == [[2]]
        assert found(detector(Or((by_q, BELOW_WORD))), events) == [[1], [2]]

    def test_the_steps_of_a_sequence_ask_too(self) -> None:
        below = Step(ANY_EVENT, SHELL_BELOW_WORD)
        end = Step(ANY_EVENT, named("end"))
        events = [*WORD_AND_SHELLS, event("end", 9), event("sh", 4), event("end", 9)]
        assert found(detector(SequenceRule((below, end))), events) == [[3, 5], [6, 7]]
        begin = Step(ANY_EVENT, named("word"))
        sequence = SequenceRule((begin, end), until=below)
        assert found(detector(sequence), events) == []
        assert found(detector(attrs.evolve(sequence, until=None)), events) == [[1, 5]]

    def test_what_also_reads_earlier_steps_is_left_to_the_tracker_with_the_lineage(self) -> None:
        same = Comparison(ComparisonOperator.EQUAL, Field("x"), StepField(0, "x"))
        both = And((BELOW_WORD, same))
        either = Or((BELOW_WORD, same))
        steps = [Step(ANY_EVENT, condition) for condition in (ALWAYS, both, either)]
        rules = RuleSet((rule("r", SequenceRule(tuple(steps))),))
        targets = targets_of(rules)
        stage = ProcessLineage(rules, targets)
        matcher = EventMatcher(
            (*targets, *stage.targets), SCHEMA, SETTINGS, NativePatternEngine(), stage.paths
        )
        matched = matcher.match(EventBatch(documents=WORD_AND_SHELLS))
        proposed = [
            Candidate(
                row_of(WORD_AND_SHELLS[one.index], 0, one.index), one.targets, index=one.index
            )
            for one in matched.matches
        ]
        assert all(one.targets[:3] == (0, 1, 2) for one in proposed)
        decided = stage.decide(matched.processes, proposed)
        # What lineage refutes is dropped; what an earlier step may still save is not.
        assert [one.targets[1:] for one in decided] == [(2,), (2,), (1, 2), (1, 2), (2,)]
        assert [set(one.lineage) for one in decided] == [
            set(), set(), {BELOW_WORD}, {BELOW_WORD}, set()
        ]  # fmt: skip

    def test_an_alert_shows_the_event_and_not_what_was_asked_of_others(self) -> None:
        inner = Comparison(ComparisonOperator.EQUAL, Field("secret"), Literal(1))
        condition = And((named("sh"), lineage_of(CHILD, inner)))
        events = [event("x", 1, secret=1), event("sh", 2, 1, secret=5)]
        (alert,) = detector(condition).feed(events)
        assert alert.events[0].fields == {"name": "sh", "p": 2, "pp": 1}


@attrs.define
class AskedRuntime:
    """A runtime that says yes, and remembers what it was asked."""

    asked: list[list[FieldValue]] = attrs.field(factory=list)

    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> AskedRuntime:
        return self

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        self.asked += [list(row) for row in rows]
        return [True for _ in rows]


class TestOtherRuntimes:
    def test_a_program_is_asked_only_where_its_prefilter_holds(self) -> None:
        lua = AskedRuntime()
        program = Program("lua", b"", {"p": FieldType.LONG}, SHELL_BELOW_WORD)
        assert found(detector(program, evaluators={"lua": lua}), WORD_AND_SHELLS) == [[3]]
        assert lua.asked == [[4]]

    def test_a_condition_with_lineage_is_the_kernels_and_another_is_not(self) -> None:
        lua = AskedRuntime()
        judged = detector(SHELL_BELOW_WORD, named("cmd"), evaluators={"lua": lua}, runtime="lua")
        assert found(judged, WORD_AND_SHELLS) == [[2], [3]]
        assert lua.asked == [["cmd"]]


class TestQueries:
    def test_without_lineage_there_is_no_tree_and_no_work(self) -> None:
        rules = RuleSet((rule("r", named("sh")),))
        stage = ProcessLineage(rules, targets_of(rules))
        candidates = [Candidate(row_of({}, 0, 0), (0,))]
        assert stage.targets == ()
        assert stage.decide([], candidates) is candidates

    def test_equal_queries_are_one_and_stand_after_those_inside_them(self) -> None:
        inner = lineage_of(CHILD, named("a"))
        outer = lineage_of(EVENT, inner)
        conditions: tuple[Predicate, ...] = (
            outer,
            And((named("x"), inner)),
            lineage_of(DESCENDANT, named("a")),
        )
        rules = RuleSet(tuple(rule(str(n), one) for n, one in enumerate(conditions)))
        stage = ProcessLineage(rules, targets_of(rules))
        queries = [target.condition for target in stage.targets if target.step == QUERY]
        assert queries[:2] == [named("a"), inner]
        # What the second query means where no lineage holds.
        assert queries[2:] == [NEVER]

    def test_a_query_cannot_refer_to_earlier_steps(self) -> None:
        same = Comparison(ComparisonOperator.EQUAL, Field("x"), StepField(0, "x"))
        steps = (Step(ANY_EVENT, ALWAYS), Step(ANY_EVENT, lineage_of(CHILD, same)))
        with pytest.raises(RuleError, match="`child of` has no earlier steps") as caught:
            detector(SequenceRule(steps))
        assert caught.value.context == {"rule": "0"}

    def test_a_join_key_cannot_ask_for_lineage(self) -> None:
        key = JoinKey(Truth(BELOW_WORD, Not(BELOW_WORD)))
        step = Step(ANY_EVENT, ALWAYS, (key,))
        with pytest.raises(RuleError, match="join key"):
            detector(SequenceRule((step, step)))

    def test_nor_can_a_pipe(self) -> None:
        for pipe in (Pipe("filter", (BELOW_WORD,)), Pipe("unique", (Truth(BELOW_WORD, ALWAYS),))):
            with pytest.raises(RuleError, match=f"the pipe `{pipe.name}` cannot ask for lineage"):
                search(rule("r", ALWAYS, pipes=(pipe,)), [], schema=SCHEMA)


class TestSearch:
    def test_a_sample_takes_the_events_as_given_and_their_lineage_in_order(self) -> None:
        filters = (Step(ANY_EVENT, SHELL_BELOW_WORD, (JoinKey(Field("k")),)),)
        events = [
            event("sh", 4, 3, t=5, k=1, n=0),
            event("sh", 3, 1, t=3, k=1, n=1),
            event("sh", 3, 1, t=1, k=1, n=2),
            event("word", 1, t=2, n=3),
        ]
        sample = rule("r", SampleRule(filters))
        results = search(
            sample, events, settings=SETTINGS, schema=SCHEMA, max_samples_per_key=9, size=None
        )
        assert [one.events[0]["n"] for one in results if one.events[0]] == [0, 1]

    def test_there_is_no_limit(self) -> None:
        number = 70_000
        events = [event("word", -1, t=0), event("x", 0, -1, t=1)]
        events += [event("x", n, t=n + 1) for n in range(1, number)]
        events += [event("sh", 0, t=number + 2)]
        results = search(rule("r", SHELL_BELOW_WORD), events, settings=SETTINGS, schema=SCHEMA)
        assert len(results) == 1


class TestCounts:
    def test_events_without_a_process_are_counted_where_one_is_needed(self) -> None:
        problems: list[Problem] = []
        asking = detector(
            SHELL_BELOW_WORD, And((named("sh"), Not(BELOW_WORD))), on_problem=problems.append
        )
        events = [{"name": "word"}, WITHOUT_PROCESS, {"name": "other"}]
        assert found(asking, events) == [[1]]
        assert asking.statistics.problems["no_process_id"] == 2
        told = [problem for problem in problems if problem.cause == "no_process_id"]
        assert [problem.origin for problem in told] == ["documents#0", "documents#1"]
        assert "`p`" in str(told[0])

    def test_what_is_remembered_and_forgotten_is_told(self) -> None:
        asking = detector(SHELL_BELOW_WORD, lineage_processes=3)
        assert asking.processes == RememberedProcesses(0, {"marked": 0, "unmarked": 0}, 0, 0)
        asking.feed([event("word" if n < 5 else "x", str(n) * 200) for n in range(8)])
        told = RememberedProcesses(3, {"marked": 3, "unmarked": 2}, 8, 0)
        assert asking.processes == told
        assert pickle.loads(pickle.dumps(asking)).processes == told

    def test_a_limit_is_at_least_one(self) -> None:
        with pytest.raises(ValueError):
            detector(ALWAYS, lineage_processes=0)


class TestOtherRuleSets:
    FIRST = RuleSet((rule("a", lineage_of(CHILD, named("a"))), rule("b", SHELL_BELOW_WORD)))
    SECOND = RuleSet((rule("n", lineage_of(DESCENDANT, named("cmd"))), rule("b", SHELL_BELOW_WORD)))

    @pytest.mark.parametrize("way", ["replaced", "restored"])
    def test_marks_of_queries_that_both_have_go_on(self, way: str) -> None:
        asking = Detector(self.FIRST, schema=SCHEMA, settings=SETTINGS)
        asking.feed([event("word", 1), event("cmd", 3, 1), event("a", 5)])
        if way == "replaced":
            asking.replace(self.SECOND)
        else:
            other = Detector(self.SECOND, schema=SCHEMA, settings=SETTINGS, lineage_processes=2)
            other.restore(asking.snapshot())
            asking = other
            # The process of the query that is no more goes first.
            assert asking.processes.evicted == {"marked": 0, "unmarked": 1}
        alerts = asking.feed([event("sh", 4, 3), event("cmd", 3), event("x", 4, 3)])
        assert [(one.rule.rule_id, one.events[0].document["name"]) for one in alerts] == [
            ("b", "sh"),
            ("n", "x"),
        ]

    def test_rules_without_lineage_forget(self) -> None:
        asking = detector(SHELL_BELOW_WORD)
        asking.feed([event("word", 1)])
        asking.replace(RuleSet((rule("r", named("sh")),)))
        assert asking.processes.live == 0
        asking.replace(RuleSet((rule("r", SHELL_BELOW_WORD),)))
        assert found(asking, [event("sh", 2, 1)]) == []

    def test_a_rule_set_that_cannot_be_loaded_changes_nothing(self) -> None:
        asking = detector(SHELL_BELOW_WORD)
        asking.feed([event("word", 1)])
        with pytest.raises(RuleError):
            asking.replace(RuleSet((rule("r", Program("absent", b"", {})),)))
        assert found(asking, [event("sh", 2, 1)]) == [[1]]


class TestSnapshots:
    def test_one_from_before_there_was_lineage_is_read(self) -> None:
        asking = detector(SHELL_BELOW_WORD)
        asking.feed([event("word", 1)])
        state = msgspec.msgpack.decode(asking.snapshot())
        del state["lineage"]
        asking.restore(msgspec.msgpack.encode({**state, "version": 1}))
        assert asking.processes.live == 0
        assert found(asking, [event("sh", 2, 1)]) == []

    def test_one_of_a_newer_version_is_refused(self) -> None:
        asking = detector(SHELL_BELOW_WORD)
        state = msgspec.msgpack.decode(asking.snapshot())
        with pytest.raises(StateError, match="unknown version 4"):
            asking.restore(msgspec.msgpack.encode({**state, "version": 4}))
        name, version, checksum, content = msgspec.msgpack.decode(state["lineage"])
        for envelope, problem in (
            ([name, version + 1, checksum, content], "version 2; this kernel reads version 1"),
            (["other", version, checksum, content], "no snapshot of processes"),
            ([name, version, checksum, content + b"\0"], "checksum"),
        ):
            with pytest.raises(StateError, match=problem):
                decode(msgspec.msgpack.encode(envelope))

    @given(st.data())
    def test_a_damaged_one_is_refused_and_changes_nothing(self, data: st.DataObject) -> None:
        asking = detector(SHELL_BELOW_WORD)
        asking.feed(WORD_AND_SHELLS)
        state = msgspec.msgpack.decode(asking.snapshot())
        lineage = bytearray(state["lineage"])
        place = data.draw(st.integers(0, len(lineage) - 1))
        lineage[place] ^= data.draw(st.integers(1, 255))
        # Another way to write the same number, say of the checksum, is no damage.
        assume(msgspec.msgpack.decode(state["lineage"]) != decoded_or_none(bytes(lineage)))
        damaged = msgspec.msgpack.encode({**state, "lineage": bytes(lineage)})
        with pytest.raises(StateError):
            asking.restore(damaged)
        assert found(asking, [event("sh", 9, 3)]) == [[5]]

    @pytest.mark.parametrize(
        "tree",
        [
            ["t", ["q"], [b"\x02"], ["a"], [None], [0], [0], [0]],
            ["t", ["q"], [b"\x01"], ["a"], [None], [1], [0], [0]],
            ["t", ["q"], [b"\x01"], ["a"], [None], [-1], [0], [0]],
            ["t", ["q"], [b"\x01"], ["a", "a"], [None] * 2, [0] * 2, [0] * 2, [0] * 2],
            ["t", ["q"], [b"\x01"], ["a"], [None, None], [0], [0], [0]],
            ["t", ["q"], [b"\x01"], [True], [None], [0], [0], [0]],
            ["t", ["q"], [b"\x01"], [[]], [None], [0], [0], [0]],
        ],
    )
    def test_what_makes_no_sense_is_refused(self, tree: list[object]) -> None:
        content = msgspec.msgpack.encode([[tree], 0, 0, 0, 0])
        envelope = ["kestrel-lineage", 1, zlib.crc32(content), content]
        with pytest.raises(StateError, match="damaged"):
            decode(msgspec.msgpack.encode(envelope))

    @given(
        st.lists(
            st.one_of(st.text(max_size=200), st.integers(), st.floats(allow_nan=False)), max_size=9
        )
    )
    def test_any_ids_are_stored(self, ids: list[object]) -> None:
        rules = RuleSet((rule("r", SHELL_BELOW_WORD),))
        stage = ProcessLineage(rules, targets_of(rules))
        events = list(zip(ids, reversed(ids), strict=True))
        marked = [Candidate(row_of({}, 0, n), (1,), index=n) for n in range(0, len(events), 2)]
        stage.decide(events, marked)
        stored = encode(stage.dump())
        again = ProcessLineage(rules, targets_of(rules))
        again.load(decode(stored))
        assert encode(again.dump()) == stored
