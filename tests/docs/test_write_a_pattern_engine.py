"""The engine of the how-to about pattern engines works, and keeps the contract."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-pattern-engine.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", TEXT, re.DOTALL)
EVENTS = [
    {"event": {"category": "process"}, "process": {"name": name}} for name in ("bash", "zsh", "ls")
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Install what the page shows, without pip."""
    for name, content in FILES:
        (tmp_path / name).write_text(content, encoding="utf-8")
    distribution = tmp_path / "pieces-1.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: pieces\nVersion: 1.0\n")
    entry_points = "[kestrel.plugins]\npieces = pieces_plugin\n"
    (distribution / "entry_points.txt").write_text(entry_points)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nothing_is_left_out() -> None:
    assert len(FILES) == TEXT.count("\n```\n") == 3


def test_the_engine_keeps_the_contract(folder: Path) -> None:
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_pieces.py")
    assert done.returncode == 0, done.stdout


def test_the_engine_is_listed_and_used(folder: Path) -> None:
    kestrel = ("-m", "kestrel_framework.cli")
    listed = run(folder, *kestrel, "plugins", "--format", "json")
    plugins = [json.loads(line) for line in listed.stdout.splitlines()]
    offers = {plugin["name"]: plugin["offers"] for plugin in plugins}
    assert offers["pieces"] == {"pattern_engines": ["pieces"]}
    (folder / "shells.eql").write_text('process where process.name like ("*sh", "k?h")\n')
    (folder / "events.ndjson").write_text("\n".join(map(json.dumps, EVENTS)))
    files = ("--rules", "shells.eql", "--input", "events.ndjson")
    for settings in ((), ("--config", "kestrel.toml")):
        done = run(folder, *kestrel, "run", *files, "--format", "json", *settings)
        assert done.returncode == 0, done.stderr
        alerts = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(alerts) == 2, done.stdout
    unknown = run(folder, *kestrel, "run", *files, "--set", "engine.pattern_engine=peices")
    assert unknown.returncode == 2
    assert "engine.pattern_engine: there is no pattern engine `peices`" in unknown.stderr
    assert "did you mean `pieces`?" in unknown.stderr
