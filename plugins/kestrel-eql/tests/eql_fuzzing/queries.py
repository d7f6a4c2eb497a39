"""Draws EQL by its grammar: most of it is right, and some of it hardly."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import attrs

NAMES: Final = (
    "a", "b", "process.name", "process.args", "process.pid", "user.id", "@timestamp", "event.type",
    "host.id", "source.ip", "source.as.number", "file.size", "a.b.c", "`odd name`", "`a``b`", "by",
    "sequence", "true_", "null.x", "process.parent.executable", "list[0]", "a[1].b", "events",
    "count", "descendant", "proces.name", "e0.x", "e1.process.name", "ſ", "x" * 60,
)  # fmt: skip
TEXTS: Final = (
    '"a"', '"*.exe"', '"?"', '""', "'single'", '"""raw " text"""', '?"raw*"', r'"\\ \n \u{1f600}"',
    r'"\q"', '"10.0.0.0/8"', '"2020-01-01"', '"1.2.3"', '"ſİK"', '"unclosed', '"a', "'b\"'",
    r'"(a|b)*[^c]{2,3}.*"', r'"[a-"', r'"(a"', '"x{1000}"', '"\x00"', '"\ud800"', '"*a*b?c*"',
)  # fmt: skip
NUMBERS: Final = (
    "0", "1", "-1", "1.5", "7", ".5", "1e308", "1e999", "9223372036854775807",
    "9223372036854775808", "00", "0x10", "1" * 40, "1.", "- 2",
)  # fmt: skip
FUNCTIONS: Final = (
    "length", "concat", "between", "indexOf", "startsWith", "endsWith", "stringContains", "string",
    "number", "substring", "cidrMatch", "add", "divide", "modulo", "_arraysearch", "arraySearch",
    "arrayContains", "arrayCount", "wildcard", "match", "matchLite", "safe", "LENGTH", "lenght",
)  # fmt: skip
_CALLS: Final = (
    "length({0})", "concat({0}, {1}, {2})", 'between({0}, {1}, "b")', "indexOf({0}, {1})",
    "startsWith({0}, {1})", "endsWith~({0}, {1})", "string({0})", "number({1})", "add({0}, {2})",
    "substring({0}, {2})", 'cidrMatch({0}, "10.0.0.0/8")', "stringContains({0}, {1})",
)  # fmt: skip
COMPARISONS: Final = (*("==", "!=", "<", "<=", ">", ">=") * 20, "=", "===", "<>", "~=")
MATCHES: Final = (":", "like", "like~", "regex", "regex~", "in", "in~", "not in", "not in~")
CATEGORIES: Final = (
    *("any", "process", "file") * 60, "proces", '"my-cat"', '"""c"""', "a.b", "1", "by",
)  # fmt: skip
PIPES: Final = (
    "head 5", "tail 1", "count", "count a", "filter a == 1", "unique a, b", "unique_count a",
    "sort a", "head", "head -1", "head 99999999999999999999", "nothing", "filter events[0].a == 1",
    "filter count > 1", "sort descendant of [any where true]",
)  # fmt: skip
BLANKS: Final = (" ", " ", " ", " ", "\n", "\t", "  ", " /* c */ ", " // c\n", "\r\n", "")


