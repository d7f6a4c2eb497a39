"""The example rules over a recorded attack that others recorded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework import Detector, EventBatch, load_rules

PACK = Path(__file__).resolve().parents[2] / "examples/rules/linux-behaviour"
CORPUS = os.environ.get("KESTREL_CORPUS")


@pytest.mark.skipif(CORPUS is None, reason="KESTREL_CORPUS names no folder of recorded attacks")
def test_a_shell_started_through_a_web_server_is_found() -> None:
    lines = (Path(CORPUS or "") / "linux/shellshock.ndjson").read_bytes().splitlines()
    alerts = Detector(load_rules(PACK, compilers=[EqlCompiler()])).feed(EventBatch(payloads=lines))
    assert {alert.rule.rule_id for alert in alerts} == {"web-program-shell"}
    ((first, second),) = [alert.events for alert in alerts]
    assert first.fields["process.parent.name"] == "apache2"
    assert second.fields["process.args"] == ["/bin/bash", "-c", "cat", "/etc/passwd"]
