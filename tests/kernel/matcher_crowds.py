"""Crowds: many conditions over a few fields and literals, and events that nearly satisfy them.

A crowd is made from a seed and nothing else, much faster than hypothesis can draw one, so that
tests can ask for thousands. What goes into its events comes out of the same few values that
its conditions name.
"""

from __future__ import annotations

import datetime
import enum
import json
import types
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from random import Random
from typing import Final, TypeAlias

import attrs

from kestrel_framework._pipeline.flow import Target
from kestrel_framework.functions import FUNCTIONS
from kestrel_framework.interpreter import split_path
from kestrel_framework.predicate import (
    ALWAYS,
    NEVER,
    And,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Element,
    ElementCount,
    Field,
    FieldLike,
    IsNull,
    Lineage,
    LineageRelation,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Regex,
    StepField,
    TextPart,
    TextTest,
    Truth,
    Value,
    Wildcard,
    comparison,
    membership,
)
from kestrel_framework.rule import ANY_EVENT, Condition, Program
from kestrel_framework.schema import EventType, FieldType, SchemaRegistry
from kestrel_framework.values import Scalar

SCHEMA: Final = SchemaRegistry().extended(
    event_types=[
        EventType("process"),
        EventType("file"),
        EventType("network"),
        EventType("dns", ("network",)),
    ]
)

PATHS: Final = (
    "process.name", "process.name", "process.parent.name", "process.args", "process.args[0]",
    "process.args[1]", "process.pid", "process", "process.parent", "process_name", "event.action",
    "event.category", "event", "@timestamp", "user.id", "list.k", "list[0].k", "list[1]",
    "list[0][1]", "list[0].k[1]", "list", "list.inner.k", "class", "def.None", "a-b", "a_b", "a b",
    "a", "a.b", "a.b.c", "self", "__init__", "__class__.__name__", "__struct_fields__", "0", "1.0",
    "ſ", "K", "k", "İ.ß", "\\", '"', "a[x]", "[0]", "",
)  # fmt: skip
"""Paths that must not get in each other's way, also where code is generated from them."""

_WORDS: Final = (
    "cmd.exe", "powershell", "C:\\Windows\\System32\\cmd.exe", "/usr/bin/nc", "-enc", "a", "ab", "",
    "Straße", "STRASSE", "İstanbul", "ıi", "ſs", "Kelvin", "ΣΑΣ", "σας", "ǅ", "x\x00y", "x\ny",
    "\u2028", "a*b?c", "(a|b)+", "[x]", "$^", "null", "true", "1e3", "😀", "\ufffd",
)  # fmt: skip
_NUMBERS: Final = (
    0, 1, 1, 2, -1, 10, 445, 65_535, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64,
    10**30, 0.0, -0.0, 1.0, 0.5, 4.5, 1e300, 5e-324, 1e16, float("inf"), float("-inf"),
)  # fmt: skip
_DATES: Final = (
    "2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000000001Z", "01-01-2020",
    1_577_836_800_000, "1577836800000", 1_577_836_800_000_000_000,
)  # fmt: skip
_ADDRESSES: Final = (
    "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.01", "fe80::1", "fe80::1%eth0", "FE80:0:0:0:0:0:0:1",
    "192.168.1.1", "::", "10.0.0.0/8",
)  # fmt: skip
_VERSIONS: Final = ("1.2.4", "1.2.4-SNAPSHOT", "1.11.3", "1.2", "1.2.0", "1.02.4", "v1", "1.2.4+b")
_NETWORKS: Final = ("10.0.0.0/8", "10.0.0.1/32", "0.0.0.0/0", "::/0", "fe80::/10", "192.168.0.0/16")
_FAMILIES: Final[Sequence[Sequence[Scalar]]] = (_WORDS, _NUMBERS, _DATES, _ADDRESSES, _VERSIONS)
_SPECIAL: Final = "\\.[]()*+?$^|-"
_FORMATS: Final = ((), (), ("dd-MM-yyyy",), ("yyyy-MM-dd", "yyyyMMdd"))
_TYPES: Final = (None, None, FieldType.KEYWORD, FieldType.KEYWORD, *FieldType)
_EVENT_TYPES: Final = (
    ANY_EVENT, ANY_EVENT, frozenset({"process"}), frozenset({"process"}), frozenset({"file"}),
    frozenset({"process", "file"}), frozenset({"network"}), frozenset({"dns"}),
)  # fmt: skip
_CATEGORIES: Final[Sequence[object]] = (
    "process", ["process"], ["process"], "file", ["file", "process"], "network", "dns", ["dns"],
    "Process", "", None, 5, [], [["process"]], {"process": 1}, ["odd", None, 5], "process ",
)  # fmt: skip