@attrs.define
class QueryWriter:
    """Writes one query with the choices of `random`.

    Args:
        random: What decides.
        depth: How deep expressions nest at most.
    """

    random: Random
    depth: int = 4

    def query(self) -> str:
        """Return a whole query."""
        body = self._of(self._event, self._event, self._sequence, self._unordered)
        pipes = [
            f"{self._gap()}|{self._gap()}{pipe}"
            for pipe in self._few(PIPES if self._maybe(0.3) else PIPES[:2], 2, often=0.1)
        ]
        return body + "".join(pipes)

    def _event(self) -> str:
        return f"{self._one(CATEGORIES)} where {self._condition(self.depth)}"

    def _sequence(self) -> str:
        options = self._one(
            ("", "", *(" with maxspan=1m", " with maxspan = 5 s") * 9, " with maxspan=1y")
        )
        steps = [
            self._step(number) for number in range(self.random.choice((1, 2, 2, 2, 2, 2, 3, 3, 4)))
        ]
        until = f" until {self._step(9)}" if self._maybe(0.2) else ""
        return f"sequence{self._keys()}{options}{self._gap()}" + self._gap().join(steps) + until

    def _unordered(self) -> str:
        word = self._one(("sample", "sample", "sample", "join"))
        steps = [self._step(number) for number in range(self.random.randint(1, 3))]
        until = f" until {self._step(9)}" if self._maybe(0.05) else ""
        return f"{word} by a{self._keys()[3:]} " + " ".join(steps) + until

    def _step(self, number: int) -> str:
        missing = "!" if self._maybe(0.1) else ""
        fork = self._one((" fork", " fork=true")) if self._maybe(0.05) else ""
        runs = (
            self._one((" with runs=2", " with runs=100", " with runs=0"))
            if self._maybe(0.1)
            else ""
        )
        name = f" as e{number}" if self._maybe(0.1) else ""
        return f"{missing}[{self._event()}]{fork}{self._keys()}{runs}{name}"

    def _keys(self) -> str:
        if self._maybe(0.6):
            return ""
        return " by " + ", ".join(self._field() for _ in range(self.random.randint(1, 3)))

    # --- conditions ---

    def _condition(self, depth: int) -> str:
        if depth <= 0:
            return self._of(self._truth, self._compared)
        return self._of(
            self._compared, self._compared, self._matched, self._matched, self._truth,
            lambda: self._joined(depth), lambda: self._joined(depth),
            lambda: f"not {self._condition(depth - 1)}",
            lambda: f"({self._condition(depth - 1)})",
            lambda: self._lineage(depth),
            lambda: f"_arraysearch({self._field()}, $x, {self._condition(depth - 1)})",
            lambda: f"({self._condition(depth - 1)}) == ({self._condition(depth - 1)})",
        )  # fmt: skip

    def _joined(self, depth: int) -> str:
        word = f"{self._gap()}{self._one(('and', 'or'))}{self._gap()}"
        return word.join(self._condition(depth - 1) for _ in range(self.random.randint(2, 4)))

    def _lineage(self, depth: int) -> str:
        relation = self._one((*("descendant", "child", "event") * 9, "ancestor"))
        return f"{relation} of [{self._one(CATEGORIES)} where {self._condition(depth - 1)}]"

    def _truth(self) -> str:
        return self._of(lambda: self._one(("true", "false", "null")), self._field, self._call)

    def _compared(self) -> str:
        return f"{self._value(2)}{self._gap()}{self._one(COMPARISONS)}{self._gap()}{self._value(2)}"

    def _matched(self) -> str:
        operator = self._one(MATCHES)
        choices = [self._value(1) for _ in range(self.random.randint(1, 4))]
        right = f"({', '.join(choices)})"
        if self._maybe(0.6):
            operator, right = self._one(MATCHES[:5]), self._text()
        elif operator in MATCHES[:5]:
            right = f"({', '.join(self._text() for _ in choices)})"
        return f"{self._value(1)} {operator} {right}"

    # --- values ---

    def _value(self, depth: int) -> str:
        simple = (self._field, self._field, self._text, self._number)
        if depth <= 0:
            return self._of(*simple)
        return self._of(
            *simple, *simple, self._call,
            lambda: self._one((*("true", "null") * 9, "$x", "$x.y", "$z")),
            lambda: f"{self._value(depth - 1)} {self._one('+-*/%')} {self._value(depth - 1)}",
            lambda: f"-{self._value(depth - 1)}",
            lambda: f"({self._value(depth - 1)})",
        )  # fmt: skip

    def _call(self) -> str:
        fold = "~" if self._maybe(0.15) else ""
        if self._maybe(0.95):
            return self._one(_CALLS).format(self._field(), self._text(), self._number())
        arguments = [self._value(1) for _ in range(self.random.randint(0, 4))]
        if self._maybe(0.1):
            arguments = [self._field(), self._one(("$x", "x")), self._condition(1)]
        return f"{self._one(FUNCTIONS)}{fold}({', '.join(arguments)})"

    def _text(self) -> str:
        return self._one(TEXTS if self._maybe(0.1) else TEXTS[:4])

    def _number(self) -> str:
        return self._one(NUMBERS if self._maybe(0.1) else NUMBERS[:5])

    def _field(self) -> str:
        return ("?" if self._maybe(0.1) else "") + self._one(
            NAMES if self._maybe(0.2) else NAMES[:12]
        )

    # --- choices ---

    def _gap(self) -> str:
        return self._one(BLANKS) if self._maybe(0.1) else " "

    def _maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def _one(self, choices: str | tuple[str, ...]) -> str:
        return self.random.choice(choices)

    def _few(self, choices: tuple[str, ...], most: int, *, often: float) -> list[str]:
        return [self._one(choices) for _ in range(most) if self._maybe(often)]

    def _of(self, *makers: Callable[[], str]) -> str:
        return self.random.choice(makers)()
