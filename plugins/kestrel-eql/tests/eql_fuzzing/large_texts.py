"""Texts of one shape that are as large as the compiler takes, or a little larger."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from kestrel_eql.parser import MAX_CHARACTERS, MAX_TOKENS

_ROOM: Final = MAX_CHARACTERS - 200
"""What is left of a text for its repeated piece."""


_TOKEN: Final = re.compile(r'"[^"]*"|[\w.@$]+|[=!<>]+|\S')


def _fitting(piece: str, most: int) -> int:
    """Return how often a piece can stand in a text that is within the limits."""
    tokens = (MAX_TOKENS - 50) // len(_TOKEN.findall(piece))
    return min(_ROOM // len(piece), tokens, most)


def _condition(piece: str, joined: str, *, last: str = "", most: int = MAX_CHARACTERS) -> str:
    """Return a rule of as many pieces as fit, or `most`; `{n}` in a piece is its number."""
    number = _fitting(piece.format(n="12345") + joined, most)
    return "any where " + joined.join(piece.format(n=n) for n in range(number)) + last


def _listed(before: str, piece: str, after: str = ")") -> str:
    """Return a rule with a list of as many pieces as fit; `{n}` in a piece is its number."""
    number = _fitting(piece.format(n="12345") + ", ", MAX_CHARACTERS)
    return f"any where {before}{', '.join(piece.format(n=n) for n in range(number))}{after}"


def _wrapped(before: str, middle: str, after: str, times: int) -> str:
    return f"any where {before * times}{middle}{after * times}"


def _steps(step: str, begin: str = "sequence with maxspan=1m", most: int = MAX_CHARACTERS) -> str:
    number = _fitting(step.format(n="1234") + "\n", most)
    return begin + "".join(f"\n{step.format(n=n)}" for n in range(number))


def _keyed(keys: int, runs: str) -> str:
    names = ", ".join(f"k{n}" for n in range(keys))
    return f"sequence by {names} [any where true]{runs} [any where true]{runs}"


def _balanced(operator: str, leaf: str, depth: int) -> str:
    text = leaf
    for _ in range(depth):
        text = f"({text} {operator} {text})"
        if len(text) > _ROOM // 2:
            break
    return "any where " + text


_MAKERS: Final[Mapping[str, Callable[[], str]]] = {
    # --- one long token ---
    "a long name": lambda: f"any where {'a' * _ROOM} == 1",
    "a long path": lambda: f"any where {'a.' * (_ROOM // 2)}a == 1",
    "a path with blanks": lambda: f"any where {'a . ' * (_ROOM // 4)}a == 1",
    "a path of positions": lambda: f"any where a{'[1]' * (_ROOM // 3)} == 1",
    "a path in backticks": lambda: f"any where {'`a`.' * (_ROOM // 4)}a == 1",
    "a name of backticks": lambda: f"any where `{'``' * (_ROOM // 2)}` == 1",
    "backticks that never close": lambda: "any where " + "`a" * (_ROOM // 2 - 1),
    "a lone backtick": lambda: "any where `" + "a" * _ROOM,
    "a long category": lambda: f"{'a' * _ROOM} where true",
    "a long number": lambda: f"any where a == {'1' * _ROOM}",
    "a long decimal": lambda: f"any where a == 1.{'1' * _ROOM}",
    "a long exponent": lambda: f"any where a == 1e{'1' * _ROOM}",
    "points": lambda: f"any where a == {'.' * _ROOM}",
    "a long text": lambda: f'any where a == "{"x" * _ROOM}"',
    "a text of escapes": lambda: 'any where a == "' + r"\u{41}" * (_ROOM // 6) + '"',
    "a text of wrong escapes": lambda: 'any where a == "' + r"\x" * (_ROOM // 2) + '"',
    "a text of backslashes that never closes": lambda: 'any where a == "' + "\\" * _ROOM,
    "a text that never closes": lambda: 'any where a == "' + "x" * _ROOM,
    "quotes": lambda: "any where a == " + '"' * _ROOM,
    "apostrophes": lambda: "any where a == " + "'" * (_ROOM - 1),
    "a raw text": lambda: f'any where a == """{"x" * _ROOM}"""',
    "raw texts that never close": lambda: "any where a == " + '"""x\n' * (_ROOM // 5),
    "triple quotes in a row": lambda: 'any where a == """' + '"" ' * (_ROOM // 3),
    # --- what is left out ---
    "blanks": lambda: "any where true" + " " * _ROOM,
    "lines": lambda: "any where true" + "\n" * _ROOM + "x",
    "blanks before a point": lambda: "any where a" + " " * _ROOM + "== 1",
    "blanks after many names": lambda: "any where " + "a \n " * (_ROOM // 4),
    "a long comment": lambda: f"any where true /*{'x' * _ROOM}*/",
    "a comment of stars": lambda: f"any where true /*{'*' * _ROOM}/",
    "comments": lambda: "any where true " + "/**/" * (_ROOM // 4),
    "line comments": lambda: "any where true " + "//\n" * (_ROOM // 3),
    "a comment that never closes": lambda: "any where true /*" + "x" * _ROOM,
    "openings of comments": lambda: "any where true " + "/*" * (_ROOM // 2),
    "slashes": lambda: "any where true " + "/ " * (_ROOM // 2),
    # --- brackets and operators ---
    "deep brackets": lambda: _wrapped("(", "true", ")", 10_000),
    "deep square brackets": lambda: "sequence " + "[" * 10_000,
    "deep negations": lambda: _wrapped("not ", "true", "", 10_000),
    "deep signs": lambda: _wrapped("-", "1", "", 10_000) + " == 1",
    "deep calls": lambda: _wrapped("length(", "a", ")", 10_000) + " == 1",
    "deep sums": lambda: _wrapped("1 + (", "a", ")", 10_000) + " == 1",
    "deep lineage": lambda: _wrapped("descendant of [any where ", "true", "]", 3_000),
    "brackets to the limit": lambda: _wrapped("(", "a == 1", ")", 64),
    "calls to the limit": lambda: _wrapped("length(", "a", ")", 60) + " == 1",
    "betweens to the limit": lambda: _wrapped("between(", "a", ', "x", "y")', 60) + ' == "z"',
    "concats to the limit": lambda: _wrapped("concat(a, ", "b", ")", 60) + ' == "z"',
    "doubled concats": lambda: "any where " + _doubled("concat({0}, {0})", "a") + ' == "z"',
    "doubled sums": lambda: "any where " + _doubled("({0} + {0})", "a") + " == 1",
    "doubled comparisons": lambda: "any where " + _doubled("({0} == {0})", "(a == 1)"),
    "doubled unequal": lambda: "any where " + _doubled("({0} != {0})", "(a > 1)"),
    "nested unequal": lambda: _wrapped("(", "a == 1", ") != (b > 2)", 60),
    "nested equal": lambda: _wrapped("(", "a == 1", ") == (b > 2)", 60),
    "nested orders": lambda: _wrapped("(", "a == 1", ") < (b > 2)", 60),
    "nested memberships": lambda: _wrapped("(", "a == 1", ") in (true, b > 1)", 60),
    "nested matches": lambda: _wrapped("(", "a == 1", ') : ("t*", "f*")', 60),
    "nested strings": lambda: _wrapped("string(", "a == 1", ")", 60) + ' == "true"',
    "nested negations": lambda: _wrapped("not (a == 1 and not (b == 2 or ", "true", "))", 30),
    "negated nots": lambda: _wrapped("not (", "a == 1", ")", 60),
    "nested array searches": lambda: (
        "any where "
        + "".join(f"_arraysearch({'a' if n == 0 else f'$v{n - 1}.b'}, $v{n}, " for n in range(60))
        + "true"
        + ")" * 60
    ),
    "an array searched in an array": lambda: _wrapped("_arraysearch(a, $v, ", "$v.b == 1", ")", 60),
    "lineage in lineage": lambda: _wrapped("descendant of [any where ", "a == 1", "]", 60),
    "lineage in or": lambda: _condition("descendant of [any where a == {n}]", " or "),
    "balanced or": lambda: _balanced("or", "a == 1", 60),
    "balanced and": lambda: _balanced("and", "a == 1", 60),
    "balanced or of and": lambda: (
        "any where ("
        + ") and (".join([f"a == {n} or b == {n} or c == {n}" for n in range(600)])
        + ")"
    ),
    # --- long lists ---
    "or of comparisons": lambda: _condition("a == {n}", " or "),
    "and of comparisons": lambda: _condition("a == {n}", " and "),
    "or and and": lambda: _condition("a == {n} and b == {n}", " or "),
    "or of nots": lambda: _condition("not a == {n}", " or "),
    "or of fields": lambda: _condition("f{n}", " or "),
    "or of unknown fields": lambda: _condition("process.nam{n}.x == 1", " or "),
    "or of long unknown fields": lambda: _condition("process." + "x" * 1_000 + "{n} == 1", " or "),
    "or of other fields": lambda: _condition("f{n} == g{n}", " or "),
    "or of matches": lambda: _condition('a : "*x{n}*"', " or "),
    "or of regexes": lambda: _condition('a regex "x{n}.*"', " or "),
    "or of networks": lambda: _condition('cidrMatch(a, "10.0.0.0/8")', " or "),
    "or of orders": lambda: _condition("a < {n}", " or "),
    "or of array searches": lambda: _condition("_arraysearch(a, $x, $x.b == {n})", " or "),
    "or of unknown functions": lambda: _condition("lenght(f{n})", " or "),
    "or of strange functions": lambda: _condition("f" * 50 + "{n}()", " or "),
    "or of wrong types": lambda: _condition('length(a) == "x{n}"', " or "),
    "or of unbound variables": lambda: _condition("$x{n} == 1", " or "),
    "or of dates": lambda: _condition('@timestamp > "2020-01-01T00:00:{n}Z"', " or "),
    "equal things": lambda: _condition("a == 1", " or "),
    "a long sum": lambda: _condition("a", " + ", last=" == 1"),
    "a long product": lambda: _condition("a", " * ", last=" == 1"),
    "numbers added": lambda: _condition("1", " + ", last=" == a"),
    "numbers multiplied": lambda: _condition("999999999", " * ", last=" == a"),
    "a chain of comparisons": lambda: _condition("a", " == "),
    "a list of numbers": lambda: _listed("a in (", "{n}"),
    "a list of texts": lambda: _listed("a in~ (", '"x{n}"'),
    "a list of fields": lambda: _listed("a in (", "f{n}"),
    "a list of mixed values": lambda: _listed("a in (", '"x{n}", {n}, null, true'),
    "a field in a list, often": lambda: _condition('a in ("x{n}", "y", b)', " or "),
    "a list of patterns": lambda: _listed("a : (", '"*x{n}*y"'),
    "a list of many-star patterns": lambda: _listed("a like~ (", '"*{n}*?*b*c?d*"'),
    "a list of regexes": lambda: _listed("a regex~ (", '"x{n}[a-z]+.*"'),
    "a list of networks": lambda: _listed("cidrMatch(a, ", '"fe80::{n}/120"'),
    "wrong networks": lambda: _listed("cidrMatch(a, ", '"x{n}"'),
    "a concat of much": lambda: _listed("concat(", "a{n}", ") == 1"),
    "concat of texts": lambda: _listed("concat(", '"xxxxxxxx"', ') == "y"'),
    # --- patterns ---
    "a pattern of stars": lambda: f'any where a : "{"*" * _ROOM}"',
    "a pattern of stars and letters": lambda: f'any where a : "{"*a" * (_ROOM // 2)}"',
    "a pattern of questions": lambda: f'any where a : "{"?" * _ROOM}"',
    "a pattern of both": lambda: f'any where a : "{"*?a" * (_ROOM // 3)}"',
    "a pattern of folding letters": lambda: f'any where a : "{"*İßſK" * (_ROOM // 5)}"',
    "a long regex": lambda: f'any where a regex "{"x" * _ROOM}"',
    "a regex of choices": lambda: f'any where a regex "{"|".join(["ab"] * (_ROOM // 3))}"',
    "a regex of groups": lambda: f'any where a regex "{"(a)" * (_ROOM // 3)}"',
    "a regex of deep groups": lambda: f'any where a regex "{"(" * 9_000}a{")" * 9_000}"',
    "a regex of classes": lambda: f'any where a regex "{"[a-z]" * (_ROOM // 6)}"',
    "a regex of unicode": lambda: f'any where a regex~ "{"[İ-ſ]" * (_ROOM // 6)}"',
    "a regex that repeats": lambda: 'any where a regex "((((a{100}){100}){100}){100})"',
    "a regex that repeats a lot": lambda: f'any where a regex "{"a{1000}" * (_ROOM // 7)}"',
    "a regex of repeated classes": lambda: f'any where a regex~ "{"[^x]{999}" * 1_000}"',
    "a regex of repeated points": lambda: f'any where a regex~ "{".{1000}" * 60}"',
    "a regex of dots": lambda: f'any where a regex~ "{".*" * (_ROOM // 2)}"',
    "a regex of remarks": lambda: f'any where a regex "{"^$#" * (_ROOM // 3)}"',
    "a regex of quantifiers": lambda: f'any where a regex "a{"*" * _ROOM}"',
    "a regex of counts": lambda: f'any where a regex "a{"{2}" * (_ROOM // 3)}"',
    "a regex of open counts": lambda: f'any where a regex "a{"{1" * (_ROOM // 2)}"',
    "a regex of quotes": lambda: "any where a regex '" + '"' * _ROOM + "'",
    "regexes that are large": lambda: _listed("a regex (", '"[a-z]{{900}}{n}"'),
    "regexes of points": lambda: _listed("a regex~ (", '".{{1000}}{n}"'),
    "texts of single characters": lambda: _listed("wildcard(a, ", '"?{n}"'),
    "a text of single characters": lambda: f'any where a == "*{"?k" * (_ROOM // 2)}"',
    # --- many steps ---
    "many steps": lambda: _steps("[any where a == {n}]", most=500),
    "steps to the limit": lambda: _steps("[any where a == {n}]"),
    "small steps": lambda: _steps("[a where b]"),
    "steps with runs": lambda: _steps("[any where a == {n}] with runs=100"),
    "one step with runs and a large condition": lambda: (
        _condition("a == {n}", " or ", most=2_000).replace("any", "sequence [any", 1)
        + "] with runs=100"
    ),
    "a step with runs, as large as can be": lambda: (
        _condition("a == {n}", " or ", most=90).replace("any", "sequence [any", 1)
        + "] with runs=100"
    ),
    "steps with many keys": lambda: _steps(
        "[any where true] by " + ", ".join(f"k{n}" for n in range(20))
    ),
    "a step with many keys": lambda: _keyed(4_000, ""),
    "keys with runs": lambda: _keyed(2_000, " with runs=100"),
    "a few keys with runs": lambda: _keyed(140, " with runs=100"),
    "named steps": lambda: _steps("[any where a == {n}] as e{n}"),
    "steps that look back": lambda: _steps("[any where a == e0.b and e0.c == {n}] as e0", most=500),
    "missing steps": lambda: _steps("![any where a == {n}]", most=1_000),
    "samples": lambda: _steps("[any where a == {n}]", "sample by k", most=500),
    "joins": lambda: _steps("[any where a == {n}]", "join by k", most=500),
    "forks": lambda: _steps("[any where a == {n}] fork", most=500),
    "openings of steps": lambda: "sequence " + "[any where " * (_ROOM // 11),
    # --- pipes, and texts that are no EQL ---
    "pipes": lambda: "any where true " + "| head 1 " * 3_000,
    "filters": lambda: "any where true " + "| filter a == 1 " * 1_900,
    "sorts": lambda: "any where true " + "| sort a " * 3_000,
    "a pipe with many values": lambda: "any where true | unique " + ", ".join(["a"] * 4_500),
    "a filter of much": lambda: (
        "any where true | filter " + " or ".join(f"a == {n}" for n in range(2_400))
    ),
    "bars": lambda: "any where true " + "|" * _ROOM,
    "categories": lambda: "any where " * (_ROOM // 10),
    "zeros": lambda: "\x00" * _ROOM,
    "surrogates": lambda: "any where a == " + "\ud800" * _ROOM,
    "equals signs": lambda: "any where a " + "=" * _ROOM,
    "signs": lambda: "any where a " + "<>=!~&|:" * (_ROOM // 8),
    "odd letters": lambda: "any where " + "ſİK" * (_ROOM // 3),
    "words": lambda: "contains " * (_ROOM // 9),
    "long words": lambda: "any where a contain" + "s" * _ROOM,
    "too large": lambda: "any where a == 1" + " or a == 1" * 100_000,
}


def _doubled(form: str, leaf: str) -> str:
    text = leaf
    while len(form) + 2 * len(text) < _ROOM:
        text = form.format(text)
    return text


LARGE_TEXTS: Final[Mapping[str, Callable[[], str]]] = _MAKERS
"""Makers of texts by what the texts are, each text up to the limit of the compiler."""