_NO_VALUES: Final = (
    float("nan"), "\ud800", "x\udfff", b"a", bytearray(b"a"), object(), {"a"}, frozenset({1}),
    10**400, Decimal("1"), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), uuid.UUID(int=1),
    datetime.date(2020, 1, 1), deque(["a"]), range(2),
)  # fmt: skip
"""What JSON cannot say."""

Json: TypeAlias = object
Make: TypeAlias = Callable[[], Predicate]


class Text(str):
    """A text of a library that has a type of its own for texts."""

    __slots__ = ()


class Count(int):
    """A number of a library that has a type of its own for numbers."""


class Flag(enum.IntEnum):
    """Numbers with names, whose text is not the number."""

    NONE = 0
    ONE = 1


@attrs.define(slots=False)
class Crowd:
    """Conditions and events that belong together.

    Attributes:
        seed: Says everything about the crowd.
        size: How many targets it has.
        events: How many events it has.
    """

    seed: int
    size: int = 30
    events: int = 60

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The targets, of all kinds; the first one holds for every event that can be read."""
        conditions = _Conditions(self._random("targets"), self.fields, self.scalars)
        random = conditions.random
        others = (
            Target(number, 0, random.choice(_EVENT_TYPES), conditions.condition())
            for number in range(1, self.size)
        )
        return (Target(0, 0, ANY_EVENT, ALWAYS), *others)

    @cached_property
    def payloads(self) -> tuple[bytes, ...]:
        """The events as JSON, spelled in all ways that JSON has; some are no events."""
        random = self._random("payloads")
        documents = _Documents(random, self.fields, self.scalars)
        made: list[bytes] = []
        while len(made) < self.events:
            if made and random.random() < 0.15:
                made.append(random.choice(made))
            elif random.random() < 0.05:
                made.append(_broken(random, spelled(documents.document(), random)))
            else:
                made.append(spelled(documents.document(), random))
        return tuple(made)

    @cached_property
    def odd_documents(self) -> tuple[object, ...]:
        """Documents as only a program can hand them over; some are no events."""
        random = self._random("documents")
        documents = _Documents(random, self.fields, self.scalars, oddly=True)
        return tuple(documents.document() for _ in range(self.events))

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields, some of them with one path and different meanings."""
        random = self._random("fields")
        paths = random.sample(PATHS, random.randint(2, 7))
        return tuple(_field(random, random.choice(paths)) for _ in range(random.randint(3, 9)))

    @cached_property
    def scalars(self) -> tuple[Scalar, ...]:
        """The values that conditions and events share: a few, and what is nearly the same."""
        random = self._random("scalars")
        found: list[Scalar] = []
        for _ in range(random.randint(2, 5)):
            found += _relatives(random, random.choice(random.choice(_FAMILIES)))
        return tuple(found)

    def _random(self, part: str) -> Random:
        return Random(f"{self.seed} {part}")


def _field(random: Random, path: str) -> Field:
    kind = random.choice(_TYPES)
    return Field(
        path,
        kind,
        whole=random.random() < 0.12,
        formats=random.choice(_FORMATS) if kind is FieldType.DATE else (),
        null_value=random.choice(("a", 1, 1.0, True, "NULL")) if random.random() < 0.1 else None,
    )


def _relatives(random: Random, value: Scalar) -> Iterator[Scalar]:
    yield value
    if isinstance(value, str):
        yield from random.sample(
            [value.upper(), value.lower(), value.title(), value + "x", "x" + value, value[:-1],
             value + value, value.swapcase(), value.casefold()],
            3,
        )  # fmt: skip
    else:
        yield from random.sample([str(value), value == 1, -value, value + 1], 2)
        if abs(value) < 2**53:
            yield from (float(value), int(value))


# --- conditions -----------------------------------------------------------------------


