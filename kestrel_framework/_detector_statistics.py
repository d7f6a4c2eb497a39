"""What a detector counts, as people look at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from kestrel_framework.rule import Rollout


@attrs.define
class DetectorStatistics:
    """What a detector has counted since it was made. Only ever grows.

    Attributes:
        events: Events looked at.
        skipped: Events left out because they cannot be read, by cause.
        problems: Everything odd about the input, by cause, also of events looked at.
        lost: Events that sources said were lost, by cause.
        alerts: Alerts by rule id, without those of shadow revisions.
        shadow_alerts: Alerts of shadow revisions, by rule id.
        failures: Evaluations that failed, by rule id.
        alerts_by_revision: Alerts by rule id and revision, also those of shadow revisions.
        failures_by_revision: Evaluations that failed, by rule id and revision.
        untimely: Step matches that sequences did not see, or not in their order, by cause:
            `late` and `implausible_time` were left out, `released_early` went on before their
            time, since too many waited; `source_left_out` counts how often a quiet source
            was not waited for.
    """

    events: int = 0
    skipped: Counter[str] = attrs.field(factory=Counter)
    problems: Counter[str] = attrs.field(factory=Counter)
    lost: Counter[str] = attrs.field(factory=Counter)
    alerts: Counter[str] = attrs.field(factory=Counter)
    shadow_alerts: Counter[str] = attrs.field(factory=Counter)
    failures: Counter[str] = attrs.field(factory=Counter)
    alerts_by_revision: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    failures_by_revision: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    untimely: Counter[str] = attrs.field(factory=Counter)


@attrs.frozen
class PartialMatches:
    """What became of partial matches: sequences, samples and joins that are not complete.

    Attributes:
        live: How many there are.
        ended: How many are no more, by reason. Those `evicted` passed a limit on what is
            remembered: alerts may be missing.
        keys_left_out: Join keys of events that had too many of them.
    """

    live: int
    ended: Mapping[str, int]
    keys_left_out: int


@attrs.frozen
class RevisionState:
    """What a detector knows of one revision of a rule.

    Attributes:
        rule_id: The rule.
        revision: The short name of what it means, as alerts have it.
        rollout: Which of its findings count, and whether it only goes on with what is under way.
        partial_matches: Its partial matches.
        alerts: Its alerts since the detector was made, also those that do not count.
        failures: Its evaluations that failed.
    """

    rule_id: str
    revision: str
    rollout: Rollout
    partial_matches: int
    alerts: int
    failures: int


@attrs.frozen
class RememberedProcesses:
    """What is remembered of processes, for rules that ask for lineage; else nothing.

    Attributes:
        live: How many processes are remembered now.
        evicted: How many were forgotten at the limit: `unmarked` ones, of which only the
            parent was known, and `marked` ones, which rules ask about or whose ancestors
            they ask about. Alerts may be missing, or rest on what was forgotten.
        long_ids: Ids of processes in events that were kept as digests, for their length.
        cut_walks: Decisions made without looking at all ancestors, for their number.
    """

    live: int
    evicted: Mapping[str, int]
    long_ids: int
    cut_walks: int
