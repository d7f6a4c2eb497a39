"""What the README shows is what comes out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def shape(line: str) -> str:
    """Return a line without what another recording of the same attack would change."""
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", line.rstrip())


def test_the_picture_of_the_output_is_true() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    picture = re.search(r"```text\n(Time .*?)```", readme, re.DOTALL)
    assert picture is not None
    outcome = subprocess.run(
        [
            *(sys.executable, "-m", "kestrel_framework.cli", "run"),
            *("--rules", "examples/rules", "--input", "examples/captures/rehearsal.ndjson.gz"),
            *("--set", "outputs.console.type=console", "--set", "outputs.console.form=table"),
        ],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.returncode == 0, outcome.stderr
    shown = [shape(line) for line in outcome.stdout.splitlines()]
    place = 0
    for line in picture[1].splitlines():
        assert shape(line) in shown[place:], f"not in the output, or not in this order: {line}"
        place += shown[place:].index(shape(line)) + 1


def test_the_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"^(?:sudo )?kestrel (\w+)", readme, re.MULTILINE))
    assert {"run", "check", "query", "plugins", "record"} <= commands
    for command in commands:
        outcome = subprocess.run(
            [sys.executable, "-m", "kestrel_framework.cli", command, "--help"],
            capture_output=True,
            timeout=60,
        )
        assert outcome.returncode == 0, command


def test_the_rule_of_the_readme_compiles(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rule = re.search(r"```eql\n(.*?)```", readme, re.DOTALL)
    assert rule is not None
    (tmp_path / "readme.eql").write_text(rule[1], encoding="utf-8")
    outcome = subprocess.run(
        [sys.executable, "-m", "kestrel_framework.cli", "check", "--strict", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
