"""Which steps of sequences mean nothing for now, since nothing waits for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.sequence_tracker.joins import JoinMachine
from kestrel_framework._pipeline.sequence_tracker.machine import SequenceMachine
from kestrel_framework._pipeline.sequence_tracker.samples import SampleMachine


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

    def idle(self, targets: Collection[int]) -> frozenset[int]:
        """Return those of `targets` whose sequences have not begun, nor begin with another one."""
        begun = {self._beginning[number] for number in targets if number in self._beginning}
        if any(machine.live or machine.rule in begun for machine in self._patient):
            return frozenset()
        return frozenset(
            number
            for number in targets
            if (machine := self._later.get(number)) is not None
            and not machine.live
            and machine.rule not in begun
        )
