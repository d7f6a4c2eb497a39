"""`kestrel bench`: how fast rules run on events, and where the time goes."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import attrs
import click

from kestrel_framework._assembly import Assembler, Assembly
from kestrel_framework._builtin.standard_output import stdout_for_results
from kestrel_framework._measuring import (
    Passes,
    StageProfile,
    StageTimes,
    batches_of,
    most_resident_bytes,
    native_modules,
    percentile,
    profile_stages,
    resident_bytes,
    run_passes,
    single_event_times,
)
from kestrel_framework.cli.event_files import read_batch
from kestrel_framework.cli.exit_codes import ExitCode
from kestrel_framework.cli.json_lines import print_json, print_text
from kestrel_framework.cli.languages import load_registry
from kestrel_framework.cli.log_lines import log_to_stderr
from kestrel_framework.cli.messages import note
from kestrel_framework.cli.options import (
    ListCommand,
    ListOption,
    configuration_options,
    format_option,
    read_configuration,
)
from kestrel_framework.cli.progress import Progress, progress
from kestrel_framework.config import Configuration, StateConfig
from kestrel_framework.errors import ConfigurationError, InputError
from kestrel_framework.event import EventBatch

_MOST_SINGLE_EVENTS: Final = 20_000
_SHARES: Final = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}
_STAGES: Final = {
    "decode": "from bytes to fields",
    "fields": "what single fields decide",
    "residuals": "what rules ask besides",
    "lineage": "following processes",
    "sequences": "following sequences",
    "rest": "making alerts, counting, and what is not attributed",
}


@click.command("bench", cls=ListCommand)
@click.option(
    "--rules",
    "rule_paths",
    cls=ListOption,
    metavar="PATH",
    help="Rule files, folders and .tar.gz archives, instead of those of the configuration. "
    "Several may follow.",
)
@click.option(
    "--input",
    "inputs",
    cls=ListOption,
    required=True,
    metavar="FILE",
    help="Files of JSON lines, or of one JSON list; .gz and .zst work; - is standard input. "
    "Several may follow.",
)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many warm passes follow the first one.",
)
@click.option("--profile", is_flag=True, help="Say which stage of the work takes how long.")
@format_option
@configuration_options
@stdout_for_results()
def command(
    rule_paths: tuple[str, ...],
    inputs: tuple[str, ...],
    repeat: int,
    profile: bool,
    output_format: str,
    config_file: Path | None,
    assignments: tuple[str, ...],
) -> int:
    """Measure how fast rules run on events.

    Reads the events into memory, and matches all of them several times, in one thread: once when
    nothing was seen before, then warm. Reading files and writing alerts are left out. Times are
    CPU time of the process. Alerts go nowhere, and no action is taken.
    """
    log_to_stderr()
    options: dict[str, tuple[str, object]] = {"rules.paths": ("--rules", list(rule_paths) or None)}
    configuration = read_configuration(config_file, assignments, options)
    if not configuration.rules.paths:
        raise ConfigurationError("there are no rules: give --rules PATH")
    measured = _measured(_alone(configuration), inputs, repeat, profile)
    if measured is None:
        return ExitCode.NOT_FINE
    if output_format == "json":
        print_json(_object(measured))
    else:
        for line in _lines(measured):
            print_text(line)
    return ExitCode.FINE


@attrs.frozen
class _Measured:
    """What was measured; times in seconds, memory in bytes."""

    rules: int
    events: int
    event_bytes: int
    skipped: int
    passes: Passes
    cold: Sequence[float]
    warm: Sequence[float]
    resident: int
    most_resident: int
    profile: StageProfile | None


def _alone(configuration: Configuration) -> Configuration:
    """Return a configuration for a detector alone: without sources, outputs, actions and state."""
    return attrs.evolve(configuration, sources={}, outputs={}, actions={}, state=StateConfig())


def _measured(
    configuration: Configuration, inputs: Sequence[str], repeat: int, profile: bool
) -> _Measured | None:
    """Measure, or say that there is nothing to measure and return None."""
    before = resident_bytes()
    with progress("reading") as show:
        batches = [batch for name in inputs for batch in _events(name, show)]
    held = resident_bytes() - before
    if not batches:
        raise InputError(f"there are no events in {', '.join(inputs)}")
    assembler = Assembler(configuration, load_registry(configuration), threading.Event())
    assembly = assembler.assemble(None)
    if not _report_rules(assembly):
        return None
    detector = assembly.detector
    passes = run_passes(detector, batches, repeat + 1)
    skipped = sum(detector.statistics.skipped.values()) // (repeat + 1)
    if skipped == sum(map(len, batches)):
        raise InputError(f"none of the events in {', '.join(inputs)} can be read")
    resident, most_resident = max(0, resident_bytes() - held), most_resident_bytes()
    few = _first_events(batches)
    warm = single_event_times(detector, few)
    cold = single_event_times(assembler.assemble(detector.rules).detector, few)
    gc.collect()
    stages = None
    if profile:
        stages = profile_stages(
            detector.rules,
            batches,
            schema=assembly.registry.schema,
            settings=configuration.events,
            pattern_engine=assembly.pattern_engine,
            rounds=repeat,
        )
    return _Measured(
        rules=len(detector.rules),
        events=sum(map(len, batches)) - skipped,
        event_bytes=sum(len(payload) for batch in batches for payload in batch.payloads),
        skipped=skipped,
        passes=passes,
        cold=cold,
        warm=warm,
        resident=resident,
        most_resident=most_resident,
        profile=stages,
    )


def _events(name: str, show: Progress) -> list[EventBatch]:
    payloads = [payload for payload in read_batch(name, show).payloads if payload.strip()]
    return batches_of(payloads, name)


def _first_events(batches: Sequence[EventBatch]) -> list[EventBatch]:
    chosen, events = [], 0
    for batch in batches:
        if events >= _MOST_SINGLE_EVENTS:
            break
        chosen.append(batch)
        events += len(batch)
    return chosen


def _report_rules(assembly: Assembly) -> bool:
    """Say how many rules do not run, and whether there is anything left to run."""
    report = assembly.load_report
    if report.errors:
        note(f"kestrel: {len(report.errors)} errors in rules; `kestrel check` shows them")
    if not report.rules:
        note("kestrel: no rule is left to run")
    return bool(report.rules)


def _object(measured: _Measured) -> dict[str, object]:
    passes = measured.passes
    found: dict[str, object] = {
        "rules": measured.rules,
        "events": measured.events,
        "event_bytes": measured.event_bytes,
        "skipped": measured.skipped,
        "native_modules": native_modules(),
        "events_per_second": round(measured.events / median(passes.warm), 1),
        "microseconds": {
            "first": _microseconds(measured, passes.seconds[0]),
            "warm": _microseconds(measured, median(passes.warm)),
            "warm_least": _microseconds(measured, min(passes.warm)),
            "warm_greatest": _microseconds(measured, max(passes.warm)),
        },
        "single_event_microseconds": {
            "first": _percentiles(measured.cold),
            "warm": _percentiles(measured.warm),
        },
        "resident_bytes": measured.resident,
        "most_resident_bytes": measured.most_resident,
        "alerts": sum(passes.alerts.values()),
        "alerts_by_rule": dict(sorted(passes.alerts.items())),
    }
    if measured.profile is not None:
        profile = measured.profile
        counters = attrs.asdict(profile, filter=lambda field, _: field.name not in _TIMES)
        found["profile"] = {
            "microseconds": {
                "first": _stage_microseconds(measured, profile.first),
                "warm": _stage_microseconds(measured, profile.warm),
            },
            **counters,
        }
    return found


_TIMES: Final = ("first", "warm")


def _stage_microseconds(measured: _Measured, times: StageTimes) -> dict[str, float]:
    names = [*_STAGES, "whole", "output"]
    return {name: _microseconds(measured, getattr(times, name)) for name in names}


def _microseconds(measured: _Measured, seconds: float) -> float:
    return round(seconds / measured.events * 1e6, 3)


def _percentiles(ascending: Sequence[float]) -> dict[str, float]:
    return {name: round(percentile(ascending, share) * 1e6, 3) for name, share in _SHARES.items()}


def _lines(measured: _Measured) -> list[str]:
    passes = measured.passes
    warm, first = median(passes.warm), passes.seconds[0]
    rate = measured.events / warm
    size = measured.event_bytes / max(1, measured.events + measured.skipped)
    lines = [
        f"{_counted(measured.rules, 'rule')}, {_counted(measured.events, 'event')} of "
        f"{size:,.0f} bytes, {len(passes.seconds)} passes, "
        f"native: {', '.join(native_modules()) or 'nothing'}",
        f"events a second   {rate:,.0f} warm, {measured.events / first:,.0f} in the first pass",
        f"µs an event       {_microseconds(measured, warm):.2f} warm "
        f"({_microseconds(measured, min(passes.warm)):.2f} to "
        f"{_microseconds(measured, max(passes.warm)):.2f}), "
        f"{_microseconds(measured, first):.2f} in the first pass",
    ]
    for name, times in (("warm", measured.warm), ("never seen", measured.cold)):
        p50, p99, p99_9 = _percentiles(times).values()
        lines.append(
            f"one alone, µs     P50 {p50:,.1f}, P99 {p99:,.1f}, P99.9 {p99_9:,.1f} ({name})"
        )
    lines += [
        f"memory, MB        {measured.resident / 1e6:,.0f} without the events; at most "
        f"{measured.most_resident / 1e6:,.0f} with them",
        f"alerts            {sum(passes.alerts.values()):,} in each pass",
    ]
    if measured.skipped:
        lines.append(f"left out          {measured.skipped:,} events that cannot be read")
    if measured.profile is not None:
        lines += _profile_lines(measured, measured.profile)
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _profile_lines(measured: _Measured, profile: StageProfile) -> list[str]:
    lines = ["", "µs an event        warm   share   first"]
    for name, what in _STAGES.items():
        warm, first = getattr(profile.warm, name), getattr(profile.first, name)
        lines.append(
            f"{name:<13} {_microseconds(measured, warm):>9.2f} {warm / profile.warm.whole:>6.0%} "
            f"{_microseconds(measured, first):>8.2f}  {what}"
        )
    for name, what in (("whole", "all of these"), ("output", "alerts as JSON lines, besides")):
        warm, first = getattr(profile.warm, name), getattr(profile.first, name)
        lines.append(
            f"{name:<13} {_microseconds(measured, warm):>9.2f}        "
            f"{_microseconds(measured, first):>8.2f}  {what}"
        )
    misses = profile.first.fields - profile.warm.fields
    each = misses / profile.values_looked_up * 1e6 if profile.values_looked_up else 0.0
    lines += [
        "",
        f"misses            {profile.values_looked_up:,} new values and {profile.nodes_made:,} new "
        f"combinations in the first pass, some {each:.1f} µs for each value; "
        f"{profile.warm_values_looked_up:,} in a warm one",
        f"residuals         {profile.residuals_tested:,} tested in a pass",
        f"slow events       {profile.slow_events:,} of an odd shape in the first pass",
        f"forgotten         {profile.times_emptied:,} times a part of it, at a limit",
    ]
    return lines
