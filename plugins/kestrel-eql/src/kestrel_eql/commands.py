"""`kestrel eql`: what the plugin adds to the command line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from kestrel_eql.dialect import Dialect
from kestrel_eql.eql_file import read_eql_file
from kestrel_eql.parser import parse_into
from kestrel_eql.problems import Problems, TextPlaces
from kestrel_eql.rule_file_formatter import format_rule_file
from kestrel_eql.rule_paths import read_file, replace_file, rule_paths
from kestrel_eql.rule_toml import read_rule_toml
from kestrel_eql.syntax_report import SyntaxReport
from kestrel_eql.toml_text import MAX_FILE_BYTES
from kestrel_framework.cli.exit_codes import ExitCode, code_for
from kestrel_framework.cli.json_lines import print_json, print_text
from kestrel_framework.cli.messages import print_error, printable
from kestrel_framework.cli.options import format_option
from kestrel_framework.errors import InputError, KestrelError, RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import RuleMetadata, RuleSource

_STDIN: Final = "standard input"
_QUERY: Final = "query"


@click.group("eql")
def command() -> None:
    """Print and format EQL."""


# --- parse ----------------------------------------------------------------------


@command.command("parse")
@click.argument("query", required=False)
@click.option("--file", "file", metavar="PATH", help="Take the query of this rule file.")
@click.option(
    "--dialect",
    type=click.Choice([dialect.value for dialect in Dialect]),
    help="The dialect. Default: what the file says, else elastic.",
)
@format_option
def parse_command(
    query: str | None, file: str | None, dialect: str | None, output_format: str
) -> int:
    """Print the syntax tree of a query: QUERY, a rule file, or standard input (`-`).

    Each node has its place, line and column. With --format json there is one object a
    query. Exit code 1 says that the query is not EQL.
    """
    if (query is None) == (file is None):
        raise click.UsageError("give either a query, - or --file PATH")
    for source in _sources(query, file):
        name = dialect or source.options.get("dialect", Dialect.ELASTIC.value)
        problems = Problems(TextPlaces(source.text, source.location))
        tree = parse_into(source.text, problems, _dialect(name, source))
        if tree is None or problems:
            problems.throw()
        report = SyntaxReport(source.text, source.location)
        if output_format == "json":
            place = {"path": source.location.path, "rule_id": source.metadata.rule_id or None}
            print_json({**place, "dialect": name, "query": report.as_json(tree)})
        else:
            for line in report.as_lines(tree):
                print_text(printable(line))
    return ExitCode.FINE


def _sources(query: str | None, file: str | None) -> list[RuleSource]:
    if file is not None:
        return _read_rules(RuleFile(file, read_file(Path(file)).content))
    if query == "-":
        return _read_rules(RuleFile(_STDIN, _read_stdin()))
    return [RuleSource(RuleMetadata(""), "eql", query or "", SourceLocation(_QUERY, 1, 1))]


def _read_rules(file: RuleFile) -> list[RuleSource]:
    is_toml = file.path.lower().endswith(".toml")
    sources = list(read_rule_toml(file)) if is_toml else [read_eql_file(file)]
    if not sources:
        raise RuleError("there is no rule in the file", SourceLocation(file.path))
    for source in sources:
        if source.language != "eql":
            problem = f"the rule is in the language `{source.language}`, not in EQL"
            raise RuleError(problem, source.location)
    return sources


def _dialect(name: str, source: RuleSource) -> Dialect:
    try:
        return Dialect(name)
    except ValueError:
        known = " and ".join(dialect.value for dialect in Dialect)
        problem = f"unknown dialect `{name}`; there is {known}"
        raise RuleError(problem, source.location) from None


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise InputError(f"{_STDIN}: is closed")
    try:
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{_STDIN}: cannot be read: {error}") from error


# --- format ---------------------------------------------------------------------


@command.command("format")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.option("--check", is_flag=True, help="Write nothing; name what would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def format_command(paths: tuple[str, ...], check: bool, diff: bool) -> int:
    """Give rules the usual layout, without changing what they mean.

    Formats .eql files, and the queries in rule files in TOML, where they are; folders are
    searched for them. Prints the name of each file that changes. With `-`, or no path,
    formats standard input to standard output.

    With --check, exit code 1 says that a file would change. A file that is not EQL is
    reported and left alone (exit code 1), and so is one that cannot be read or written (3);
    the others are formatted.
    """
    if not paths and _stdin_is_terminal():
        raise click.UsageError("name files or folders, or send a rule to standard input")
    run = _FormatRun(check=check, diff=diff)
    if paths in ((), ("-",)):
        run.format_stdin()
    elif "-" in paths:
        raise click.UsageError("standard input (-) cannot be formatted beside files")
    else:
        run.format_paths(paths)
    return run.code


class _FormatRun:
    """Formats one input after the other; `code` is the exit code so far."""

    def __init__(self, *, check: bool, diff: bool) -> None:
        self.code = ExitCode.FINE
        self._check = check
        self._diff = diff

    def format_stdin(self) -> None:
        """Format standard input to standard output."""
        content = _read_stdin()
        formatted = format_rule_file(RuleFile(_STDIN, content))
        if self._check or self._diff:
            if formatted != content:
                self._report_change(_STDIN, content, formatted)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(formatted)

    def format_paths(self, paths: tuple[str, ...]) -> None:
        """Format files; a problem with one is no problem for the others."""
        number = 0
        for path in rule_paths(paths):
            number += 1
            try:
                if isinstance(path, InputError):
                    raise path
                self._format_file(path)
            except (KestrelError, ExceptionGroup) as error:
                self._note(error)
        if not number:
            self._note(InputError(f"no rule file was found in {', '.join(paths)}"))

    def _format_file(self, path: Path) -> None:
        old = read_file(path)
        formatted = format_rule_file(RuleFile(old.path, old.content))
        if formatted == old.content:
            return
        if not self._check and not self._diff:
            replace_file(old, formatted)
        self._report_change(old.path, old.content, formatted)

    def _report_change(self, path: str, old: bytes, new: bytes) -> None:
        if self._check:
            self.code = max(self.code, ExitCode.NOT_FINE)
        if self._diff:
            for line in _unified_diff(path, old, new):
                print_text(printable(line))
        else:
            print_text(printable(path))

    def _note(self, error: KestrelError | ExceptionGroup[Exception]) -> None:
        print_error(error)
        self.code = max(self.code, code_for(error))


def _unified_diff(path: str, old: bytes, new: bytes) -> Iterator[str]:
    for line in difflib.unified_diff(_lines(old), _lines(new), path, path):
        yield line.rstrip("\r\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _lines(content: bytes) -> list[str]:
    *lines, last = content.decode().split("\n")
    return [*(f"{line}\n" for line in lines), *([last] if last else [])]


def _stdin_is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
