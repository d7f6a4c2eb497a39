"""`kestrel run`: match events against rules, and write alerts."""

from __future__ import annotations

import gc
import json
import select
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

import attrs
import click

from kestrel_framework._builtin.standard_output import result_stream, stdout_for_results
from kestrel_framework.cli.exit_codes import ExitCode
from kestrel_framework.cli.log_lines import BROKEN_PIPE, log_to_stderr
from kestrel_framework.cli.messages import note, rule_error_text, stderr_is_terminal
from kestrel_framework.cli.options import (
    ListCommand,
    ListOption,
    configuration_options,
    format_option,
    read_configuration,
)
from kestrel_framework.cli.progress import progress
from kestrel_framework.cli.rule_reload import HangUps
from kestrel_framework.cli.signals import on_hang_up, on_interrupt
from kestrel_framework.cli.source_choice import instance_name, source_settings, sources_of_type
from kestrel_framework.config import (
    FORGETFUL_STATE,
    Configuration,
    SectionConfig,
    SourceConfig,
)
from kestrel_framework.engine import Engine, EngineReport, ExitStatus
from kestrel_framework.errors import ConfigurationError, OutputError
from kestrel_framework.rule import LoadReport

_OBJECTS_TO_COLLECTION: Final = 50_000
_STANDARD_OUTPUT: Final = "-"
# What the command line itself stands for stays the same, whatever is installed.
_BUILTIN_JSONL: Final = "builtin:jsonl"
_CONSOLE: Final = ("builtin:console", "console")
_SHOWN_ERRORS: Final = 20
_PROGRESS_SECONDS: Final = 0.2


