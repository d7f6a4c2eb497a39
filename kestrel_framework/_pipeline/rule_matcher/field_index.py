"""Which texts of which field a predicate needs: the way past the rules that cannot hold.

An anchor of a predicate is a field of which some value must be one of a few texts for
the predicate to hold. Looking up the values of the field in a dictionary then finds
the predicates worth asking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import attrs

from kestrel_framework._pipeline.rule_matcher.row_cells import CellForm, simplest_form
from kestrel_framework.predicate import (
    And,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    Membership,
    Or,
    Predicate,
    Wildcard,
)
from kestrel_framework.values import fold_case


@attrs.frozen
class Anchor:
    """Some value of `field`, in `form`, must be one of `texts`."""

    field: Field
    form: CellForm
    texts: frozenset[str]


def best_anchors(predicates: Sequence[Predicate]) -> list[Anchor | None]:
    """Return the anchor of each predicate that promises to rule out most, or None.

    What rules out most is a field of which the predicates name many different texts:
    `process.name` rather than `event.action`.
    """
    choices = [list(anchors(predicate)) for predicate in predicates]
    texts: dict[tuple[Field, CellForm], set[str]] = {}
    for anchor in (anchor for some in choices for anchor in some):
        texts.setdefault((anchor.field, anchor.form), set()).update(anchor.texts)
    variety = Counter({key: len(known) for key, known in texts.items()})
    return [
        max(
            some,
            key=lambda anchor: variety[anchor.field, anchor.form] / len(anchor.texts),
            default=None,
        )
        for some in choices
    ]


def anchors(predicate: Predicate) -> Iterator[Anchor]:
    """Yield anchors of a predicate; it may have none."""
    match predicate:
        case And():
            for term in predicate.terms:
                yield from anchors(term)
        case Or():
            yield from _common_anchors([list(anchors(term)) for term in predicate.terms])
        case Comparison(ComparisonOperator.EQUAL, Field() as field, Literal(str() as text)):
            yield from _anchor(field, (text,), fold=predicate.fold)
        case Membership(Field() as field, choices):
            texts = [choice.value for choice in choices if isinstance(choice.value, str)]
            if len(texts) == len(choices):
                yield from _anchor(field, texts, fold=predicate.fold)
        case Wildcard(Field() as field, patterns):
            if not any("*" in pattern or "?" in pattern for pattern in patterns):
                yield from _anchor(field, patterns, fold=predicate.fold, as_text=True)


def _anchor(
    field: Field, texts: Iterable[str], *, fold: bool, as_text: bool = False
) -> Iterator[Anchor]:
    if field.whole:
        return
    known = frozenset(fold_case(text) if fold else text for text in texts)
    if as_text:
        form = CellForm.FOLDED_TEXTS if fold else CellForm.TEXTS
    else:
        form = CellForm.FOLDED if fold else CellForm.VALUES
    if known:
        yield Anchor(field, simplest_form(field, form), known)


def _common_anchors(terms: Sequence[Sequence[Anchor]]) -> Iterator[Anchor]:
    """Yield the anchors on fields that every term has one on."""
    if not terms:
        return
    for first in terms[0]:
        texts = first.texts
        for others in terms[1:]:
            same = [o for o in others if (o.field, o.form) == (first.field, first.form)]
            if not same:
                break
            texts |= same[0].texts
        else:
            yield Anchor(first.field, first.form, texts)
