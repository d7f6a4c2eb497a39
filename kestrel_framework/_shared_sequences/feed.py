"""The detector of an engine that shares its sequences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._shared_sequences.follower import PartitionFollower
from kestrel_framework._shared_sequences.forwarding import Forwarding
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector

_EARLIEST: Final = -(1 << 63)


class SharedDetector:
    """Has a detector forward its step matches, and follows those of partitions with its rules.

    Args:
        detector: It finds what events say by themselves as before; no sequence of it goes on. It
            must be given no other rules.
        partitions: How many there are.
        member: The name of this engine among all.
    """

    def __init__(self, detector: Detector, partitions: int, member: str) -> None:
        self._detector = detector
        self._partitions = partitions
        self._generation = detector._generation
        self._forwarding = Forwarding.of(self._generation, partitions, member)
        detector._generation = self._forwarding.generation

    @property
    def size(self) -> int:
        """The bytes of the events that are to be sent, roughly."""
        return self._forwarding.tracker.size

    @property
    def watermark(self) -> int | None:
        """Nothing older than this will be sent; None where it may."""
        watermark = self._detector._time.watermark
        return None if not _EARLIEST < watermark < -_EARLIEST else watermark

    def messages(self) -> list[list[bytes]]:
        """Return what is to be sent to each partition, each once.

        Raises:
            StateError: an event holds what is no JSON value.
        """
        return self._forwarding.messages()

    def follower(self, partition: int) -> PartitionFollower:
        """Return what follows a partition, from nothing."""
        untimely = self._detector.statistics.untimely
        return PartitionFollower(self._generation, partition, self._partitions, untimely)

    def alerts(self, findings: Iterable[Completion]) -> list[Alert]:
        """Return the alerts of what a follower found."""
        return self._detector._completed(findings)
