"""Rule files around a query: good ones, and ones that are odd in what they say of the rule."""

from __future__ import annotations

import json
from random import Random
from typing import Final

from eql_fuzzing.mutations import mutated_bytes
from kestrel_framework.interfaces import RuleFile

_VALUES: Final = (
    '"text"', "1", "-1", "true", "1.5", "[]", '["a", 1]', "{}", "{ a = 1 }", "2020-01-01", "nan",
    "9" * 30, '"\\u0000"', '"""\nlong\n"""', "'literal'", "[[1], [2]]", "{ a.b.c = 1 }", "07:00:00",
    "[" * 40 + "]" * 40, '"endgame"', '"eql"', '"high"', "[{ tactic = 1 }]", "inf", "1_000",
)  # fmt: skip
_KEYS: Final = (
    "id", "rule_id", "name", "version", "description", "author", "authors", "severity",
    "risk_score", "tags", "references", "false_positives", "threat", "actions", "license",
    "dialect", "language", "type", "query", "a.b", '"odd key"', "nmae", ".".join(["k"] * 40),
)  # fmt: skip
_TABLES: Final = (
    "[metadata]", "[[rule.threat]]", "[[threat]]", "[rule.threat.tactic]", "[[actions]]", "[rule]",
    "[[rule.threat.technique]]", "[a" + ".a" * 50 + "]", "[", "[]", "[[x]", "# a comment", "=",
)  # fmt: skip


def rule_file(random: Random, query: str) -> RuleFile:
    """Return a file that holds a query, more or less."""
    make = random.choice((_eql, _eql_with_front_matter, _toml, _toml, _deep_toml))
    name, text = make(random, query)
    content = text.encode("utf-8", random.choice(("replace", "surrogatepass")))
    if random.random() < 0.4:
        content = mutated_bytes(random, content)
    return RuleFile(random.choice(("", "rules/", "a\\b/", "ü/")) + name, content)


def _eql(random: Random, query: str) -> tuple[str, str]:
    return random.choice(("r.eql", ".eql", "R.EQL", "a.b.eql")), query


def _eql_with_front_matter(random: Random, query: str) -> tuple[str, str]:
    begin = random.choice(("/*\n", "\n\n/*\n", "/*", "/**\n", "\ufeff/*\n"))
    end = random.choice(("*/\n", "*/", "\n* /", ""))
    return "r.eql", begin + _assignments(random) + end + query


def _toml(random: Random, query: str) -> tuple[str, str]:
    quoted = random.choice((f"'''\n{query}\n'''", json.dumps(query), f'"""{query}"""'))
    lines = ["[rule]", f"query = {quoted}", 'rule_id = "r"', 'language = "eql"']
    lines += [random.choice(_TABLES) for _ in range(random.randint(0, 3))]
    lines += [_assignments(random)]
    if random.random() < 0.3:
        random.shuffle(lines)
    return random.choice(("r.toml", "R.TOML")), "\n".join(lines)


def _deep_toml(random: Random, query: str) -> tuple[str, str]:
    times = random.choice((10, 33, 500, 20_000))
    piece, end = random.choice((("[", "]"), ("{a=", "}"), ("[{a=", "}]"), ("a.", ""), ('"', "")))
    return "r.toml", f"[rule]\nx = {piece * times}1{end * times}\nquery = {json.dumps(query)}\n"


def _assignments(random: Random) -> str:
    lines = [
        f"{random.choice(_KEYS)} = {random.choice(_VALUES)}" for _ in range(random.randint(0, 5))
    ]
    return "\n".join(lines) + "\n"
