"""`kestrel query`: search files of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

import attrs
import click

from kestrel_framework._builtin.standard_output import stdout_for_results
from kestrel_framework.cli.event_files import read_documents
from kestrel_framework.cli.exit_codes import ExitCode
from kestrel_framework.cli.json_lines import print_json, print_text
from kestrel_framework.cli.languages import compiler_for, load_registry
from kestrel_framework.cli.log_lines import log_to_stderr
from kestrel_framework.cli.messages import ProblemPrinter, note, printable, rule_error_text
from kestrel_framework.cli.options import (
    ListCommand,
    ListOption,
    configuration_options,
    format_option,
    read_configuration,
)
from kestrel_framework.cli.progress import progress
from kestrel_framework.cli.search_schema import search_schema
from kestrel_framework.errors import SourceLocation
from kestrel_framework.event import Document, EventSettings, TimestampUnit
from kestrel_framework.query import SearchResult, search
from kestrel_framework.rule import RuleMetadata, RuleSource
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.values import text_of

_PLACE: Final = "query"


@click.command("query", cls=ListCommand)
@click.argument("query")
@click.option(
    "--input",
    "inputs",
    cls=ListOption,
    metavar="FILE",
    help="Files of JSON lines, or of one JSON list; .gz and .zst work; - is standard input. "
    "Several may follow. Default: standard input.",
)
@click.option("--language", default="eql", show_default=True, help="The language of the query.")
@click.option(
    "--dialect",
    type=click.Choice(("elastic", "endgame")),
    help="The dialect of the language, where it has several. Default: the language's own.",
)
@click.option("--timestamp-field", metavar="NAME", help="Event time. Default: @timestamp.")
@click.option(
    "--timestamp-unit",
    type=click.Choice(get_args(TimestampUnit)),
    help="How the timestamp field counts. Default: iso.",
)
@click.option("--tiebreaker-field", metavar="NAME", help="Orders events of one timestamp.")
@click.option("--category-field", metavar="NAME", help="Event types. Default: event.category.")
@click.option(
    "--schema",
    "schema_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="JSON that says what fields are. Others keep the type that their values have.",
)
@click.option(
    "--size",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="The most results.",
)
@click.option(
    "--max-samples-per-key",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="The most samples with the same join keys.",
)
@click.option(
    "--case-sensitive/--case-insensitive",
    default=None,
    help="Whether comparisons regard case. Default: what the dialect does.",
)
@click.option("--fields", metavar="A,B", help="Cut the documents down to these fields.")
@format_option
@configuration_options
@stdout_for_results()
def command(
    query: str,
    inputs: tuple[str, ...],
    language: str,
    dialect: str | None,
    timestamp_field: str | None,
    timestamp_unit: str | None,
    tiebreaker_field: str | None,
    category_field: str | None,
    schema_file: Path | None,
    size: int,
    max_samples_per_key: int,
    case_sensitive: bool | None,
    fields: str | None,
    output_format: str,
    config_file: Path | None,
    assignments: tuple[str, ...],
) -> int:
    """Search files of events with one QUERY, and print what it finds.

    Events are sorted by time and tiebreaker first. With --format json there is
    one object a result: its events, null for a missing step, and its join keys.
    """
    log_to_stderr()
    configuration = read_configuration(
        config_file,
        assignments,
        {
            "events.timestamp_field": ("--timestamp-field", timestamp_field),
            "events.timestamp_unit": ("--timestamp-unit", timestamp_unit),
            "events.tiebreaker_field": ("--tiebreaker-field", tiebreaker_field),
            "events.category_field": ("--category-field", category_field),
        },
    )
    schema = search_schema(schema_file)
    settings = _resolved(configuration.events, schema)
    compiler = compiler_for(language, configuration, load_registry(configuration))
    options = {"dialect": dialect} if dialect is not None else {}
    if case_sensitive is not None:
        options["case"] = "sensitive" if case_sensitive else "insensitive"
    source = RuleSource(
        RuleMetadata(_PLACE), language, query, SourceLocation(_PLACE, 1, 1), options
    )
    rule = compiler.compile(source, schema)
    for warning in rule.warnings:
        note(rule_error_text(warning, "warning"))
    problems = ProblemPrinter()
    with progress("reading") as show:
        documents = read_documents(inputs or ("-",), problems, show)
    try:
        results = search(
            rule,
            documents,
            settings=settings,
            schema=schema,
            size=size,
            max_samples_per_key=max_samples_per_key,
        )
    finally:
        problems.summarise()
    paths = _paths(fields, schema) if fields else None
    for number, result in enumerate(results, start=1):
        events = [_cut(event, paths) for event in result.events]
        if output_format == "json":
            print_json({"events": events, "join_keys": list(result.join_keys)})
        else:
            _print(number, result, events)
    if output_format == "text":
        noun = "result" if len(results) == 1 else "results"
        note(f"{len(results)} {noun} in {len(documents)} events")
    return ExitCode.FINE


def _resolved(settings: EventSettings, schema: SchemaRegistry) -> EventSettings:
    """Return the settings with the fields that the schema's aliases stand for."""

    def target(path: str) -> str:
        definition = schema.field(path)
        return definition.path if definition is not None else path

    tiebreaker = settings.tiebreaker_field
    return attrs.evolve(
        settings,
        timestamp_field=target(settings.timestamp_field),
        category_field=target(settings.category_field),
        tiebreaker_field=tiebreaker and target(tiebreaker),
    )


def _paths(fields: str, schema: SchemaRegistry) -> list[list[str]]:
    """Return where in a document the fields are; an alias is where its field is."""
    paths = []
    for path in map(str.strip, fields.split(",")):
        known = schema.field(path)
        paths.append((known.path if known else path).split("."))
    return paths


def _cut(document: Document | None, paths: Sequence[Sequence[str]] | None) -> object:
    """Return a document with the fields at `paths` only."""
    if document is None or paths is None:
        return document
    return _kept(document, paths)


def _kept(value: object, paths: Sequence[Sequence[str]]) -> object:
    """Return what lies at `paths` in a value, in the same shape."""
    if any(not path for path in paths):
        return value
    if isinstance(value, Mapping):
        kept = {}
        for key, inner in value.items():
            below = [path[1:] for path in paths if path[0] == key]
            if below and (part := _kept(inner, below)) is not None:
                kept[key] = part
            elif below and inner is None and [] in below:
                kept[key] = None
        return kept
    if isinstance(value, (list, tuple)):
        return [part for item in value if (part := _kept(item, paths)) is not None]
    return None


def _print(number: int, result: SearchResult, events: Sequence[object]) -> None:
    keys = ", ".join("null" if key is None else text_of(key) for key in result.join_keys)
    print_text(f"#{number}{f'  by {printable(keys)}' if keys else ''}")
    for event in events:
        if event is None:
            print_text("  (no such event)")
        else:
            values = (f"{path}={value}" for path, value in _leaves(event, ""))
            print_text("  " + printable("  ".join(values)).replace("\n", "\\n"))


def _leaves(value: object, path: str) -> list[tuple[str, object]]:
    if isinstance(value, Mapping):
        return [
            leaf
            for key, inner in value.items()
            for leaf in _leaves(inner, f"{path}.{key}" if path else str(key))
        ]
    return [(path, value)]
