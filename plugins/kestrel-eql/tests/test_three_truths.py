"""Random conditions of the endgame dialect against a direct reading of its three-valued logic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.interpreter import holds
from kestrel_framework.predicate import Predicate

Value: TypeAlias = str | int | bool | None
Event: TypeAlias = Mapping[str, Value]

FIELDS = ("f", "g", "h")
SCALARS: st.SearchStrategy[str | int | bool] = st.sampled_from((1, 2, "a", "B", "ab", True, False))


@attrs.frozen
class Written:
    """A condition as it is written, and what it says: true, false or null."""

    text: str
    says: Callable[[Event], bool | None]


def folded(value: Value) -> Value:
    return value.lower() if isinstance(value, str) else value


def equal(left: Value, right: Value) -> bool | None:
    if left is None or right is None or type(left) is not type(right):
        return None
    return folded(left) == folded(right)


def less(left: Value, right: Value) -> bool | None:
    for kind in (str, int):
        if isinstance(left, kind) and isinstance(right, kind):
            if isinstance(left, bool) or isinstance(right, bool):
                return None
            return bool(folded(left) < folded(right))  # type: ignore[operator]
    return None


def negated(value: bool | None) -> bool | None:
    return None if value is None else not value


def both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def begins(value: Value, part: str) -> bool | None:
    return value.lower().startswith(part) if isinstance(value, str) else None


def one_of(value: Value, choices: tuple[Value, ...]) -> bool | None:
    return None if value is None else any(equal(value, choice) is True for choice in choices)


def as_text(value: Value) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower()


@st.composite
def atoms(draw: st.DrawFn) -> Written:
    name, other = draw(st.sampled_from(FIELDS)), draw(st.sampled_from(FIELDS))
    value, second = draw(SCALARS), draw(SCALARS)
    number = draw(st.sampled_from((1, 2)))
    written = as_text(value)
    choices = f"({written}, {as_text(second)})"
    return draw(
        st.sampled_from(
            [
                Written(f"{name} == {written}", lambda e: equal(e[name], value)),
                Written(f"{written} != {name}", lambda e: negated(equal(e[name], value))),
                Written(f"{name} == {other}", lambda e: equal(e[name], e[other])),
                Written(f"{name} != {other}", lambda e: negated(equal(e[name], e[other]))),
                Written(f"{name} < {number}", lambda e: less(e[name], number)),
                Written(f"{name} >= {number}", lambda e: negated(less(e[name], number))),
                Written(f"{name} < {other}", lambda e: less(e[name], e[other])),
                Written(f"{name} in {choices}", lambda e: one_of(e[name], (value, second))),
                Written(
                    f"{name} not in {choices}",
                    lambda e: negated(one_of(e[name], (value, second))),
                ),
                Written(f"{name} == null", lambda e: e[name] is None),
                Written(f'{name} == "a*"', lambda e: begins(e[name], "a")),
                Written(f'startsWith({name}, "A")', lambda e: begins(e[name], "a")),
                Written(
                    f'stringContains({name}, "A")',
                    lambda e: isinstance(e[name], str) and "a" in str(e[name]).lower(),
                ),
            ]
        )
    )


@st.composite
def combined(draw: st.DrawFn, inner: st.SearchStrategy[Written]) -> Written:
    left, right = draw(inner), draw(inner)
    return draw(
        st.sampled_from(
            [
                Written(f"not ({left.text})", lambda e: negated(left.says(e))),
                Written(
                    f"({left.text}) and ({right.text})",
                    lambda e: both(left.says(e), right.says(e)),
                ),
                Written(
                    f"({left.text}) or ({right.text})",
                    lambda e: negated(both(negated(left.says(e)), negated(right.says(e)))),
                ),
            ]
        )
    )


@st.composite
def questioned(draw: st.DrawFn, inner: st.SearchStrategy[Written]) -> Written:
    """A condition that is compared with true, false or null: that nests to a limit."""
    condition = draw(inner)
    return draw(
        st.sampled_from(
            [
                condition,
                Written(f"({condition.text}) == true", condition.says),
                Written(f"false == ({condition.text})", lambda e: negated(condition.says(e))),
                Written(f"({condition.text}) != true", lambda e: negated(condition.says(e))),
                Written(f"null == ({condition.text})", lambda e: condition.says(e) is None),
                Written(f"({condition.text}) != null", lambda e: condition.says(e) is not None),
            ]
        )
    )


CONDITIONS = questioned(st.recursive(questioned(atoms()), combined, max_leaves=6))
EVENTS = st.fixed_dictionaries({name: st.none() | SCALARS for name in FIELDS})


@given(CONDITIONS, st.lists(EVENTS, min_size=1, max_size=5))
def test_a_condition_is_true_false_or_null(
    condition: Callable[..., Predicate], written: Written, events: list[Event]
) -> None:
    true = condition(written.text, dialect="endgame")
    false = condition(f"not ({written.text})", dialect="endgame")
    for event in events:
        said = written.says(event)
        assert holds(true, event) is (said is True)
        assert holds(false, event) is (said is False)