@click.command("run", cls=ListCommand)
@click.option("--source", "source_type", metavar="TYPE", help="The type of the source to read.")
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
    metavar="FILE",
    help="Files of JSON lines, read in this order; .gz and .zst work; - is standard input. "
    "Several may follow.",
)
@click.option(
    "--output",
    "outputs",
    multiple=True,
    metavar="jsonl:FILE|-",
    help="Where alerts go, instead of the outputs of the configuration: a file to add them to, "
    "or - for JSON lines on standard output. May be repeated.",
)
@click.option("--runtime", metavar="NAME", help="The runtime that evaluates predicates.")
@click.option(
    "--workers",
    metavar="N",
    type=click.INT,
    help="How many processes match events. The alerts are the same.",
)
@click.option(
    "--state",
    "state_directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="A private folder for the state store and for plugins.",
)
@click.option(
    "--stats",
    "stats_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the statistics as one JSON object when the run ends.",
)
@click.option("--strict", is_flag=True, help="Do not start if any rule has an error.")
@format_option
@configuration_options
@stdout_for_results()
def command(
    source_type: str | None,
    rule_paths: tuple[str, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    runtime: str | None,
    workers: int | None,
    state_directory: Path | None,
    stats_file: Path | None,
    strict: bool,
    output_format: str,
    config_file: Path | None,
    assignments: tuple[str, ...],
) -> int:
    """Match events against rules, and write one alert a line.

    Reads the input to its end, or a live source until SIGINT or SIGTERM: what
    has been read is then finished, and delivered. SIGHUP has it read the rules
    again and go on with them, or with those it has if the new ones cannot be
    loaded; standard error says which.
    """
    options: dict[str, tuple[str, object]] = {
        "rules.paths": ("--rules", list(rule_paths) or None),
        "rules.strict": ("--strict", strict or None),
        "engine.runtime": ("--runtime", runtime),
        "engine.workers": ("--workers", workers),
        "state.directory": ("--state", state_directory),
    }
    for key, value in source_settings(source_type, assignments).items():
        options[key] = ("--source", value)
    configuration = read_configuration(config_file, assignments, options)
    configuration = attrs.evolve(
        configuration,
        sources=_sources(configuration, source_type, inputs),
        outputs=_outputs(configuration, outputs, output_format),
    )
    log_to_stderr()
    if state_directory is not None and configuration.state.type == FORGETFUL_STATE:
        note(
            f"kestrel: warning: the state store `memory` keeps nothing in {state_directory}: "
            "this run does not go on where another ended"
        )
    with ExitStack() as stack:
        stopping = _StopRequest()
        stack.enter_context(on_interrupt(stopping.make))
        hang_ups = HangUps()
        stack.enter_context(on_hang_up(hang_ups.hear))
        stats = None
        if stats_file is not None:
            _refuse_overwriting(stats_file, inputs)
            stats = stack.enter_context(_stats_output(stats_file))
        engine = Engine.build(configuration)
        # Collections need not look at the rules, which stay, nor run for every few events:
        # what they leave is hardly ever in cycles.
        gc.freeze()
        gc.set_threshold(_OBJECTS_TO_COLLECTION)
        if not _report_rules(engine.load_report, configuration):
            return ExitCode.NOT_FINE
        stopping.pass_on_to(engine.stop)
        stack.enter_context(_stopping_without_reader(engine))
        stack.enter_context(hang_ups.reloading(engine, configuration))
        if stderr_is_terminal() and not result_stream().isatty():
            stack.enter_context(_progress_of(engine))
        report = engine.run()
        if stats is not None:
            _write_stats(stats, stats_file, report)
    _summarise(report)
    return _exit_code(report)


def _sources(
    configuration: Configuration, source_type: str | None, inputs: tuple[str, ...]
) -> Mapping[str, SourceConfig]:
    """Return what is read: what the command line says, else what the configuration does."""
    if source_type is None and not inputs:
        if not configuration.sources:
            raise ConfigurationError("nothing to read: give --input FILE or --source TYPE")
        return configuration.sources
    chosen = sources_of_type(configuration, source_type or "jsonl")
    if not inputs:
        return chosen
    section = next(iter(chosen.values()))
    if source_type is None and section.type == "jsonl":
        section = attrs.evolve(section, type=_BUILTIN_JSONL)
    options = {key: value for key, value in section.options.items() if key != "path"}
    name = instance_name(section.type)
    return {name: attrs.evolve(section, options=options | {"paths": list(inputs)})}


def _outputs(
    configuration: Configuration, outputs: tuple[str, ...], output_format: str
) -> Mapping[str, SectionConfig]:
    """Return where alerts go: where the command line says, else where the configuration does."""
    chosen = dict(configuration.outputs)
    if outputs:
        chosen = {f"output-{number}": _output(text) for number, text in enumerate(outputs, 1)}
    elif output_format == "json":
        chosen = {name: one for name, one in chosen.items() if one.type not in _CONSOLE}
    if output_format == "json" and not any(map(_is_standard_output, chosen.values())):
        chosen["stdout"] = SectionConfig(_BUILTIN_JSONL, {"path": _STANDARD_OUTPUT})
    return chosen or {"console": SectionConfig(_CONSOLE[0])}


def _is_standard_output(section: SectionConfig) -> bool:
    return section.type in ("jsonl", _BUILTIN_JSONL) and section.options == {
        "path": _STANDARD_OUTPUT
    }


def _output(text: str) -> SectionConfig:
    """Read `jsonl:FILE`, or `-`."""
    kind, colon, path = text.partition(":")
    if text == _STANDARD_OUTPUT:
        kind, path = "jsonl", _STANDARD_OUTPUT
    elif not (kind and colon and path):
        raise ConfigurationError(f"--output: expected `jsonl:FILE` or `-`, not `{text}`")
    if kind == "jsonl":
        kind = _BUILTIN_JSONL
    return SectionConfig(kind, {"path": path})


def _report_rules(report: LoadReport, configuration: Configuration) -> bool:
    """Say which rules do not run, and whether there is anything left to run."""
    for error in report.errors[:_SHOWN_ERRORS]:
        note(rule_error_text(error, "error"))
    left_out = len(report.errors) - _SHOWN_ERRORS
    if left_out > 0:
        note(f"kestrel: {left_out} more errors; `kestrel check` shows all of them")
    if report.warnings:
        note(f"kestrel: {len(report.warnings)} warnings in rules; `kestrel check` shows them")
    if report.errors:
        note(f"kestrel: {len(report.rules)} rules run; those with errors do not")
    if not report.rules:
        if configuration.rules.paths:
            note("kestrel: no rule is left to run")
            return False
        note("kestrel: warning: there are no rules: give --rules PATH")
    return True


class _StopRequest:
    """A signal's request to stop, kept while rules are loading and there is no engine to stop."""

    def __init__(self) -> None:
        self._made = False
        self._stop: Callable[[], None] | None = None

    def make(self) -> None:
        """Ask to stop; from a signal handler."""
        self._made = True
        if self._stop is not None:
            self._stop()

    def pass_on_to(self, stop: Callable[[], None]) -> None:
        """Have `stop` called when the request is made, or now if it was made before."""
        self._stop = stop
        if self._made:
            stop()


@contextmanager
def _stopping_without_reader(engine: Engine) -> Iterator[None]:
    """Stop the engine when standard output is a pipe that nobody reads any more."""
    over = threading.Event()

    def watch() -> None:
        poll = select.poll()
        poll.register(1, 0)  # errors and hang-ups are always told
        while not over.wait(_PROGRESS_SECONDS):
            if poll.poll(0):
                engine.stop()
                return

    watcher = threading.Thread(target=watch, name="reader of stdout", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextmanager
def _progress_of(engine: Engine) -> Iterator[None]:
    """Show how far the sources are."""
    over = threading.Event()

    def watch() -> None:
        with progress("reading") as show:
            while not over.wait(_PROGRESS_SECONDS):
                if (now := engine.progress()) is not None:
                    show(*now)

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _refuse_overwriting(stats_file: Path, inputs: tuple[str, ...]) -> None:
    """Raise `ConfigurationError` if the statistics would take the place of what is read."""
    for name in inputs:
        try:
            same = stats_file.samefile(name)
        except (OSError, ValueError):
            continue  # one of them does not exist
        if same:
            raise ConfigurationError(f"--stats: {stats_file} is also an input")


@contextmanager
def _stats_output(path: Path) -> Iterator[IO[str]]:
    """Open the file for the statistics at once, so that a wrong name is told before the run."""
    try:
        file = path.open("w", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written: {error}") from error
    with file:
        yield file


def _write_stats(file: IO[str], path: Path | None, report: EngineReport) -> None:
    try:
        json.dump(dict(report.statistics), file)
        file.write("\n")
        file.flush()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _summarise(report: EngineReport) -> None:
    statistics = report.statistics
    parts = [
        "1 event" if statistics["events"] == 1 else f"{statistics['events']} events",
        "1 alert" if statistics["alerts"] == 1 else f"{statistics['alerts']} alerts",
    ]
    for name in ("skipped", "lost"):
        causes = statistics[f"{name}_by_cause"]
        if isinstance(causes, Mapping) and causes:
            counts = ", ".join(f"{cause} {count}" for cause, count in causes.items())
            parts.append(f"{statistics[name]} {name} ({counts})")
    note(f"kestrel: {', '.join(parts)} in {statistics['seconds']} s")
    for warning in (_forgotten(statistics), _forgotten_processes(statistics)):
        if warning:
            note(f"kestrel: warning: {warning}")


def _forgotten(statistics: Mapping[str, object]) -> str:
    """Return what limits on the memory of sequences made the run forget, if anything."""
    partial = statistics["partial_matches"]
    assert isinstance(partial, Mapping)
    evicted, keys = partial["ended"].get("evicted", 0), partial["keys_left_out"]
    parts = [f"{evicted} partial matches evicted"] if evicted else []
    if keys:
        parts.append(f"{keys} join keys left out")
    return f"{', '.join(parts)}: alerts of sequences may be missing" if parts else ""


def _forgotten_processes(statistics: Mapping[str, object]) -> str:
    """Return what limits on the memory of processes made the run forget, if anything."""
    processes = statistics["processes"]
    assert isinstance(processes, Mapping)
    evicted, cut = processes["evicted"], processes["cut_walks"]
    parts = []
    if number := sum(evicted.values()):
        parts.append(f"{number} processes evicted ({evicted['marked']} that rules ask about)")
    if cut:
        parts.append(f"{cut} times ancestors left out")
    return f"{', '.join(parts)}: the lineage of processes may be unknown" if parts else ""


def _exit_code(report: EngineReport) -> ExitCode:
    failures = [failure for failure in report.failures if str(failure) != BROKEN_PIPE]
    if report.exit_status is ExitStatus.FINE or (report.failures and not failures):
        return ExitCode.FINE
    return ExitCode.INPUT_OR_OUTPUT
