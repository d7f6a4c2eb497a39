"""`kestrel explain`: why rules find something in events, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import click

from kestrel_framework._builtin.standard_output import stdout_for_results
from kestrel_framework._explanation import attempts_of, explained_events
from kestrel_framework.cli.event_files import read_documents
from kestrel_framework.cli.exit_codes import ExitCode
from kestrel_framework.cli.explanation_report import ExplanationReport, JsonReport, TextReport
from kestrel_framework.cli.languages import all_compilers, load_registry
from kestrel_framework.cli.log_lines import log_to_stderr
from kestrel_framework.cli.messages import ProblemPrinter, note, note_rule_errors
from kestrel_framework.cli.options import (
    ListCommand,
    ListOption,
    configuration_options,
    format_option,
    read_configuration,
)
from kestrel_framework.cli.progress import progress
from kestrel_framework.config import Configuration
from kestrel_framework.errors import ConfigurationError
from kestrel_framework.event import Document, EventSettings
from kestrel_framework.interfaces import RuleCompiler
from kestrel_framework.rule import EventRule, Program, Rule
from kestrel_framework.rule_loading import load_rules
from kestrel_framework.schema import SchemaRegistry

_MOST_PAIRS: Final = 2_000_000
"""How many rules and events are looked at together; each pair takes some 50 microseconds."""


@click.command("explain", cls=ListCommand)
@click.option(
    "--rules",
    "rule_paths",
    cls=ListOption,
    metavar="PATH",
    help="Rule files, folders and .tar.gz archives, instead of those of the configuration. "
    "Several may follow.",
)
@click.option(
    "--rule",
    "rule_ids",
    multiple=True,
    metavar="ID",
    help="Explain this rule. May be repeated. Default: all rules.",
)
@click.option(
    "--input",
    "inputs",
    cls=ListOption,
    metavar="FILE",
    help="Files of JSON lines, or of one JSON list; .gz and .zst work; - is standard input. "
    "Several may follow. Default: standard input.",
)
@click.option(
    "--most",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="The most events, or partial matches, that are shown of a rule; of events so many that "
    "satisfy it, and so many that come closest.",
)
@format_option
@configuration_options
@stdout_for_results()
def command(
    rule_paths: tuple[str, ...],
    rule_ids: tuple[str, ...],
    inputs: tuple[str, ...],
    most: int,
    output_format: str,
    config_file: Path | None,
    assignments: tuple[str, ...],
) -> int:
    """Say why rules find something in events, or nothing.

    Of a rule that one event decides: which events satisfy it, which come closest, and of
    each which condition holds, which fails, and what the event has there. Of a sequence,
    sample or join: how far its partial matches came, what each waits for, since when, and what
    closed it. Events are taken in the order of their times. With --format json there is one
    object an event, or a partial match, after one for its rule. Exit code 1 says that
    there is no such rule.
    """
    log_to_stderr()
    paths = list(rule_paths) or None
    configuration = read_configuration(
        config_file, assignments, {"rules.paths": ("--rules", paths)}
    )
    if not configuration.rules.paths:
        raise ConfigurationError("no rules to explain: give --rules PATH")
    registry = load_registry(configuration)
    rules = _chosen(
        configuration, registry.schema, all_compilers(configuration, registry), rule_ids
    )
    if not rules:
        return ExitCode.NOT_FINE
    problems = ProblemPrinter()
    with progress("reading") as show:
        documents = read_documents(inputs or ("-",), problems, show)
    if len(rules) * len(documents) > _MOST_PAIRS:
        raise ConfigurationError(
            f"{len(rules):,} rules and {len(documents):,} events are too much to explain: name "
            "rules with --rule ID, or give fewer events"
        )
    report = JsonReport() if output_format == "json" else TextReport()
    explanation = _Explanation(documents, most, registry.schema, configuration.events, report)
    with progress("explaining", "rules") as show:
        for number, rule in enumerate(rules, start=1):
            explanation.explain(rule, problems)
            show(number, len(rules))
    problems.summarise()
    return ExitCode.FINE


def _chosen(
    configuration: Configuration,
    schema: SchemaRegistry,
    compilers: Sequence[RuleCompiler],
    rule_ids: Sequence[str],
) -> Sequence[Rule]:
    """Return the rules to explain; say on stderr what is wrong with rules."""
    report = load_rules(
        *configuration.rules.paths,
        compilers=compilers,
        schema=schema,
        strict=configuration.rules.strict,
    )
    note_rule_errors(report)
    known = {rule.rule_id for rule in report.rules}
    for rule_id in rule_ids:
        if rule_id not in known:
            note(f"kestrel: there is no rule `{rule_id}` in {_places(configuration)}")
    if not report.rules:
        note(f"kestrel: no rule was loaded from {_places(configuration)}")
    return [rule for rule in report.rules if not rule_ids or rule.rule_id in rule_ids]


def _places(configuration: Configuration) -> str:
    return ", ".join(map(str, configuration.rules.paths))


@attrs.frozen
class _Explanation:
    documents: Sequence[Document]
    most: int
    schema: SchemaRegistry
    settings: EventSettings
    report: ExplanationReport

    def explain(self, rule: Rule, problems: ProblemPrinter) -> None:
        """Print why a rule finds something, or nothing."""
        steps = (*rule.steps, *((rule.until,) if rule.until else ()))
        runtimes = {step.predicate.runtime for step in steps if isinstance(step.predicate, Program)}
        if runtimes:
            self.report.program(rule, sorted(runtimes)[0])
        elif isinstance(rule.body, EventRule):
            self.report.events(
                rule,
                explained_events(
                    rule, self.documents, self.most, self.schema, self.settings, problems
                ),
            )
        else:
            attempts = list(attempts_of(rule, self.documents, self.schema, self.settings, problems))
            self.report.attempts(rule, attempts, self.most)
