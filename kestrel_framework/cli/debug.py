"""`kestrel debug`: what engineers and rule authors read to understand a cost."""

from __future__ import annotations

from pathlib import Path

import click

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._builtin.standard_output import stdout_for_results
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import targets_of
from kestrel_framework._pipeline.process_lineage import ProcessLineage
from kestrel_framework._pipeline.rule_matcher.inspection import MatcherInspection
from kestrel_framework.cli.event_files import read_batch
from kestrel_framework.cli.event_path_report import EventPathReport
from kestrel_framework.cli.exit_codes import ExitCode
from kestrel_framework.cli.json_lines import print_json, print_text
from kestrel_framework.cli.languages import all_compilers, load_registry
from kestrel_framework.cli.log_lines import log_to_stderr
from kestrel_framework.cli.matcher_overview import MatcherOverview
from kestrel_framework.cli.messages import ProblemPrinter, note, note_rule_errors, printable
from kestrel_framework.cli.options import (
    ListCommand,
    ListOption,
    configuration_options,
    format_option,
    read_configuration,
)
from kestrel_framework.cli.progress import progress
from kestrel_framework.cli.target_names import TargetNames
from kestrel_framework.cli.traced_events import traced_events
from kestrel_framework.config import Configuration
from kestrel_framework.errors import ConfigurationError, InputError
from kestrel_framework.rule import RuleSet
from kestrel_framework.rule_loading import load_rules
from kestrel_framework.schema import SchemaRegistry


@click.group("debug")
def command() -> None:
    """Look inside, to understand what is slow."""


@command.command("matcher", cls=ListCommand)
@click.option(
    "--rules",
    "rule_paths",
    cls=ListOption,
    metavar="PATH",
    help="Rule files, folders and .tar.gz archives, instead of those of the configuration. "
    "Several may follow.",
)
@click.option(
    "--event",
    "event_file",
    metavar="FILE",
    help="Events to follow: JSON lines or one JSON list; .gz and .zst work; - is standard input.",
)
@format_option
@configuration_options
@stdout_for_results()
def matcher_command(
    rule_paths: tuple[str, ...],
    event_file: str | None,
    output_format: str,
    config_file: Path | None,
    assignments: tuple[str, ...],
) -> int:
    """Say how rules are indexed, or which way events take through them.

    Without --event: what is asked of each field, which clauses are dear and why, and which
    keys of events are read. With it, for each event: the fields that are looked at, in order,
    what each rules out, and what holds. With --format json there is one object for all
    rules, or one object an event. Exit code 1 says that no rule could be loaded.
    """
    log_to_stderr()
    paths = list(rule_paths) or None
    configuration = read_configuration(
        config_file, assignments, {"rules.paths": ("--rules", paths)}
    )
    if not configuration.rules.paths:
        raise ConfigurationError("no rules to look at: give --rules PATH")
    registry = load_registry(configuration)
    report = load_rules(
        *configuration.rules.paths,
        compilers=all_compilers(configuration, registry),
        schema=registry.schema,
        strict=configuration.rules.strict,
        runtimes=registry.evaluators.names(),
    )
    note_rule_errors(report)
    if not report.rules:
        note(f"kestrel: no rule was loaded from {', '.join(map(str, configuration.rules.paths))}")
        return ExitCode.NOT_FINE
    view = _MatcherView(report.rule_set, configuration, registry.schema)
    if event_file is None:
        view.print_overview(output_format)
    else:
        view.print_events(event_file, output_format)
    return ExitCode.FINE


class _MatcherView:
    """The matcher of a rule set, as `kestrel run` has it."""

    def __init__(
        self, rules: RuleSet, configuration: Configuration, schema: SchemaRegistry
    ) -> None:
        of_rules = targets_of(rules)
        lineage = ProcessLineage(rules, of_rules)
        targets = (*of_rules, *lineage.targets)
        settings = configuration.events
        # Which engine finds patterns changes neither the index nor the answers.
        self._matcher = EventMatcher(
            targets, schema, settings, NativePatternEngine(), lineage.paths
        )
        self._inspection = MatcherInspection(
            self._matcher.rule_matcher,
            targets,
            self._matcher.decoder.types,
            settings.category_field,
        )
        self._names = TargetNames(rules, targets, len(of_rules))
        self._rules = rules

    def print_overview(self, output_format: str) -> None:
        overview = MatcherOverview(
            self._inspection, self._names, len(self._rules), self._matcher.decoder.types.keys
        )
        if output_format == "json":
            print_json(overview.as_json())
        else:
            for line in overview.as_lines():
                print_text(_safe(line))

    def print_events(self, name: str, output_format: str) -> None:
        """Print the way of each event of a file.

        Raises:
            InputError: the file cannot be read, or there is no event in it.
        """
        with progress("reading") as show:
            batch = read_batch(name, show)
        problems = ProblemPrinter()
        report = EventPathReport(self._inspection, self._names)
        count = 0
        for traced in traced_events(batch, self._matcher, self._inspection, problems):
            if output_format == "json":
                print_json(report.as_json(traced))
            else:
                if count:
                    print_text("")
                for line in report.as_lines(traced):
                    print_text(_safe(line))
            count += 1
        problems.summarise()
        if not count:
            raise InputError(f"{batch.origin}: there is no event in it; each is one JSON object")


def _safe(line: str) -> str:
    return printable(line).replace("\n", "\\n").replace("\t", "\\t")
