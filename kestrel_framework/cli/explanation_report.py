"""Explanations of rules, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from kestrel_framework._builtin.event_summary import event_summary
from kestrel_framework._explanation import Attempt, ConditionReport, EventReport, RuleReport
from kestrel_framework._pipeline.sequence_tracker import EndReason
from kestrel_framework.cli.event_path_report import value_text
from kestrel_framework.cli.json_lines import print_json, print_text
from kestrel_framework.cli.messages import printable
from kestrel_framework.event import Event
from kestrel_framework.predicate_text import predicate_text
from kestrel_framework.rule import ANY_EVENT, Program, Rule, Step
from kestrel_framework.timestamps import format_timestamp

_LONGEST: Final = 120
_SHOWN_VALUES: Final = 8
_WAITS: Final = "still waiting"


class ExplanationReport(Protocol):
    """Where explanations go."""

    def program(self, rule: Rule, runtime: str) -> None:
        """Say that a program decides a rule, which cannot be looked into."""

    def events(self, rule: Rule, found: RuleReport) -> None:
        """Say how close events come to a rule."""

    def attempts(self, rule: Rule, attempts: Sequence[Attempt], most: int) -> None:
        """Say what became of partial matches; at most so many, those that came furthest."""


class JsonReport:
    """One object for each rule, and one for each event or partial match of it that is shown."""

    def program(self, rule: Rule, runtime: str) -> None:
        print_json({"rule_id": rule.rule_id, "kind": rule.kind, "decided_by": runtime})

    def events(self, rule: Rule, found: RuleReport) -> None:
        head = {"rule_id": rule.rule_id, "kind": rule.kind}
        print_json({**head, "events_of_type": found.of_type, "matching": found.matching})
        for one in found.shown:
            print_json(
                {
                    **head,
                    "event": one.number,
                    "holds": one.condition.holds,
                    "condition": _condition_object(one.condition),
                }
            )

    def attempts(self, rule: Rule, attempts: Sequence[Attempt], most: int) -> None:
        head = {"rule_id": rule.rule_id, "kind": rule.kind}
        print_json({**head, "partial_matches": len(attempts), "closed": _closings(attempts)})
        for attempt in _furthest(attempts, most):
            print_json(
                {
                    **head,
                    "join_keys": list(attempt.key),
                    "steps": [
                        {
                            "step": seen.number,
                            "condition": _step_text(rule.steps[seen.number - 1], None),
                            "event": None if seen.event is None else _event_object(seen.event),
                        }
                        for seen in attempt.steps
                    ],
                    "waits_for": attempt.waits_for,
                    "since": format_timestamp(attempt.last.timestamp),
                    "closed": attempt.closed and attempt.closed.value,
                    "closed_by": attempt.closed_by and _event_object(attempt.closed_by),
                }
            )


class TextReport:
    """For people."""

    def __init__(self) -> None:
        self._is_first = True

    def program(self, rule: Rule, runtime: str) -> None:
        self._head(rule)
        self._line(f"  a program of the runtime {runtime} decides; nobody can look into it")

    def events(self, rule: Rule, found: RuleReport) -> None:
        self._head(rule)
        self._line(f"  {found.matching:,} of {found.of_type:,} events of its types satisfy it")
        for one in found.shown:
            self._line(f"  {_event_line(one)}")
            for line in _condition_lines(one.condition, "    "):
                self._line(line)

    def attempts(self, rule: Rule, attempts: Sequence[Attempt], most: int) -> None:
        self._head(rule)
        closings = ", ".join(f"{number:,} {name}" for name, number in _closings(attempts).items())
        noun = "partial match" if len(attempts) == 1 else "partial matches"
        self._line(f"  {len(attempts):,} {noun}{': ' if closings else ''}{closings}")
        for attempt in _furthest(attempts, most):
            keys = ", ".join(value_text(value, _LONGEST) for value in attempt.key)
            self._line(f"  keys: {keys or '(none)'}")
            for seen in attempt.steps:
                step = rule.steps[seen.number - 1]
                self._line(f"    step {seen.number}: {_step_text(step, _LONGEST)}")
                if seen.event is not None:
                    self._line(f"      {_seen_text(seen.event)}")
            self._line(f"    {_closing_text(attempt)}")

    def _head(self, rule: Rule) -> None:
        if not self._is_first:
            print_text("")
        self._is_first = False
        name = rule.metadata.name
        shown = f" ({name})" if name not in ("", rule.rule_id) else ""
        self._line(f"{rule.rule_id}{shown}, {rule.kind}")

    def _line(self, line: str) -> None:
        print_text(printable(line).replace("\n", "\\n").replace("\t", "\\t"))


def _furthest(attempts: Sequence[Attempt], most: int) -> Sequence[Attempt]:
    def came(attempt: Attempt) -> int:
        return sum(step.event is not None for step in attempt.steps)

    return sorted(attempts, key=came, reverse=True)[:most]


def _closings(attempts: Sequence[Attempt]) -> dict[str, int]:
    counted = Counter(
        _WAITS if attempt.closed is None else attempt.closed.value for attempt in attempts
    )
    return dict(sorted(counted.items()))


def _closing_text(attempt: Attempt) -> str:
    since = format_timestamp(attempt.last.timestamp)
    waited = "" if attempt.waits_for is None else f"step {attempt.waits_for} "
    if attempt.closed is None:
        return f"{waited}waits since {since}"
    when = "" if attempt.closed_by is None else f" with {_seen_text(attempt.closed_by)}"
    if attempt.closed is EndReason.COMPLETED:
        return f"completed{when}"
    return f"{waited}waited since {since}; {attempt.closed.value}{when}"


def _step_text(step: Step, longest: int | None) -> str:
    types = "any" if step.event_types == ANY_EVENT else " or ".join(sorted(step.event_types))
    assert not isinstance(step.predicate, Program)
    text = f"{types} where {predicate_text(step.predicate, longest)}"
    return f"![ {text} ]" if step.missing else text


def _event_object(event: Event) -> dict[str, object]:
    return {
        "event": event.identity.offset,
        "timestamp": format_timestamp(event.timestamp),
        "summary": event_summary(event.document),
    }


def _seen_text(event: Event) -> str:
    summary = event_summary(event.document)
    place = f"{format_timestamp(event.timestamp)} event {event.identity.offset + 1}"
    return f"{place}: {summary}" if summary else place


def _event_line(one: EventReport) -> str:
    verdict = "satisfies it" if one.condition.holds else "does not"
    summary = event_summary(one.document)
    return f"event {one.number + 1} {verdict}{': ' if summary else ''}{summary}"


def _condition_lines(condition: ConditionReport, indent: str) -> Iterator[str]:
    mark = "+" if condition.holds else "-"
    text = condition.text
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    yield f"{indent}{mark} {text}"
    if not condition.terms:
        for path, values in condition.values.items():
            yield f"{indent}    {path} = {_values_text(values)}"
    for term in condition.terms:
        yield from _condition_lines(term, f"{indent}  ")


def _values_text(values: Sequence[object]) -> str:
    if not values:
        return "(absent)"
    shown = ", ".join(value_text(value, _LONGEST) for value in values[:_SHOWN_VALUES])
    more = len(values) - _SHOWN_VALUES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _condition_object(condition: ConditionReport) -> dict[str, object]:
    found: dict[str, object] = {"condition": condition.text, "holds": condition.holds}
    if condition.terms:
        found["terms"] = [_condition_object(term) for term in condition.terms]
    else:
        found["values"] = {path: list(values) for path, values in condition.values.items()}
    return found