@attrs.define
class _Conditions:
    """Makes conditions over a few fields and scalars."""

    random: Random
    fields: Sequence[Field]
    scalars: Sequence[Scalar]
    _variables: list[str] = attrs.field(factory=list)

    def condition(self) -> Condition:
        """Return a condition: a tree, now and then a program."""
        chance = self.random.random()
        if chance < 0.03:
            prefilter = self.tree(2) if self.random.random() < 0.7 else None
            return Program("none", b"", {}, prefilter)
        if chance < 0.12:
            return self.bushy()
        return self.tree(self.random.choice((0, 1, 2, 2, 3, 5)))

    def tree(self, depth: int) -> Predicate:
        """Return a tree that is at most so deep."""
        chance = self.random.random()
        if depth <= 0 or chance < 0.1:
            return self.leaf()
        if chance < 0.35:
            return Not(self.tree(depth - 1))
        terms = tuple(self.tree(depth - 1) for _ in range(self.random.choice((0, 1, 2, 2, 3, 4))))
        return And(terms) if chance < 0.7 else Or(terms)

    def bushy(self) -> Predicate:
        """Return a tree whose disjunctive normal form is large, however it is negated."""
        inner, outer = (And, Or) if self.random.random() < 0.5 else (Or, And)
        tree: Predicate = outer(
            tuple(
                inner(tuple(self.tree(1) for _ in range(self.random.randint(2, 4))))
                for _ in range(self.random.randint(3, 7))
            )
        )
        if self.random.random() < 0.4:
            tree = And((self.leaf(), tree, Not(self.leaf())))
        return Not(tree) if self.random.random() < 0.3 else tree

    def leaf(self) -> Predicate:
        """Return a leaf, most often of the kinds that rules have most."""
        common: Sequence[Make] = (
            self._equal, self._equal, self._member, self._member, self._wildcard, self._wildcard,
            self._null,
        )  # fmt: skip
        rare: Sequence[Make] = (
            self._order, self._regex, self._cidr, self._text_test, self._between_fields,
            self._computed, self._truth, self._any_element, self._count, self._step, self._lineage,
            self._constant,
        )  # fmt: skip
        return self.random.choice(common if self.random.random() < 0.65 else rare)()

    def _equal(self) -> Predicate:
        return self._compared(ComparisonOperator.EQUAL)

    def _order(self) -> Predicate:
        return self._compared(self.random.choice(list(ComparisonOperator)))

    def _compared(self, relation: ComparisonOperator) -> Predicate:
        field, literal, fold = self._field(), self._literal(), self._fold()
        left, right = (field, literal) if self.random.random() < 0.9 else (literal, field)
        if self.random.random() < 0.3:
            return Comparison(relation, left, right, fold)
        try:
            return comparison(relation, left, right, fold=fold)
        except ValueError:
            return Comparison(relation, left, right, fold)

    def _member(self) -> Predicate:
        field, fold = self._field(), self._fold()
        choices = tuple(self._literal() for _ in range(self.random.randint(1, 5)))
        if self.random.random() < 0.3:
            return Membership(field, choices, fold)
        try:
            return membership(field, choices, fold=fold)
        except ValueError:
            return Membership(field, choices, fold)

    def _wildcard(self) -> Predicate:
        patterns = tuple(self._pattern() for _ in range(self.random.choice((1, 1, 2, 5))))
        return Wildcard(self._field(), patterns, fold=self.random.random() < 0.6)

    def _pattern(self) -> str:
        text = self._text()
        middle = len(text) // 2
        return self.random.choice(
            [text, text + "*", "*" + text, f"*{text}*", text[:middle] + "*" + text[middle:],
             text[:middle] + "?" + text[middle + 1 :], f"*{text[:middle]}*{text[middle:]}*",
             "*", "?*", "", "**", "??", text[:1] + "*"],
        )  # fmt: skip

    def _regex(self) -> Predicate:
        patterns = tuple(self._expression() for _ in range(self.random.choice((1, 1, 3))))
        return Regex(self._field(), patterns, self._fold())

    def _expression(self) -> str:
        text = "".join(
            one
            if one.isascii() and one.isalnum()
            else f"\\{one}"
            if one in "\\.[]()*+?$^|-"
            else "."
            for one in self._text()
        )
        return self.random.choice(
            [text, text + ".*", ".*" + text, f".*{text}.*", f"({text}|x)", "[a-z]+", "[0-9]*", ".",
             "", "\\w+", f"({text})?", "(?:a|b)+.*", "[^a]*"]
        )  # fmt: skip

    def _cidr(self) -> Predicate:
        networks = self.random.sample(_NETWORKS, self.random.randint(1, 3))
        return Cidr(self._field(), tuple(networks))

    def _text_test(self) -> Predicate:
        part = self._literal() if self.random.random() < 0.8 else self._field()
        kind = self.random.choice(list(TextPart))
        return TextTest(kind, self._field(), part, self._fold())

    def _null(self) -> Predicate:
        return IsNull(self._value(1) if self.random.random() < 0.1 else self._field())

    def _between_fields(self) -> Predicate:
        relation = self.random.choice(list(ComparisonOperator))
        return Comparison(relation, self._field(), self._field(), self._fold())

    def _computed(self) -> Predicate:
        value = self._value(2)
        match self.random.randrange(4):
            case 0:
                return Wildcard(value, (self._pattern(),), self._fold())
            case 1:
                return Membership(value, (self._literal(), self._literal()), self._fold())
            case 2:
                return TextTest(
                    self.random.choice(list(TextPart)), value, self._value(1), self._fold()
                )
            case _:
                relation = self.random.choice(list(ComparisonOperator))
                return Comparison(relation, value, self._value(1), self._fold())

    def _value(self, depth: int) -> Value:
        match self.random.randrange(6) if depth else self.random.randrange(2):
            case 0:
                return self._field()
            case 1:
                return self._literal()
            case 2:
                operator = self.random.choice(list(ArithmeticOperator))
                return Arithmetic(operator, self._value(depth - 1), self._value(depth - 1))
            case 3:
                return Truth(self.tree(1), self.tree(1))
            case 4:
                return ElementCount(self._array(), "e", self._bound("e"))
            case _:
                function = self.random.choice(list(FUNCTIONS))
                least, most = FUNCTIONS[function].least, FUNCTIONS[function].most or 3
                count = self.random.randint(least, most)
                arguments = tuple(self._value(depth - 1) for _ in range(count))
                return Call(function, arguments, self._fold())

    def _truth(self) -> Predicate:
        truth = Truth(self.tree(1), self.tree(1))
        return Comparison(ComparisonOperator.EQUAL, truth, Literal(self.random.random() < 0.5))

    def _any_element(self) -> Predicate:
        variable = self.random.choice("ef")
        return AnyElement(self._array(), variable, self._bound(variable))

    def _count(self) -> Predicate:
        count = ElementCount(self._array(), "e", self._bound("e"))
        relation = self.random.choice(list(ComparisonOperator))
        return Comparison(relation, count, Literal(self.random.randrange(4)))

    def _bound(self, variable: str) -> Predicate:
        if len(self._variables) > 2:
            return ALWAYS
        self._variables.append(variable)
        tree = self.tree(self.random.randrange(2))
        self._variables.pop()
        return tree

    def _array(self) -> Field | Element:
        found = self._field()
        return Field("list") if isinstance(found, StepField) else found

    def _step(self) -> Predicate:
        step = StepField(self.random.randrange(2), self.random.choice(self.fields).path)
        return Comparison(ComparisonOperator.EQUAL, self._field(), step)

    def _lineage(self) -> Predicate:
        relation = self.random.choice(list(LineageRelation))
        return Lineage(relation, ANY_EVENT, self.tree(1), Field("user.id"), Field("a"))

    def _constant(self) -> Predicate:
        return self.random.choice((ALWAYS, NEVER))

    def _field(self) -> FieldLike:
        if self._variables and self.random.random() < 0.6:
            path = self.random.choice(("", "k", "inner.k", "name", "b"))
            return Element(self.random.choice(self._variables), path, self.random.choice(_TYPES))
        return self.random.choice(self.fields)

    def _literal(self) -> Literal:
        chance = self.random.random()
        return Literal(None if chance < 0.02 else self.random.choice(self.scalars))

    def _text(self) -> str:
        texts = [one for one in self.scalars if isinstance(one, str)]
        return self.random.choice(texts or ["a"])

    def _fold(self) -> bool:
        return self.random.random() < 0.5


