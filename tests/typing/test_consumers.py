"""Code that uses the public names must type-check, and mistakes must be found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def findings() -> str:
    outcome = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(FOLDER)],
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert outcome.returncode in (0, 1), outcome.stderr
    return outcome.stdout


@pytest.mark.parametrize("name", ["embedder", "plugin_author", "mistakes"])
def test_consumer_code_type_checks(findings: str, name: str) -> None:
    assert [line for line in findings.splitlines() if f"{name}.py:" in line] == []


def test_the_kernel_shows_no_errors_to_its_consumers(findings: str) -> None:
    assert [line for line in findings.splitlines() if "kestrel_framework/" in line] == []
