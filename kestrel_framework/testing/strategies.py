"""Hypothesis strategies: documents and predicates of every kind, odd ones above all.

For tests of runtimes and rule languages: whatever these draw, every runtime must agree
with `kestrel_framework.interpreter`.

    @given(predicates(), documents())
    def test_agrees(predicate, document):
        assert my_runtime(predicate, document) == holds(predicate, document)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from hypothesis import strategies as st

from kestrel_framework.functions import FUNCTIONS
from kestrel_framework.predicate import (
    And,
    AnyElement,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Cidr,
    Comparison,
    ComparisonOperator,
    Constant,
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
from kestrel_framework.rule import ANY_EVENT
from kestrel_framework.schema import FieldType
from kestrel_framework.values import Scalar

PATHS: Final = (
    "a", "b", "a.b", "a.c", "a.b.c", "l", "l.k", "l.m.k", "a[0]", "b[1]", "l[0].k", "l[1].m.k",
    "l.k[0]", "a[0][1]",
)  # fmt: skip
"""The paths that drawn predicates read, and that drawn documents have often."""

NAMES: Final = ("a", "b", "c", "k", "l", "m")
VARIABLES: Final = ("x", "y")
STEPS: Final = 3
"""Drawn step references are below this; one more than there are steps is worth drawing too."""

EVENT_TYPES: Final = (ANY_EVENT, frozenset(("a",)), frozenset(("a", "ab")))
"""The event types that drawn `Lineage` nodes look at."""

PROCESS_FIELDS: Final = (
    (Field("a.b"), Field("a.c")),
    (Field("b"), Field("l.k", FieldType.KEYWORD)),
)
"""What tells processes apart for drawn `Lineage` nodes, and names their parents."""

_TELLING_TEXTS: Final = (
    "", "a", "A", "ab", "AB", "aB.exe", "abc", "İ", "i", "ı", "ß", "ẞ", "SS", "ſ", "s", "\u212a",
    "k", "σ", "ς", "Σ", "1", "1.0", "-1", "true", "True", "null", "0x10", "*", "?", "a*b", "a\nb",
    "\x00", "\u2028", '"', "'", "\\", "{", "10.0.0.1", "::ffff:10.0.0.1", "10.0.0.0/8",
    "fe80::1%eth0", "1.2.4", "1.2.4-SNAPSHOT", "1.11.3", "2020-01-01",
    "2020-01-01T00:00:00.000000001Z", "1577836800000",
)  # fmt: skip
_TELLING_INTEGERS: Final = (
    0, 1, -1, 2, 10, 445, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30, 10**400,
)  # fmt: skip
_TELLING_FLOATS: Final = (0.0, -0.0, 1.0, 1.5, -2.5, 1e300, float("inf"), float("-inf"))
_COMMON: Final = ("a", "a", "a", "A", "ab", "1", "10.0.0.1", "1.2.4", 1, 1, 1.0, 2, True, False)
_PATTERNS: Final = (
    "a",
    "A",
    "a*",
    "*b",
    "*b*",
    "a?c",
    "*",
    "?",
    "",
    "a*b*c",
    "*.EXE",
    "**",
    "i",
    "1*",
)
_REGEXES: Final = ("a.*", "[a-c]+", "A|b", "", ".*", "1\\.?0?", "(a|b)c?", "\\w+", "i", "s+")
_NETWORKS: Final = ("10.0.0.0/8", "10.0.0.1/32", "0.0.0.0/0", "::/0", "fe80::/10", "::ffff:0:0/96")
_DATE_FORMATS: Final = ((), ("dd-MM-yyyy",), ("yyyy-MM-dd", "yyyyMMdd"))


def texts() -> st.SearchStrategy[str]:
    """Texts, most of them short and telling: letters whose case is odd, numbers, patterns."""
    return st.sampled_from(_TELLING_TEXTS) | st.text(st.characters(codec="utf-8"), max_size=6)


@st.composite
def scalars(  # noqa: D417 - hypothesis gives `draw`
    draw: st.DrawFn, *, odd: bool = False
) -> Scalar:
    """Texts, numbers and booleans.

    Args:
        odd: Also what no JSON has, but a document of an embedder may: NaN.
    """
    return draw(_scalars(odd))


@cache
def _scalars(odd: bool) -> st.SearchStrategy[Scalar]:
    common: st.SearchStrategy[Scalar] = st.sampled_from(_COMMON)
    rare = st.one_of(
        texts(),
        st.sampled_from((*_TELLING_INTEGERS, *_TELLING_FLOATS)),
        st.integers(),
        st.floats(allow_nan=odd),
    )
    return st.one_of(common, common, common, rare)


@st.composite
def documents(  # noqa: D417 - hypothesis gives `draw`
    draw: st.DrawFn, *, odd: bool = True
) -> dict[str, object]:
    """Documents of odd shapes: lists of objects, lists in lists, nulls, objects for values.

    Args:
        odd: Whether NaN occurs, which JSON cannot say.
    """
    return draw(_documents(odd))


@cache
def _documents(odd: bool) -> st.SearchStrategy[dict[str, object]]:
    leaf = st.one_of(scalars(odd=odd), scalars(odd=odd), st.none())
    anything = st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.lists(inner, max_size=2).map(tuple),
            st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        ),
        max_leaves=8,
    )
    several = st.one_of(leaf, st.lists(leaf, max_size=4), anything)
    element = st.fixed_dictionaries(
        {}, optional={"k": several, "a": several, "m": st.fixed_dictionaries({"k": several})}
    )
    usual = st.fixed_dictionaries(
        {
            "a": several | st.fixed_dictionaries({"b": several, "c": several}),
            "b": several,
            "l": element | st.lists(element | anything, max_size=4),
        }
    )
    return usual | st.dictionaries(st.sampled_from(NAMES), anything, max_size=5)


@st.composite
def fields(draw: st.DrawFn, *, types: bool = True) -> Field:
    """Fields of the event, typed and not."""
    return draw(_fields(types))


@cache
def _fields(types: bool) -> st.SearchStrategy[Field]:
    return st.builds(
        Field,
        path=st.sampled_from(PATHS),
        type=_field_types(types),
        whole=st.sampled_from((False, False, True)) if types else st.just(value=False),
        formats=st.sampled_from(_DATE_FORMATS) if types else st.just(()),
        null_value=st.none() | scalars() if types else st.none(),
    )


@st.composite
def values(  # noqa: D417 - hypothesis gives `draw`
    draw: st.DrawFn, *, variables: Sequence[str] = (), steps: int = 0
) -> Value:
    """Value nodes of every kind.

    Args:
        variables: The variables that quantifiers around the value bind.
        steps: How many earlier steps a `StepField` may refer to.
    """
    return draw(_values(tuple(variables), steps))


@st.composite
def predicates(  # noqa: D417 - hypothesis gives `draw`
    draw: st.DrawFn,
    *,
    variables: Sequence[str] = (),
    steps: int = 0,
    lineage: int = 0,
    max_leaves: int = 8,
) -> Predicate:
    """Predicates of every kind of node, quantifiers inside quantifiers among them.

    Args:
        variables: The variables that quantifiers around the predicate bind.
        steps: How many earlier steps a `StepField` may refer to.
        lineage: How deep `Lineage` nodes may stand in each other.
        max_leaves: How large the trees get, roughly.
    """
    return draw(_predicates((*variables, *VARIABLES), steps, lineage, max_leaves))


@cache
def _predicates(
    bound: tuple[str, ...], steps: int, lineage: int, max_leaves: int
) -> st.SearchStrategy[Predicate]:
    leaves = _leaves(bound, steps)
    return st.recursive(
        leaves | lineages(nested=lineage - 1) if lineage else leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(lambda terms: And(tuple(terms))),
            st.lists(inner, max_size=4).map(lambda terms: Or(tuple(terms))),
            inner.map(Not),
            st.builds(AnyElement, _arrays(bound), st.sampled_from(bound), inner),
            st.builds(_truth_leaf, inner, inner, st.booleans()),
        ),
        max_leaves=max_leaves,
    )


@cache
def lineages(*, nested: int = 0) -> st.SearchStrategy[Lineage]:
    """`Lineage` nodes, with up to so many inside each other in them."""
    return st.builds(
        lambda relation, event_types, predicate, fields: Lineage(
            relation, event_types, predicate, *fields
        ),
        st.sampled_from(list(LineageRelation)),
        st.sampled_from(EVENT_TYPES),
        _predicates(VARIABLES, 0, nested, 3),
        st.sampled_from(PROCESS_FIELDS),
    )


def step_documents(*, odd: bool = True) -> st.SearchStrategy[tuple[dict[str, object] | None, ...]]:
    """The events of earlier steps; some steps have none."""
    return st.lists(st.none() | documents(odd=odd), max_size=STEPS).map(tuple)


def _field_types(types: bool) -> st.SearchStrategy[FieldType | None]:
    if not types:
        return st.none()
    return st.one_of(
        st.none(), st.none(), st.just(FieldType.KEYWORD), st.sampled_from(list(FieldType))
    )


def _arrays(variables: tuple[str, ...]) -> st.SearchStrategy[Field | Element]:
    return fields() | _elements(variables)


@cache
def _elements(variables: tuple[str, ...]) -> st.SearchStrategy[Element]:
    return st.builds(
        Element,
        variable=st.sampled_from([*variables, "unbound"]),
        path=st.sampled_from(("", "k", "m.k", "a")),
        type=_field_types(types=True),
    )


def _leaf_values(variables: tuple[str, ...], steps: int) -> st.SearchStrategy[Value]:
    leaves: list[st.SearchStrategy[Value]] = [
        fields(),
        fields(types=False),
        _elements(variables),
        st.builds(Literal, scalars() | scalars() | st.none()),
    ]
    if steps:
        leaves.append(
            st.builds(
                StepField,
                step=st.integers(0, steps),
                path=st.sampled_from(PATHS),
                type=_field_types(types=True),
            )
        )
    return st.one_of(leaves)


@cache
def _values(variables: tuple[str, ...], steps: int) -> st.SearchStrategy[Value]:
    leaves = _leaf_values(variables, steps)
    computed = st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Arithmetic, st.sampled_from(list(ArithmeticOperator)), inner, inner),
            st.sampled_from(list(FUNCTIONS)).flatmap(
                lambda function: st.builds(
                    Call,
                    st.just(function),
                    st.lists(
                        inner,
                        min_size=FUNCTIONS[function].least,
                        max_size=FUNCTIONS[function].most or 3,
                    ).map(tuple),
                    st.booleans(),
                )
            ),
            st.builds(ElementCount, _arrays(variables), st.sampled_from(VARIABLES), _counted()),
        ),
        max_leaves=3,
    )
    return st.one_of(leaves, leaves, computed)


@cache
def _counted() -> st.SearchStrategy[Predicate]:
    """What an `ElementCount` asks of elements; no counts in counts, for the size of the trees."""
    element: st.SearchStrategy[FieldLike] = _elements(VARIABLES)
    tests = st.one_of(
        st.builds(Constant, st.booleans()),
        st.builds(IsNull, element),
        st.builds(Wildcard, element, _some_of(_PATTERNS), st.booleans()),
        st.builds(Comparison, st.sampled_from(list(ComparisonOperator)), element, fields()),
    )
    return tests | tests.map(Not)


def _leaves(variables: tuple[str, ...], steps: int) -> st.SearchStrategy[Predicate]:
    operands = values(variables=variables, steps=steps)
    field_like: st.SearchStrategy[FieldLike] = fields() | _elements(variables)
    relations = st.sampled_from(list(ComparisonOperator))
    fold = st.booleans()
    literals = st.builds(Literal, scalars())
    return st.one_of(
        st.builds(Constant, st.booleans()),
        st.builds(Comparison, relations, operands, operands, fold),
        st.builds(_typed_comparison, relations, field_like, literals, fold, st.booleans()),
        st.builds(
            Membership, operands, st.lists(literals, min_size=1, max_size=4).map(tuple), fold
        ),
        st.builds(_typed_membership, field_like, st.lists(literals, max_size=4), fold),
        st.builds(Wildcard, operands, _some_of(_PATTERNS), fold),
        st.builds(Regex, operands, _some_of(_REGEXES), fold),
        st.builds(Cidr, operands, _some_of(_NETWORKS)),
        st.builds(TextTest, st.sampled_from(list(TextPart)), operands, operands, fold),
        st.builds(IsNull, operands),
    )


def _some_of(choices: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=4).map(tuple)


def _truth_leaf(held: Predicate, failed: Predicate, wanted: bool) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, Truth(held, failed), Literal(wanted))


def _typed_comparison(
    relation: ComparisonOperator, field: FieldLike, literal: Literal, fold: bool, mirrored: bool
) -> Predicate:
    """As a compiler makes it: the literal of the field's type, or none where it cannot be."""
    try:
        if mirrored:
            return comparison(relation, literal, field, fold=fold)
        return comparison(relation, field, literal, fold=fold)
    except ValueError:
        return IsNull(field)


def _typed_membership(field: FieldLike, choices: Sequence[Literal], fold: bool) -> Predicate:
    try:
        return membership(field, choices, fold=fold)
    except ValueError:
        return IsNull(field)
