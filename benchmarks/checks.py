"""What must be equal, whatever the speed: a benchmark of wrong answers is worth nothing."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from benchmarks.matching import Cell
from benchmarks.reloads import Reloaded


class UnequalAlertsError(Exception):
    """Two measurements of the same events found different alerts."""


def require_same_alerts(cells: Mapping[int, Sequence[Cell]], stream: str) -> None:
    """Check that each rule found the same in every process and beside any number of other rules.

    Args:
        cells: By the number of rules asked for; each set of rules holds every smaller one, so
            that the smaller one's alerts are some of the larger one's.
        stream: The name of the events, for the message.

    Raises:
        UnequalAlertsError: a rule found more or less somewhere; says which.
    """
    in_order = sorted((cell for several in cells.values() for cell in several), key=_rule_count)
    for smaller, larger in itertools.pairwise(in_order):
        for rule_id, found in sorted(smaller.alerts.items()):
            if larger.alerts.get(rule_id) != found:
                raise UnequalAlertsError(
                    f"{stream}: the rule {rule_id} found {found} among {smaller.rules} rules, "
                    f"and {larger.alerts.get(rule_id)} among {larger.rules}"
                )


def require_nothing_lost(cells: Sequence[Reloaded]) -> None:
    """Check that changes of rules lost and doubled nothing.

    Raises:
        UnequalAlertsError: they did.
    """
    for cell in cells:
        if cell.lost or cell.doubled:
            raise UnequalAlertsError(
                f"with changes of {cell.rules} rules, {cell.lost} of {cell.alerts} alerts are "
                f"missing, and {cell.doubled} are there twice"
            )


def _rule_count(cell: Cell) -> int:
    return cell.rules
