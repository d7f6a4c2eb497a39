"""`kestrel plugins`: what is installed, and why something is broken."""

from __future__ import annotations

from pathlib import Path

import click

from kestrel_framework._builtin.standard_output import stdout_for_results
from kestrel_framework._plugins.registry import PluginRecord, PluginRegistry
from kestrel_framework.cli.json_lines import print_json, print_text
from kestrel_framework.cli.log_lines import log_to_stderr
from kestrel_framework.cli.messages import printable
from kestrel_framework.cli.options import configuration_options, format_option, read_configuration


@click.command("plugins")
@format_option
@configuration_options
@stdout_for_results()
def command(output_format: str, config_file: Path | None, assignments: tuple[str, ...]) -> int:
    """List every installed plugin: version, API, what it offers, and why it is broken."""
    log_to_stderr()
    plugins = read_configuration(config_file, assignments).plugins
    records = PluginRegistry.load(allow=plugins.allow, deny=plugins.deny).plugins
    if output_format == "json":
        for record in records:
            print_json(_object(record))
    else:
        _print_table(records)
    return 0


def _object(record: PluginRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "version": record.version or None,
        "api": str(record.api) if record.api else None,
        "offers": {kind: list(names) for kind, names in record.offers.items()},
        "state": record.state.value,
        "problem": record.problem or None,
    }


def _print_table(records: tuple[PluginRecord, ...]) -> None:
    rows = [["NAME", "VERSION", "API", "STATE", "OFFERS"]]
    for record in records:
        offers = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in record.offers.items())
        api = str(record.api) if record.api else "-"
        cells = [record.name, record.version or "-", api, record.state.value, offers or "-"]
        rows.append([printable(cell) for cell in cells])
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print_text("  ".join([*cells, row[-1]]))
    for record in records:
        if record.problem:
            print_text(f"{printable(record.name)}: {printable(record.problem)}")
