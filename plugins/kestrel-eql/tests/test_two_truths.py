"""Random conditions of the elastic dialect against a direct reading of what the language says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.interpreter import holds
from kestrel_framework.rule import EventRule, Program, Rule

Values: TypeAlias = Mapping[str, Sequence[str | int]]
"""The values of each field; none where it is missing."""

FIELDS = ("f", "g", "h")
SCALARS: st.SearchStrategy[str | int] = st.sampled_from((1, 2, "a", "B"))
OR, AND, NOT, ATOM = range(4)


@attrs.frozen
class Written:
    """A condition as it is written, how tight its operator binds, and what it says."""

    text: str
    binds: int
    says: Callable[[Values], bool]

    def under(self, binds: int) -> str:
        """Return the text for a place that binds so tight."""
        return self.text if self.binds >= binds else f"({self.text})"


def same(left: str | int, right: str | int) -> bool:
    return type(left) is type(right) and left == right


@st.composite
def atoms(draw: st.DrawFn) -> Written:
    field, value = draw(st.sampled_from(FIELDS)), draw(SCALARS)
    literal = f'"{value}"' if isinstance(value, str) else str(value)
    folded = str(value).lower()

    def equal(values: Values) -> bool:
        return any(same(known, value) for known in values[field])

    return draw(
        st.sampled_from(
            [
                Written(f"{field} == {literal}", ATOM, equal),
                Written(f"{field} != {literal}", ATOM, lambda v: not equal(v)),
                Written(f'{field} in ("zz", {literal})', ATOM, equal),
                Written(f"{field} not in ({literal})", ATOM, lambda v: not equal(v)),
                Written(f"{field} == null", ATOM, lambda v: not v[field]),
                Written(f"null != {field}", ATOM, lambda v: bool(v[field])),
                Written(
                    f'{field} : "{folded.upper()}"',
                    ATOM,
                    lambda v: any(str(known).lower() == folded for known in v[field]),
                ),
                Written(
                    f"{field} < 2",
                    ATOM,
                    lambda v: any(isinstance(known, int) and known < 2 for known in v[field]),
                ),
            ]
        )
    )


@st.composite
def combined(draw: st.DrawFn, inner: st.SearchStrategy[Written]) -> Written:
    left, right = draw(inner), draw(inner)
    wanted, equal = draw(st.booleans()), draw(st.booleans())
    constant, operator = str(wanted).lower(), "==" if equal else "!="
    return draw(
        st.sampled_from(
            [
                Written(f"not {left.under(NOT)}", NOT, lambda v: not left.says(v)),
                Written(
                    f"{left.under(AND)} and {right.under(NOT)}",
                    AND,
                    lambda v: left.says(v) and right.says(v),
                ),
                Written(
                    f"{left.text} or {right.under(AND)}",
                    OR,
                    lambda v: left.says(v) or right.says(v),
                ),
                Written(
                    f"({left.text}) {operator} {constant}",
                    ATOM,
                    lambda v: (left.says(v) is wanted) is equal,
                ),
                Written(
                    f"{constant} {operator} ({left.text})",
                    ATOM,
                    lambda v: (left.says(v) is wanted) is equal,
                ),
            ]
        )
    )


CONDITIONS = st.recursive(atoms(), combined, max_leaves=8)
EVENTS = st.fixed_dictionaries({name: st.lists(SCALARS, max_size=2) for name in FIELDS})


@given(CONDITIONS, st.lists(EVENTS, min_size=1, max_size=5))
def test_a_condition_holds_or_it_does_not(
    compiled: Callable[..., Rule], written: Written, events: Sequence[Values]
) -> None:
    body = compiled(f"any where {written.text}").body
    assert isinstance(body, EventRule)
    assert not isinstance(body.predicate, Program)
    for values in events:
        assert holds(body.predicate, dict(values)) is written.says(values)