# --- events ---------------------------------------------------------------------------


@attrs.define
class _Documents:
    """Makes documents that have values of interest at the paths of some fields."""

    random: Random
    fields: Sequence[Field]
    scalars: Sequence[Scalar]
    oddly: bool = False

    def document(self) -> Json:
        random = self.random
        document: dict[str, Json] = {}
        for path in sorted({field.path for field in self.fields}):
            if path and random.random() < 0.7:
                self._place(document, split_path(path), self._several())
        if random.random() < 0.85:
            self._place(document, ("event", "category"), random.choice(_CATEGORIES))
        if random.random() < 0.8:
            document["@timestamp"] = random.choice((1_600_000_000_000, "2020-01-01T00:00:00Z"))
        for _ in range(random.choice((0, 0, 1, 3))):
            name = random.choice(("unknown", "process2", "Event", "a.", ".a", "..", "zz.y", "namE"))
            self._place(document, (name,), self._anything(3))
        if random.random() < 0.1:
            *way, last = split_path(random.choice(self.fields).path) or ("a",)
            ending = random.choice(("{}.x", "{}.", ".{}", "{}..x", "x.{}", "{}[0]", "{} "))
            self._place(document, (*way, ending.format(last)), self._several())
        if random.random() < 0.1:
            items = list(document.items())
            random.shuffle(items)
            document = dict(items)
        return self._oddly_made(document) if self.oddly else document

    def _place(self, target: dict[str, Json], parts: Sequence[str | int], value: Json) -> None:
        """Put a value where a path finds it, or where it nearly would."""
        random = self.random
        part, rest = parts[0], parts[1:]
        if isinstance(part, int):
            part = f"[{part}]"
        if rest and random.random() < 0.06:
            part, rest = ".".join(map(str, parts)), ()
        if not rest:
            if part not in target or random.random() < 0.5:
                target[part] = value
            return
        position = rest[0]
        if isinstance(position, int):
            elements: list[Json] = [self._several() for _ in range(random.randrange(4))]
            elements.insert(min(position, len(elements)), self._nested(rest[1:], value))
            target[part] = elements
            return
        inner = target.get(part)
        if isinstance(inner, dict):
            self._place(inner, rest, value)
        elif part not in target or random.random() < 0.3:
            target[part] = self._nested(rest, value)

    def _nested(self, parts: Sequence[str | int], value: Json) -> Json:
        random = self.random
        if not parts:
            return value
        if isinstance(parts[0], int):
            return [self._scalar(), self._nested(parts[1:], value)]
        made: dict[str, Json] = {}
        self._place(made, parts, value)
        chance = random.random()
        if chance < 0.12:
            others = [self._anything(2) for _ in range(random.randrange(3))]
            return [*others, made, *([dict(made)] if chance < 0.06 else [])]
        if chance < 0.17:
            return self._several()
        return made

    def _several(self) -> Json:
        chance = self.random.random()
        if chance < 0.6:
            return self._scalar()
        if chance < 0.8:
            return [self._scalar() for _ in range(self.random.randrange(5))]
        return self._anything(3)

    def _anything(self, depth: int) -> Json:
        random = self.random
        match random.randrange(6) if depth else 0:
            case 0 | 1:
                return self._scalar()
            case 2:
                return random.choice((None, [], {}, [None], [[]], "", [[], None], [{}]))
            case 3:
                return [self._anything(depth - 1) for _ in range(random.randrange(4))]
            case _:
                names = ("k", "b", "c", "name", "inner", "a", "0", "process.name", "a.b", "unread")
                return {
                    random.choice(names): self._anything(depth - 1)
                    for _ in range(random.randrange(4))
                }

    def _scalar(self) -> Json:
        random = self.random
        chance = random.random()
        if chance < 0.8:
            return random.choice(self.scalars)
        if chance < 0.88:
            return None
        if chance < 0.96:
            return random.choice(random.choice(_FAMILIES))
        return random.choice(("", True, False, 1, 1.0, "1", f"new {random.randrange(10**6)}"))

    def _oddly_made(self, value: Json) -> Json:
        """Return the value in other types that count as the same, and with what JSON cannot say."""
        random = self.random
        chance = random.random()
        if isinstance(value, dict):
            made = {key: self._oddly_made(inner) for key, inner in value.items()}
            if chance < 0.02:
                return {**made, random.choice((1, None, ("a",), b"a")): 1}
            keys = {Text(key) if random.random() < 0.05 else key: made[key] for key in made}
            if chance < 0.05:
                return types.MappingProxyType(keys)
            return OrderedDict(keys) if chance < 0.1 else keys
        if isinstance(value, list):
            elements = [self._oddly_made(inner) for inner in value]
            return tuple(elements) if chance < 0.3 else elements
        if isinstance(value, bool) or value is None:
            return value
        if chance < 0.02:
            return random.choice(
                (float("nan"), "\ud800", "x\udfff", b"a", object(), {"a"}, 10**400)
            )
        if isinstance(value, str):
            return Text(value) if chance < 0.1 else value
        if isinstance(value, int):
            return Count(value) if chance < 0.2 else Flag(value) if value in (0, 1) else value
        return value


