from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rule_variants import Vocabulary, variant, words_of
from kestrel_eql import EqlCompiler
from kestrel_framework.errors import SourceLocation
from kestrel_framework.predicate import Literal, Regex, Wildcard
from kestrel_framework.predicate_traversal import walk
from kestrel_framework.rule import Program, Rule, RuleMetadata, RuleSource
from kestrel_framework.schema import SchemaRegistry

TEXTS = [
    'process where process.name : ("powershell.exe", "rundll32.exe") and process.pid > 4000',
    'process where process.command_line regex ".*(users|public)\\\\[a-f]{4,9}\\\\d+.*"',
    'file where startsWith(file.path, "/var/spool/cron") and not file.extension == "conf"',
    "sequence by host.id with maxspan=1m\n"
    '  [process where process.args == "--download"]\n'
    '  [network where cidrMatch(destination.ip, "10.0.0.0/8") and destination.port == 4444]\n'
    'until [process where process.name == "logout"]',
    'sample by user.name [file where file.name == "passwords"] [process where true]',
    'process where descendant of [process where process.name == "explorer.exe"]',
    'any where event.action == "exec" and host.os.type == "linux"',
]


def compiled(text: str) -> Rule:
    source = RuleSource(RuleMetadata("rule"), "eql", text, SourceLocation("rule", 1, 1))
    return EqlCompiler().compile(source, SchemaRegistry.ecs())


def shape(rule: Rule) -> list[str]:
    """The kinds of nodes, without what they hold."""
    found = []
    for condition in rule.body.conditions:
        assert not isinstance(condition, Program)
        found += [type(node).__name__ for node in walk(condition)]
    return found


def constants(rule: Rule) -> list[object]:
    found: list[object] = []
    for condition in rule.body.conditions:
        assert not isinstance(condition, Program)
        for node in walk(condition):
            if isinstance(node, Literal):
                found.append(node.value)
            elif isinstance(node, (Wildcard, Regex)):
                found += node.patterns
    return found


def variants(rule: Rule, number: int = 6) -> list[Rule]:
    words = words_of([rule])
    return [variant(rule, Vocabulary(words, str(n)), f"~{n}") for n in range(number)]


@pytest.mark.parametrize("text", TEXTS)
def test_a_variant_has_the_shape_of_its_rule(text: str) -> None:
    rule = compiled(text)
    for other in variants(rule):
        assert shape(other) == shape(rule)
        assert other.kind == rule.kind
        assert other.rule_id.startswith("rule~")


@pytest.mark.parametrize("text", TEXTS[:6])
def test_variants_look_for_other_things(text: str) -> None:
    rule = compiled(text)
    assert len({other.semantic_hash for other in variants(rule)}) > 1


def test_what_has_few_possible_values_stays() -> None:
    rule = compiled(TEXTS[-1])
    assert {other.semantic_hash for other in variants(rule)} == {rule.semantic_hash}


def test_a_variant_is_the_same_for_everyone() -> None:
    rule = compiled(TEXTS[0])
    assert [r.semantic_hash for r in variants(rule)] == [r.semantic_hash for r in variants(rule)]
    assert constants(variants(rule)[0]) == ["powershell.exe", "rundll32.exe", 8387]


def test_some_words_stay_some_are_those_of_other_rules_and_some_are_new() -> None:
    words = {f"{first}{second}word" for first in "abcdefgh" for second in "abcdefgh"}
    vocabulary = Vocabulary(words, "seed")
    changed = {word: vocabulary.text(word) for word in words}
    same = sum(old == new for old, new in changed.items())
    known = sum(new in words and old != new for old, new in changed.items())
    assert 0.3 < same / len(words) < 0.7
    assert 0.1 < known / len(words) < 0.45
    assert len(words) - same - known > 0


@given(st.text(alphabet="abcXYZ123*?\\/.{}[]() -", max_size=60), st.integers(0, 20))
def test_a_text_keeps_its_form(text: str, seed: int) -> None:
    changed = Vocabulary({"worker", "daemon", "list"}, str(seed)).text(text)
    assert re.sub("[A-Za-z]", "x", changed) == re.sub("[A-Za-z]", "x", text)
    assert "\\d" not in text or "\\d" in changed


@given(st.integers(-(10**12), 10**12), st.integers(0, 20))
def test_a_number_keeps_its_digits_and_sign(number: int, seed: int) -> None:
    changed = Vocabulary((), str(seed)).number(number)
    assert len(str(changed)) == len(str(number))
    assert (changed < 0) == (number < 0)
