"""The rules that are measured: nested sets, the same for everyone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.rule_variants import Vocabulary, variant, words_of
from benchmarks.streams import corpus
from kestrel_eql import EqlCompiler
from kestrel_framework import load_rules
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import LoadReport, Rule, RuleSet
from kestrel_framework.rule_loading import iter_rule_files

SEED: Final = "kestrel 2026-11"
_ARCHIVES: Final = ("elastic-detection.tar.gz", "elastic-protections.tar.gz")
_PACK: Final = Path(__file__).parents[1] / "examples" / "rules"


def rule_paths() -> list[Path]:
    """Return where the real rules are: the public archives, or else the example pack."""
    folder = corpus()
    return [_PACK] if folder is None else [folder / "rules" / name for name in _ARCHIVES]


def loaded() -> LoadReport:
    """Load the real rules; compiled ones are kept in the user's cache folder."""
    return load_rules(*rule_paths(), compilers=[EqlCompiler(cache=True)])


def in_order(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules in an order that depends on the seed and their ids alone.

    The first ten of it are among the first hundred, and so on.
    """
    return sorted(rules, key=lambda rule: _rank(rule.rule_id))


def first_rules(real: Sequence[Rule], number: int) -> RuleSet:
    """Return `number` rules: the first real ones in order, then variants of them.

    Variants come round by round: one of each rule, then another one of each.
    """
    ordered = in_order(real)
    chosen = ordered[:number]
    words = words_of(ordered) if number > len(ordered) else set()
    rounds = 0
    while len(chosen) < number:
        rounds += 1
        vocabulary = Vocabulary(words, f"{SEED} {rounds}")
        missing = number - len(chosen)
        chosen += [variant(rule, vocabulary, f"~{rounds}") for rule in ordered[:missing]]
    return RuleSet(chosen)


def first_rule_files(number: int) -> list[RuleFile]:
    """Return the files of the first `number` real rules in order, of files with one rule."""
    compiler, known = EqlCompiler(), {rule.rule_id for rule in loaded().rules}
    ranked: dict[str, RuleFile] = {}
    for file in iter_rule_files(rule_paths(), compiler.suffixes):
        rule_ids = [source.metadata.rule_id for source in compiler.read(file)]
        if len(rule_ids) == 1 and rule_ids[0] in known:
            ranked[rule_ids[0]] = file
    return [ranked[rule_id] for rule_id in sorted(ranked, key=_rank)[:number]]


def _rank(rule_id: str) -> str:
    return hashlib.sha256(f"{SEED}\n{rule_id}".encode()).hexdigest()
