"""Rules: metadata plus one body, and the immutable set of them that an engine runs."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, TypeAlias

import attrs

from kestrel_framework._canonical_json import canonical_json, json_list, json_object
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.predicate import Predicate, Value
from kestrel_framework.predicate_traversal import fields_of, lineages_of
from kestrel_framework.schema import FieldType

ANY_EVENT: Final[frozenset[str]] = frozenset()
"""The event types of a step that looks at every event, also those without a category."""


class RuleSeverity(enum.Enum):
    """How bad it is if a finding is true, in the words of the Elastic Common Schema."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@attrs.frozen
class Technique:
    """An ATT&CK technique with the tactic it serves. Empty texts are unknown."""

    tactic_id: str = ""
    tactic_name: str = ""
    technique_id: str = ""
    technique_name: str = ""
    reference: str = ""


@attrs.frozen
class RuleMetadata:
    """What people and the kernel know of a rule besides its body.

    `actions` names the actions the rule asks for, by action type. `extra`
    keeps, as plain data, what a rule file says and Kestrel does not use.
    """

    rule_id: str
    name: str = ""
    version: str = "1"
    description: str = ""
    authors: tuple[str, ...] = ()
    severity: RuleSeverity = RuleSeverity.MEDIUM
    risk_score: int = 50
    tags: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    threat: tuple[Technique, ...] = ()
    actions: tuple[str, ...] = ()
    license: str = ""
    extra: Mapping[str, object] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen
class RuleSource:
    """A rule as it was read: not compiled, its text not looked at.

    Attributes:
        metadata: What the file says about the rule.
        language: The name of the compiler that understands `text`.
        text: The rule in its language.
        location: Where `text` begins: compilers count lines and columns from
            there. The path is how messages name the file.
        options: Settings of the language, such as `dialect`.
        payload: For a program: its bytes.
    """

    metadata: RuleMetadata
    language: str
    text: str
    location: SourceLocation
    options: Mapping[str, str] = attrs.field(factory=dict)
    payload: bytes = b""


@attrs.frozen
class Program:
    """A predicate written by hand for a runtime.

    It is asked only about events of its event types for which `prefilter` holds,
    and sees only its declared fields.
    """

    runtime: str
    payload: bytes = attrs.field(repr=False)
    fields: Mapping[str, FieldType]
    prefilter: Predicate | None = None


Condition: TypeAlias = Predicate | Program


@attrs.frozen
class EventRule:
    """Every event of one of `event_types` that satisfies `predicate` is a finding.

    An empty set of event types is every event (`ANY_EVENT`).
    """

    event_types: frozenset[str]
    predicate: Condition

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return (self.predicate,)


@attrs.frozen
class JoinKey:
    """A value that the events of a sequence, sample or join share.

    A null key drops the event, unless `optional`: then null is a value that equals itself.
    With `fold`, texts are equal without regard to case; a finding has the spelling of its
    first event. The steps of a rule fold the same keys.
    """

    value: Value
    optional: bool = False
    fold: bool = False


@attrs.frozen
class Step:
    """One step of a sequence, or one filter of a sample or join.

    Attributes:
        event_types: As in `EventRule`.
        predicate: What the event must satisfy. `StepField`s in it refer to earlier steps.
        keys: All join keys of this step, those of the whole sequence first.
        missing: The step holds where no such event is (`![...]`).
        name: What later steps call its event, or "".
        fork: The step goes on with a copy: the partial match it continues stays, for the
            next event that satisfies the step. Of the first step it means nothing.
    """

    event_types: frozenset[str]
    predicate: Condition
    keys: tuple[JoinKey, ...] = ()
    missing: bool = False
    name: str = ""
    fork: bool = False


@attrs.frozen
class SequenceRule:
    """Events that satisfy the steps one after the other and agree in their keys.

    Attributes:
        steps: In order; a step with runs is written out as often as it runs.
        maxspan: Longest time from the first to the last event, in nanoseconds,
            inclusive; `None` is unlimited.
        until: What ends a sequence that is under way.
        until_first: Whether an event that satisfies both `until` and a step ends what is
            under way before the step sees it; otherwise it can complete a sequence, and
            ends one that it does not complete.
    """

    steps: tuple[Step, ...]
    maxspan: int | None = None
    until: Step | None = None
    until_first: bool = False

    @property
    def conditions(self) -> tuple[Condition, ...]:
        until = (self.until,) if self.until else ()
        return tuple(step.predicate for step in (*self.steps, *until))


@attrs.frozen
class SampleRule:
    """Different events, in any order, one for each filter, that agree in their keys."""

    filters: tuple[Step, ...]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return tuple(step.predicate for step in self.filters)