# --- payloads -------------------------------------------------------------------------

_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\n": "\\n", "/": "\\/"}


def spelled(document: Json, random: Random) -> bytes:
    """Return JSON for a document, plain half of the time, and else in all ways JSON can be written.

    Where keys occur twice, it is JSON for another document.
    """
    if random.random() < 0.5:
        try:
            text = json.dumps(document, ensure_ascii=random.random() < 0.5, allow_nan=False)
        except ValueError:
            text = _spelled(document, random)
    else:
        text = _spelled(document, random)
    return text.encode("utf-8", "replace") + random.choice((b"", b"", b"\n", b"\r\n ", b" "))


def _spelled(value: Json, random: Random) -> str:
    gap = random.choice(("", "", "", " ", "\n\t "))
    match value:
        case None | True | False:
            return json.dumps(value) + gap
        case str():
            return gap + _spelled_text(value, random)
        case int():
            return str(value)
        case float():
            return _spelled_float(value, random)
        case list() | tuple():
            return "[" + gap + ",".join(_spelled(inner, random) for inner in value) + gap + "]"
        case dict():
            return "{" + gap + ",".join(_spelled_members(value, random)) + "}" + gap
    raise TypeError(value)


def _spelled_members(members: Mapping[str, Json], random: Random) -> Iterator[str]:
    for key, inner in members.items():
        if random.random() < 0.04:
            other = random.choice((None, 1, "x", {"name": "x"}, [{"k": 1}], {"b": {"c": 1}}))
            yield f"{_spelled_text(key, random)}:{_spelled(other, random)}"
        if random.random() < 0.03 and isinstance(inner, dict) and inner:
            for name, leaf in inner.items():
                yield f"{_spelled_text(f'{key}.{name}', random)}:{_spelled(leaf, random)}"
            continue
        yield f"{_spelled_text(key, random)}:{_spelled(inner, random)}"


