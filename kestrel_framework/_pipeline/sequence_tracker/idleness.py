"""Which steps of sequences mean nothing for now, since nothing waits for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import attrs

from kestrel_framework._pipeline.flow import Target, Targets
from kestrel_framework._pipeline.sequence_tracker.held_events import HoldingMachine
from kestrel_framework._pipeline.sequence_tracker.machine import SequenceMachine
from kestrel_framework._pipeline.sequence_tracker.sequence_memory import SequenceMemory

_NONE: Final = frozenset[int]()
_MOST_PLANS: Final = 4096

_Memory: TypeAlias = SequenceMemory | HoldingMachine


@attrs.frozen
class _Plan:
    """What to ask about some targets that hold together.

    Attributes:
        begins_patient: Whether one of them begins a sequence that can complete by waiting.
        later: Those that only go on with what none of them begins, with what remembers that.
    """

    begins_patient: bool
    later: tuple[tuple[int, _Memory], ...]


class Idleness:
    """Tells later steps of sequences from what begins them.

    Most events satisfy some late step of some sequence, such as "any network event"; as long
    as the sequence has not begun, they need not be looked at.

    Args:
        machines: What follows each rule, by its number.
        targets: The conditions, as they are numbered.
        decided_elsewhere: Those whose events other stages have to see in any case.
    """

    def __init__(
        self,
        machines: Mapping[int, SequenceMachine | HoldingMachine],
        targets: Sequence[Target],
        decided_elsewhere: frozenset[int],
    ) -> None:
        self._rules = {number: target.rule for number, target in enumerate(targets)}
        self._memories: dict[int, _Memory] = {}
        beginning = set()
        for number, target in enumerate(targets):
            machine = machines.get(target.rule)
            if isinstance(machine, SequenceMachine) and machine.is_later(target.step):
                self._memories[number] = machine.memory
            elif isinstance(machine, HoldingMachine) and not target.begins:
                self._memories[number] = machine
            elif machine is not None:
                beginning.add(number)
        self._later = frozenset(self._memories) - decided_elsewhere
        self._beginning = frozenset(beginning)
        # An event of theirs, or one that only tells the time, can complete what waits.
        patient = {
            number: machine.memory
            for number, machine in machines.items()
            if isinstance(machine, SequenceMachine) and machine.has_trailing
        }
        self._plans: dict[Targets, _Plan] = {}
        self._patient_rules = frozenset(patient)
        self._patient_memories = list(patient.values())

    def idle(self, targets: Targets) -> frozenset[int]:
        """Return those of `targets` whose sequences have not begun, nor begin with another one."""
        plan = self._plans.get(targets)
        if plan is None:
            plan = self._planned(targets)
        if plan.begins_patient or not plan.later:
            return _NONE
        for memory in self._patient_memories:
            if memory.live:
                return _NONE
        return frozenset([number for number, memory in plan.later if not memory.live])

    def _planned(self, targets: Targets) -> _Plan:
        begun = {self._rules[number] for number in self._beginning.intersection(targets)}
        plan = _Plan(
            not begun.isdisjoint(self._patient_rules),
            tuple(
                [
                    (number, self._memories[number])
                    for number in self._later.intersection(targets)
                    if self._rules[number] not in begun
                ]
            ),
        )
        if len(self._plans) >= _MOST_PLANS:
            self._plans.clear()
        self._plans[targets] = plan
        return plan