@attrs.frozen
class JoinRule:
    """Events in any order, the first for each filter, that agree in their keys.

    One event can stand for several filters. When every filter has its event, that is a
    finding, and the key begins anew. An event that satisfies `until` makes its key forget
    what it has, before any filter sees that event. The source of this meaning is the
    engine of the EQL of Endgame.
    """

    filters: tuple[Step, ...]
    until: Step | None = None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        until = (self.until,) if self.until else ()
        return tuple(step.predicate for step in (*self.filters, *until))


RuleBody: TypeAlias = EventRule | SequenceRule | SampleRule | JoinRule


@attrs.frozen
class Pipe:
    """A stage that results pass after matching, such as `head 5`.

    On a stream there is only `filter`: see `Rule.streaming_problem`.

    `fold` says that texts are equal, and in order, without regard to case; to `count` they
    are always equal so.
    """

    name: str
    arguments: tuple[Value | Predicate | int, ...] = ()
    fold: bool = False

    @property
    def condition(self) -> Predicate:
        """What a `filter` lets pass: of the first event; a `StepField` is one of another event.

        Raises:
            ValueError: there is not one condition, or it asks for lineage, which only a
                condition of an event can.
        """
        match self.arguments:
            case [argument] if isinstance(argument, Predicate):
                if lineages_of(argument):
                    raise ValueError("cannot ask for lineage; ask in the condition of the event")
                return argument
            case _:
                raise ValueError("takes one condition")


_WHY_NOT_ON_A_STREAM: Final[Mapping[str, str]] = {
    "count": "it waits for all results",
    "head": "it would fall silent after its first results",
    "sort": "it waits for all results",
    "tail": "it waits for the last result",
    "unique": "it would have to remember every value",
    "unique_count": "it would have to remember every value, and waits for all results",
}


class RolloutMode(enum.Enum):
    """Which findings of a revision count."""

    LIVE = "live"
    SHADOW = "shadow"
    CANARY = "canary"


@attrs.frozen
class Rollout:
    """Which findings of a revision count: all, none (but counted), or a fraction of the keys.

    A revision that is `draining` goes on with what is under way, and begins nothing.
    """

    mode: RolloutMode = RolloutMode.LIVE
    fraction: float = attrs.field(
        default=1.0, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)]
    )
    draining: bool = False


@attrs.frozen(slots=False)
class Rule:
    """A compiled rule.

    Attributes:
        metadata: What is known of it.
        body: What it looks for.
        language: The language it was written in.
        location: Where it was read.
        pipes: What results pass; in a rule set, filters alone.
        warnings: What a reader of the rule should know, such as a condition that never holds.
        rollout: Which of its findings count.
    """

    metadata: RuleMetadata
    body: RuleBody
    language: str = ""
    location: SourceLocation | None = None
    pipes: tuple[Pipe, ...] = ()
    warnings: tuple[RuleError, ...] = attrs.field(default=(), eq=False)
    rollout: Rollout = attrs.field(factory=Rollout)

    @property
    def rule_id(self) -> str:
        return self.metadata.rule_id

    @property
    def kind(self) -> str:
        """`"event"`, `"sequence"`, `"sample"` or `"join"`."""
        return type(self.body).__name__.removesuffix("Rule").lower()

    @property
    def until(self) -> Step | None:
        """What ends what is under way, if the rule says."""
        return self.body.until if isinstance(self.body, (SequenceRule, JoinRule)) else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps or filters; an event rule is one step without keys."""
        match self.body:
            case EventRule(event_types, predicate):
                return (Step(event_types, predicate),)
            case SequenceRule(steps=steps):
                return steps
            case SampleRule(filters=filters) | JoinRule(filters=filters):
                return filters

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The paths of all fields the rule looks at, sorted."""
        paths: set[str] = set()
        for step in (*self.steps, *((self.until,) if self.until else ())):
            if isinstance(step.predicate, Program):
                paths.update(step.predicate.fields)
                if step.predicate.prefilter is not None:
                    paths |= fields_of(step.predicate.prefilter)
            else:
                paths |= fields_of(step.predicate)
            for key in step.keys:
                paths |= fields_of(key.value)
        for pipe in self.pipes:
            for argument in pipe.arguments:
                paths |= frozenset() if isinstance(argument, int) else fields_of(argument)
        return tuple(sorted(paths))

    @property
    def streaming_problem(self) -> str | None:
        """Why the rule cannot run on a stream, for people; None if its pipes are filters alone."""
        for pipe in self.pipes:
            if pipe.name != "filter":
                why = _WHY_NOT_ON_A_STREAM.get(pipe.name, "only `filter` looks at one result alone")
                return (
                    f"the pipe `{pipe.name}` does not work on a stream: {why}; "
                    "leave it out, or search with `kestrel query`"
                )
            try:
                _ = pipe.condition
            except ValueError as error:
                return f"the pipe `filter` {error}"
        return None

    @cached_property
    def semantic_hash(self) -> str:
        """A digest of what the rule means: not of its text, name, version or compiler."""
        # Rules without pipes mean what they meant before there were any.
        meant = (self.body, self.pipes) if self.pipes else self.body
        return hashlib.sha256(_meaning(meant).encode()).hexdigest()

    @property
    def revision(self) -> str:
        """A short name of the meaning, for people and alerts: version and digest."""
        return f"{self.metadata.version}-{self.semantic_hash[:8]}"


