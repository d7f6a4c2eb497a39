"""Variants of rules: more rules of the same shapes, where there are not enough real ones.

A variant looks for other names, paths and numbers, and is otherwise the rule that it was
made of. Half of the words of a rule stay, as real rules share many; a quarter become words
that other rules look for, so that variants find things in real events; a quarter are made up.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from kestrel_framework.predicate import (
    And,
    AnyElement,
    Comparison,
    Lineage,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Regex,
    TextTest,
    Value,
    Wildcard,
)
from kestrel_framework.predicate_traversal import fields_of, walk
from kestrel_framework.rule import (
    Condition,
    EventRule,
    Program,
    Rule,
    RuleBody,
    SequenceRule,
    Step,
)

_WORD: Final = re.compile(r"(?<![\\{A-Za-z])[A-Za-z]{4,}")
"""What can be another word: not `exe`, and in a regex no escape and no name of a class."""

_FIXED_FIELDS: Final = ("event.", "host.", "network.", "data_stream.", "agent.")
_FIXED_NAMES: Final = ("status", "exists", "trusted", "type", "level", "direction")
_SMALLEST_NUMBER: Final = 10
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


class Vocabulary:
    """Other words for the words of rules, the same for everyone: chosen by a digest of the seed.

    Args:
        words: What may stand for other words, in lower case.
        seed: Another seed gives other words.
    """

    def __init__(self, words: Iterable[str], seed: str) -> None:
        self._seed = seed
        self._of_length: dict[int, list[str]] = {}
        for word in sorted(set(words)):
            self._of_length.setdefault(len(word), []).append(word)

    def text(self, text: str) -> str:
        """Return the text with other words; a word is exchanged for one of its length."""
        return _WORD.sub(lambda found: self._word(found[0]), text)

    def number(self, number: int) -> int:
        """Return another number of as many digits; small ones, which often count, stay."""
        if abs(number) < _SMALLEST_NUMBER:
            return number
        lowest = int("1" + "0" * (len(str(abs(number))) - 1))
        other = lowest + self._draw(f"number {number}") % (9 * lowest)
        return other if number > 0 else -other

    def _word(self, word: str) -> str:
        draw = self._draw(word.lower())
        kind, rest = draw % 4, draw // 4
        if kind < 2:
            return word
        known = self._of_length.get(len(word))
        if kind == 2 and known:
            other = known[rest % len(known)]
        else:
            other = ""
            for _ in word:
                rest, letter = divmod(rest, len(_LETTERS))
                other += _LETTERS[letter]
        if word.isupper():
            return other.upper()
        return other.capitalize() if word[0].isupper() else other

    def _draw(self, what: str) -> int:
        digest = hashlib.sha512(f"{self._seed}\n{what}".encode()).digest()
        return int.from_bytes(digest, "big")


def words_of(rules: Iterable[Rule]) -> set[str]:
    """Return the words, in lower case, in the texts that rules look for."""
    found: set[str] = set()
    for rule in rules:
        for condition in rule.body.conditions:
            if not isinstance(condition, Program):
                for node in walk(condition):
                    for text in _texts(node):
                        found.update(word.lower() for word in _WORD.findall(text))
    return found


def variant(rule: Rule, vocabulary: Vocabulary, suffix: str) -> Rule:
    """Return the rule with other words and numbers; its id ends in `suffix`."""
    metadata = attrs.evolve(rule.metadata, rule_id=f"{rule.rule_id}{suffix}")
    return attrs.evolve(rule, metadata=metadata, body=_body(rule.body, vocabulary))


def _texts(node: object) -> Sequence[str]:
    if isinstance(node, (Wildcard, Regex)):
        return node.patterns
    if isinstance(node, Literal) and isinstance(node.value, str):
        return (node.value,)
    return ()


def _body(body: RuleBody, vocabulary: Vocabulary) -> RuleBody:
    if isinstance(body, EventRule):
        return attrs.evolve(body, predicate=_condition(body.predicate, vocabulary))
    if isinstance(body, SequenceRule):
        steps = tuple(_step(step, vocabulary) for step in body.steps)
        until = body.until and _step(body.until, vocabulary)
        return attrs.evolve(body, steps=steps, until=until)
    return attrs.evolve(body, filters=tuple(_step(step, vocabulary) for step in body.filters))


def _step(step: Step, vocabulary: Vocabulary) -> Step:
    return attrs.evolve(step, predicate=_condition(step.predicate, vocabulary))


def _condition(condition: Condition, vocabulary: Vocabulary) -> Condition:
    return condition if isinstance(condition, Program) else _varied(condition, vocabulary)


def _varied(node: Predicate, vocabulary: Vocabulary) -> Predicate:
    match node:
        case And() | Or():
            return attrs.evolve(node, terms=tuple(_varied(t, vocabulary) for t in node.terms))
        case Not():
            return attrs.evolve(node, term=_varied(node.term, vocabulary))
        case AnyElement() | Lineage():
            return attrs.evolve(node, predicate=_varied(node.predicate, vocabulary))
        case Comparison() | Membership() | Wildcard() | Regex() | TextTest():
            return node if _has_fixed_values(node) else _varied_leaf(node, vocabulary)
        case _:
            return node


def _varied_leaf(
    node: Comparison | Membership | Wildcard | Regex | TextTest, vocabulary: Vocabulary
) -> Predicate:
    match node:
        case Comparison():
            left, right = _value(node.left, vocabulary), _value(node.right, vocabulary)
            return attrs.evolve(node, left=left, right=right)
        case Membership():
            choices = dict.fromkeys(_literal(choice, vocabulary) for choice in node.choices)
            return attrs.evolve(node, choices=tuple(choices))
        case TextTest():
            return attrs.evolve(node, part=_value(node.part, vocabulary))
        case _:
            patterns = tuple(dict.fromkeys(map(vocabulary.text, node.patterns)))
            try:
                return attrs.evolve(node, patterns=patterns)
            except ValueError:  # a range of letters that is none any more
                return node


def _value(value: Value, vocabulary: Vocabulary) -> Value:
    return _literal(value, vocabulary) if isinstance(value, Literal) else value


def _literal(literal: Literal, vocabulary: Vocabulary) -> Literal:
    value = literal.value
    if isinstance(value, str):
        return Literal(vocabulary.text(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return Literal(vocabulary.number(value))
    return literal


def _has_fixed_values(node: Predicate) -> bool:
    """Say whether a field has few possible values, so that another word would never hold."""
    return any(
        path.startswith(_FIXED_FIELDS) or path.rpartition(".")[2] in _FIXED_NAMES
        for path in fields_of(node)
    )
