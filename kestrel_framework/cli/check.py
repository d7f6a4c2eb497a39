"""`kestrel check`: compile rules and run nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import click

from kestrel_framework._builtin.standard_output import stdout_for_results
from kestrel_framework.cli.exit_codes import ExitCode
from kestrel_framework.cli.json_lines import print_json, print_text
from kestrel_framework.cli.languages import all_compilers, load_registry
from kestrel_framework.cli.log_lines import log_to_stderr
from kestrel_framework.cli.messages import note, printable, rule_error_text
from kestrel_framework.cli.options import configuration_options, format_option, read_configuration
from kestrel_framework.cli.progress import progress
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.rule_loading import LoadedFile, read_packs

_FREQUENT_ERRORS: Final = 10


@click.command("check")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@click.option("--strict", is_flag=True, help="An unknown field is an error, not a warning.")
@format_option
@configuration_options
@stdout_for_results()
def command(
    paths: tuple[str, ...],
    strict: bool,
    output_format: str,
    config_file: Path | None,
    assignments: tuple[str, ...],
) -> int:
    """Compile the rules in files, folders and .tar.gz archives.

    With --format json there is one object a rule file. Exit code 1 says that a
    rule is not fine, or that there is none.
    """
    log_to_stderr()
    configuration = read_configuration(
        config_file, assignments, {"rules.strict": ("--strict", strict or None)}
    )
    registry = load_registry(configuration)
    fine = broken = 0
    errors: Counter[str] = Counter()
    with progress("checking", "files") as show:
        for file in read_packs(
            paths,
            compilers=all_compilers(configuration, registry),
            schema=registry.schema,
            strict=configuration.rules.strict,
            runtimes=registry.evaluators.names(),
        ):
            if output_format == "json":
                print_json(_object(file))
            else:
                _print(file)
            fine += not file.errors
            broken += bool(file.errors)
            errors.update(error.problem for error in file.errors)
            show(fine + broken, None)
    if fine + broken == 0:
        note(f"kestrel: no rule was found in {', '.join(paths)}")
    elif output_format == "text":
        _summarise(fine, broken, errors)
    return ExitCode.FINE if fine and not broken else ExitCode.NOT_FINE


def _object(file: LoadedFile) -> dict[str, object]:
    rule = file.rules[0] if file.rules else None
    return {
        "path": file.path,
        "rule_id": file.rule_ids[0] if file.rule_ids else None,
        "kind": rule.kind if rule else None,
        "ok": not file.errors,
        "errors": [_error_object(error, file.path) for error in file.errors],
        "warnings": [_error_object(warning, file.path) for warning in file.warnings],
        "fields": sorted({field for one in file.rules for field in one.fields}),
    }


def _error_object(error: RuleError, path: str) -> dict[str, object]:
    location = error.location or SourceLocation(path)
    elsewhere = "" if location.path == path else f"{location.path}: "
    return {
        "message": f"{elsewhere}{error.problem}",
        "line": location.line,
        "column": location.column,
    }


def _print(file: LoadedFile) -> None:
    for error in file.errors:
        print_text(printable(rule_error_text(error, "error")))
    for warning in file.warnings:
        print_text(printable(rule_error_text(warning, "warning")))


def _summarise(fine: int, broken: int, errors: Counter[str]) -> None:
    total = errors.total()
    if broken:
        print_text(f"{fine + broken} rule files: {fine} fine, {broken} not; {total} errors")
        repeated = [(problem, count) for problem, count in errors.most_common() if count > 1]
        for problem, count in repeated[:_FREQUENT_ERRORS]:
            print_text(f"{count:>6} x {printable(problem)}")
    else:
        print_text(f"{fine} rule {'file' if fine == 1 else 'files'}: all fine")