def _meaning(part: object) -> str:
    """Return what a part of a body means, as canonical JSON."""
    match part:
        case Program():
            fields = sorted((path, kind.value) for path, kind in part.fields.items())
            return json_object(
                {
                    "runtime": canonical_json(part.runtime),
                    "payload": canonical_json(hashlib.sha256(part.payload).hexdigest()),
                    "fields": canonical_json(tuple(fields)),
                    "prefilter": canonical_json(part.prefilter),
                }
            )
        case Pipe(name, arguments, fold):
            return json_object(
                {
                    "pipe": canonical_json(name),
                    "arguments": _meaning(arguments),
                    "fold": canonical_json(fold),
                }
            )
        case EventRule() | SequenceRule() | SampleRule() | JoinRule() | Step() | JoinKey():
            members = {"kind": canonical_json(type(part).__name__)}
            for attribute in attrs.fields(type(part)):
                value = getattr(part, attribute.name)
                # What a later version adds must not give the rules of today another meaning.
                if attribute.name != "name" and value != attribute.default:
                    members[attribute.name] = _meaning(value)
            return json_object(members)
        case tuple():
            return json_list(part, _meaning)
        case _:
            return canonical_json(part)


def _in_a_tuple(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(rules)


@attrs.frozen(slots=False)
class RuleSet:
    """One immutable generation of rules, in a fixed order, unique by (rule id, semantic hash).

    Two revisions of a rule can stand side by side. Iterates over its rules;
    picklable.

    Raises:
        RuleError: two rules have the same id and meaning, or one has a pipe that does not work
            on a stream.
    """

    rules: tuple[Rule, ...] = attrs.field(default=(), converter=_in_a_tuple)

    def __attrs_post_init__(self) -> None:
        seen: dict[str, list[Rule]] = {}
        for rule in self.rules:
            if rule.streaming_problem:
                raise RuleError(rule.streaming_problem, rule.location, rule_id=rule.rule_id)
            revisions = seen.setdefault(rule.rule_id, [])
            # Digests take time; of the rules with an id of their own, nobody asks for one here.
            first = next((r for r in revisions if r.semantic_hash == rule.semantic_hash), rule)
            revisions.append(rule)
            if first is not rule:
                where = f"; the first is in {first.location}" if first.location else ""
                problem = f"rule `{rule.rule_id}` is in the set twice with the same meaning{where}"
                raise RuleError(problem, rule.location, rule_id=rule.rule_id)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    @cached_property
    def fields(self) -> frozenset[str]:
        """The paths of all fields that any rule looks at."""
        return frozenset(path for rule in self.rules for path in rule.fields)

    @cached_property
    def generation(self) -> str:
        """A digest that names this set: which rules, which revisions, which rollouts."""
        digest = hashlib.sha256()
        for rule in self.rules:
            entry = (
                rule.rule_id,
                rule.semantic_hash,
                rule.metadata.version,
                rule.rollout.mode.value,
                rule.rollout.fraction,
                rule.rollout.draining,
            )
            digest.update(repr(entry).encode())
        return digest.hexdigest()


@attrs.frozen
class LoadReport:
    """What loading rule files gave: the rules that compile, and everything that is wrong.

    Attributes:
        rules: The compiled rules, in the order of their files.
        errors: All errors of all files.
        warnings: All warnings of all files.
        files: How many rule files were read, good or bad.
    """

    rules: Sequence[Rule] = ()
    errors: Sequence[RuleError] = ()
    warnings: Sequence[RuleError] = ()
    files: int = 0

    @property
    def rule_set(self) -> RuleSet:
        return RuleSet(tuple(self.rules))


def errors_in(error: RuleError | ExceptionGroup[RuleError]) -> Iterable[RuleError]:
    """Yield the single errors of what a compiler raised."""
    if isinstance(error, RuleError):
        yield error
    else:
        for inner in error.exceptions:
            yield from errors_in(inner)