def _spelled_text(text: str, random: Random) -> str:
    often = random.choice((0.0, 0.0, 0.05, 1.0))
    return '"' + "".join(_spelled_character(one, random, often) for one in text) + '"'


def _spelled_character(character: str, random: Random, often: float) -> str:
    code = ord(character)
    if random.random() < often or code < 0x20 or character in '"\\':
        if character in _ESCAPES and random.random() < 0.5:
            return _ESCAPES[character]
        units = character.encode("utf-16-be", "surrogatepass")
        digits = "%04X" if random.random() < 0.5 else "%04x"
        pairs = [int.from_bytes(units[n : n + 2], "big") for n in range(0, len(units), 2)]
        return "".join("\\u" + digits % unit for unit in pairs)
    return character


def _spelled_float(value: float, random: Random) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        digits = random.choice(("1e400", "1" + "0" * 330 + ".0", "1E+999"))
        return digits if value > 0 else "-" + digits
    return random.choice((repr, "{:.20e}".format, "{:.17E}".format))(value)


def _broken(random: Random, payload: bytes) -> bytes:
    """Return what is no event, or hardly one."""
    inner = payload.strip()
    return random.choice(
        [
            b"", b" \n", b"null", b"[]", b"[" + inner + b"]", b'"' + inner, inner[:-1], b"1",
            inner + b"}", inner + inner, b"\xef\xbb\xbf" + inner, b"\x00",
            inner.replace(b":", b":NaN,", 1), inner.replace(b'"', b'"\xff', 1),
            b'{"unread":"\xff",' + inner[1:], b'{"unread":NaN,' + inner[1:],
            b'{"unread":"\\ud800",' + inner[1:], b'{"unread":01,' + inner[1:],
            b'{"unread":' + b"9" * 5000 + b"," + inner[1:], b'{"unread":"\x01",' + inner[1:],
            b'{"unread":' + b"[" * 60 + b"]" * 60 + b"," + inner[1:],
            b'{"unread":' + b"[" * 130 + b"]" * 130 + b"," + inner[1:],
            b'{"unread":' + b'{"a":' * 130 + b"1" + b"}" * 130 + b"," + inner[1:],
            b'{"a":' + b"[" * 130 + b'"a"' + b"]" * 130 + b"," + inner[1:],
            b'{"a.b.c":' + b"[" * 99 + b'"a"' + b"]" * 99 + b"," + inner[1:],
            b'{"unread":' + b"[" * 5000 + b"]" * 5000 + b"," + inner[1:],
            b'{"un\\u0072ead":{"x.y":1,"\xc3\xa9":"\\u0000"},' + inner[1:],
            b'{"unread":{"x":[{"y\\u002ez":1}]},' + inner[1:],
            b'{"unread":tru,' + inner[1:], b'{"unread" 1,' + inner[1:],
            b'{"unread":1e400,' + inner[1:],
        ]
    )  # fmt: skip
