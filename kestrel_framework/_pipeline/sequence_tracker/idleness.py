"""Which steps of sequences mean nothing for now, since nothing waits for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.sequence_tracker.joins import JoinMachine
from kestrel_framework._pipeline.sequence_tracker.machine import SequenceMachine
from kestrel_framework._pipeline.sequence_tracker.samples import SampleMachine

_MOST_PLANS: Final = 4096


@attrs.frozen
class _Plan:
    """What to ask about some targets that hold together.

    Attributes:
        begins_patient: Whether one of them begins a sequence that can complete by waiting.
        later: Those that are later steps of sequences that none of them begins.
    """

    begins_patient: bool
    later: tuple[tuple[int, SequenceMachine], ...]


class Idleness:
    """Tells later steps of sequences from what begins them.

    Most events satisfy some late step of some sequence, such as "any network event"; as long
    as the sequence has not begun, they need not be looked at.

    Args:
        machines: What follows each rule, by its number.
        targets: The conditions, as they are numbered.
    """

    def __init__(
        self,
        machines: Mapping[int, SequenceMachine | SampleMachine | JoinMachine],
        targets: Sequence[Target],
    ) -> None:
        self._later: dict[int, SequenceMachine] = {}
        self._beginning: dict[int, int] = {}
        for number, target in enumerate(targets):
            machine = machines.get(target.rule)
            if isinstance(machine, SequenceMachine) and machine.is_later(target.step):
                self._later[number] = machine
            elif machine is not None:
                self._beginning[number] = target.rule
        # An event of theirs, or one that only tells the time, can complete what waits.
        self._patient = [
            machine
            for machine in machines.values()
            if isinstance(machine, SequenceMachine) and machine.has_trailing
        ]
        self._plans: dict[frozenset[int], _Plan] = {}

    def idle(self, targets: Collection[int]) -> frozenset[int]:
        """Return those of `targets` whose sequences have not begun, nor begin with another one."""
        together = frozenset(targets)
        plan = self._plans.get(together)
        if plan is None:
            plan = self._planned(together)
        if plan.begins_patient or any(machine.live for machine in self._patient):
            return frozenset()
        return frozenset([number for number, machine in plan.later if not machine.live])

    def _planned(self, targets: frozenset[int]) -> _Plan:
        begun = {self._beginning[number] for number in targets if number in self._beginning}
        later = [
            (number, machine)
            for number in targets
            if (machine := self._later.get(number)) is not None and machine.rule not in begun
        ]
        plan = _Plan(any(machine.rule in begun for machine in self._patient), tuple(later))
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[targets] = plan
        return plan
