"""The builtin output for people: readable, and safe from what events contain."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._builtin.console_output import ConsoleOutput, ConsoleOutputConfig
from kestrel_framework._builtin.safe_text import safe_text
from kestrel_framework.alert import Alert
from kestrel_framework.rule import RuleSeverity
from kestrel_framework.testing import OutputHandlerContract, make_alert, make_context


def shown(capfd: pytest.CaptureFixture[str], *alerts: Alert, form: str = "list") -> str:
    output = ConsoleOutput(ConsoleOutputConfig(form=form), make_context())  # type: ignore[arg-type]
    output.open()
    output.write(alerts)
    output.flush()
    output.close()
    return capfd.readouterr().out


class TestConsoleOutput(OutputHandlerContract):
    @pytest.fixture
    def output(self, capfd: pytest.CaptureFixture[str]) -> ConsoleOutput:
        return ConsoleOutput(ConsoleOutputConfig(), make_context())

    @pytest.fixture
    def delivered(self, capfd: pytest.CaptureFixture[str]) -> Callable[[], Sequence[str]]:
        seen: list[str] = []

        def ids() -> Sequence[str]:
            seen.extend(re.findall(r"(?m)^    alert   ([0-9a-f]{32})$", capfd.readouterr().out))
            return seen

        return ids


def test_shows_what_matters(capfd: pytest.CaptureFixture[str]) -> None:
    alert = make_alert(1, fields={"process.name": "bash", "process.args": ["bash", "-c", "a b"]})
    assert shown(capfd, alert) == (
        "2027-01-15T08:00:01.000Z  HIGH  A rule for tests  [test.rule]\n"
        "    ATT&CK  T1059.004 Unix Shell (Execution)\n"
        '    event 1 2027-01-15T08:00:01.000Z process.name=bash process.args=[bash, -c, "a b"]\n'
        f"    alert   {alert.alert_id}\n\n"
    )


def test_shows_a_missing_event_keys_and_losses(capfd: pytest.CaptureFixture[str]) -> None:
    plain = make_alert(1)
    alert = Alert(
        plain.rule,
        plain.revision,
        plain.semantic_hash,
        (None, *plain.evidence),
        join_keys=("host-1", 5, None),
        lost={"line_too_long": 3},
        shadow=True,
    )
    text = shown(capfd, alert)
    assert "[test.rule]  (shadow)" in text
    assert "    event 1 (none came, as the rule asks)\n    event 2 2027" in text
    assert "    by      host-1, 5, None\n" in text
    assert "    lost    3 line_too_long\n" in text


def test_a_table_has_one_header_and_rows_of_one_width(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    output = ConsoleOutput(ConsoleOutputConfig(form="table"), make_context())
    output.open()
    for number in range(3):
        output.write([make_alert(number, severity=RuleSeverity.LOW)])
    output.write([])
    output.close()
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["Time", "Severity", "Rule", "ATT&CK", "Evidence"]
    assert [line.split()[:3] for line in lines[1:]] == [
        [f"2027-01-15T08:00:0{number}Z", "low", "A"] for number in range(3)
    ]
    assert {line.index("T1059.004") for line in lines[1:]} == {lines[0].index("ATT&CK")}
    assert {line.index("/usr/bin/bash") for line in lines[1:]} == {lines[0].index("Evidence")}
    assert max(map(len, lines)) <= 120


HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n\x00\x9b31m\u202egnp.exe\u2066\u200b\u2028[bold]x[/] :boom:"


@pytest.mark.parametrize("form", ["list", "table"])
def test_what_an_attacker_writes_does_not_reach_the_terminal(
    capfd: pytest.CaptureFixture[str], form: str
) -> None:
    alert = make_alert(
        rule_id=HOSTILE,
        fields={HOSTILE: HOSTILE, "list": [HOSTILE, {HOSTILE: 1}]},
        document={"process": {"command_line": HOSTILE, "parent": {"name": HOSTILE}}},
    )
    text = shown(capfd, alert, form=form)
    for character in text:
        assert character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp")
    joined = re.sub(r"\s", "", text)
    assert r"\x1b[2J\x1b]0;owned\x07\r\n\x00\x9b31m\u202egnp.exe\u2066\u200b\u2028" in joined
    assert "[bold]x[/]:boom:" in joined


@given(st.text(st.characters()), st.integers(1, 30))
def test_safe_text_is_one_printable_line(text: str, max_length: int) -> None:
    safe = safe_text(text, max_length)
    assert all(
        unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in safe
    )
    safe.encode()
    if len(text) > max_length:
        assert safe.endswith(f"... ({len(text) - max_length} more)")
    elif text.isprintable():
        assert safe == text


def test_many_fields_and_long_texts_are_cut(capfd: pytest.CaptureFixture[str]) -> None:
    fields: dict[str, object] = {f"field{number}": "x" * 5000 for number in range(40)}
    text = shown(capfd, make_alert(fields=fields))
    assert "(24 more fields)" in text
    assert "... (4600 more)" in text
    assert len(text) < 10_000


SHOW = """
import sys
from kestrel_framework._builtin.console_output import ConsoleOutput, ConsoleOutputConfig
from kestrel_framework.errors import OutputError
from kestrel_framework.testing import make_alert, make_context
output = ConsoleOutput(ConsoleOutputConfig(), make_context())
try:
    output.open()
    output.write([make_alert(fields={"process.name": "b\\u00e4sh"})])
    output.flush()
except OutputError as error:
    sys.exit(f"problem: {error}")
"""


def test_a_full_disk_is_one_clear_error() -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-c", SHOW],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr == (
        "problem: standard output: cannot be written: no space left on device\n"
    )


@pytest.mark.parametrize(("encoding", "name"), [("utf-8", "bäsh"), ("ascii", r"b\xe4sh")])
def test_writes_in_the_encoding_of_standard_output(encoding: str, name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SHOW],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        check=True,
    )
    assert f"process.name={name}\n" in result.stdout.decode()
    assert b"\x1b" not in result.stdout, "colours are for terminals"


def test_colours_a_terminal() -> None:
    controller, terminal = os.openpty()
    subprocess.run(
        [sys.executable, "-c", SHOW],
        stdout=terminal,
        env=os.environ | {"TERM": "xterm-256color"} | {"NO_COLOR": ""},
        check=True,
    )
    os.close(terminal)
    shown_there = os.read(controller, 10_000).decode()
    os.close(controller)
    assert "\x1b[31mHIGH\x1b[0m" in shown_there
