"""Alerts for people, on a terminal."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import attrs

from kestrel_framework._builtin.event_summary import event_summary
from kestrel_framework._builtin.safe_text import safe_text
from kestrel_framework._builtin.standard_output import (
    Sink,
    output_error,
    result_stream,
    standard_output,
)
from kestrel_framework.alert import Alert, Evidence
from kestrel_framework.errors import OutputError
from kestrel_framework.interfaces import PluginContext
from kestrel_framework.rule import RuleSeverity
from kestrel_framework.timestamps import format_timestamp

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_STYLES: Final = {
    RuleSeverity.LOW: "cyan",
    RuleSeverity.MEDIUM: "yellow",
    RuleSeverity.HIGH: "red",
    RuleSeverity.CRITICAL: "bold white on red",
}
_WIDTH_WITHOUT_TERMINAL: Final = 160
_NARROWEST: Final = 80
_TIME_WIDTH: Final = 20
_SEVERITY_WIDTH: Final = 8
_TECHNIQUE_WIDTH: Final = 10
_COLUMN_GAPS: Final = 8
_MOST_FIELDS: Final = 16


@attrs.frozen
class ConsoleOutputConfig:
    """How alerts look."""

    form: Literal["list", "table"] = attrs.field(
        default="list",
        metadata={
            "help": "`list` shows each alert with the fields its rule looked at, `table` in one "
            "row with what its events say."
        },
    )


class ConsoleOutput:
    """Shows alerts on standard output, in colour where that is a terminal.

    Texts of events are made harmless (`safe_text`); long ones are cut.
    """

    def __init__(self, config: ConsoleOutputConfig, context: PluginContext) -> None:
        self._form = config.form
        self._sink: Sink | None = None
        self._console: Console | None = None
        self._has_header = False

    def open(self) -> None:
        self._sink = standard_output()

    def write(self, alerts: Sequence[Alert]) -> None:
        if self._sink is None:
            raise OutputError("standard output: is not open")
        if not alerts:
            return
        data = self._rendered(alerts).encode(result_stream().encoding, "backslashreplace")
        while data:
            try:
                written = self._sink.write(data)
            except (OSError, ValueError) as error:
                raise output_error("standard output", error) from error
            if not written:
                raise OutputError("standard output: takes no more just now")
            data = data[written:]

    def flush(self) -> None:
        """Do nothing: `write` leaves nothing behind."""

    def close(self) -> None:
        self._sink = None

    def _rendered(self, alerts: Sequence[Alert]) -> str:
        # Importing rich takes a while, and many runs find nothing.
        self._console = self._console or _console()
        with self._console.capture() as captured:
            if self._form == "table":
                with_header, self._has_header = not self._has_header, True
                self._console.print(_table(alerts, self._console.width, with_header=with_header))
            else:
                for alert in alerts:
                    self._console.print(_description(alert), soft_wrap=True)
        return captured.get()


def _console() -> Console:
    from rich.console import Console

    width = shutil.get_terminal_size((_WIDTH_WITHOUT_TERMINAL, 0)).columns
    return Console(
        file=io.StringIO(),
        force_terminal=result_stream().isatty(),
        width=max(width, _NARROWEST),
        highlight=False,
        markup=False,
        emoji=False,
    )


def _description(alert: Alert) -> Text:
    from rich.text import Text

    rule = alert.rule
    text = Text()
    text.append(format_timestamp(alert.last_timestamp))
    text.append("  ")
    text.append(rule.severity.value.upper(), _STYLES[rule.severity])
    text.append("  ")
    text.append(safe_text(rule.name or rule.rule_id), "bold")
    text.append(f"  [{safe_text(rule.rule_id)}]{'  (shadow)' if alert.shadow else ''}\n", "dim")
    for technique in rule.threat:
        parts = (technique.technique_id, technique.technique_name)
        tactic = f" ({technique.tactic_name})" if technique.tactic_name else ""
        text.append(f"    ATT&CK  {safe_text(' '.join(filter(None, parts)) + tactic)}\n")
    if alert.join_keys:
        text.append(f"    by      {', '.join(_shown(key) for key in alert.join_keys)}\n")
    for number, item in enumerate(alert.evidence, 1):
        text.append(f"    event {number}")
        text.append(f" {_evidence(item)}\n" if item else " (none came, as the rule asks)\n")
    if alert.lost:
        lost = ", ".join(f"{count} {safe_text(cause)}" for cause, count in alert.lost.items())
        text.append(f"    lost    {lost}\n", "yellow")
    text.append(f"    alert   {alert.alert_id}\n", "dim")
    return text


def _table(alerts: Sequence[Alert], width: int, *, with_header: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    free = width - _TIME_WIDTH - _SEVERITY_WIDTH - _TECHNIQUE_WIDTH - _COLUMN_GAPS
    table = Table(box=None, show_header=with_header, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Time", width=_TIME_WIDTH)
    table.add_column("Severity", width=_SEVERITY_WIDTH)
    table.add_column("Rule", width=free * 2 // 5, overflow="fold")
    table.add_column("ATT&CK", width=_TECHNIQUE_WIDTH, overflow="fold")
    table.add_column("Evidence", width=free - free * 2 // 5, overflow="fold")
    for alert in alerts:
        rule = alert.rule
        techniques = dict.fromkeys(t.technique_id or t.tactic_id for t in rule.threat)
        table.add_row(
            format_timestamp(alert.last_timestamp)[: _TIME_WIDTH - 1] + "Z",
            Text(rule.severity.value, _STYLES[rule.severity]),
            Text(safe_text(rule.name or rule.rule_id)),
            Text(safe_text(" ".join(filter(None, techniques)))),
            Text("\n".join(event_summary(item.document) or _fields(item) for item in alert.events)),
        )
    return table


def _evidence(item: Evidence) -> str:
    return f"{format_timestamp(item.timestamp)} {_fields(item)}"


def _fields(item: Evidence) -> str:
    shown = [f"{safe_text(path)}={_shown(value)}" for path, value in item.fields.items()]
    left_out = len(shown) - _MOST_FIELDS
    more = [f"({left_out} more fields)"] if left_out > 0 else []
    return " ".join(shown[:_MOST_FIELDS] + more)


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_shown, value[:_MOST_FIELDS])) + "]"
    if isinstance(value, str):
        safe = safe_text(value)
        return f'"{safe}"' if not safe or " " in safe else safe
    return safe_text(str(value))
