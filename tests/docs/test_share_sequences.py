"""The engines of the how-to about shared sequences find together what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "share-sequences.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", TEXT, re.DOTALL)
RUNS = re.findall(r"<!-- run -->\n```sh\n(.*?)```\n\n```text\n(.*?)```\n", TEXT, re.DOTALL)


@pytest.fixture
def server_url(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        problem = "`redis-server` is not installed (Debian: apt-get install redis-server)"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    socket = tmp_path / "redis.socket"
    options = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path))
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as server:
        try:
            for _ in range(1_000):
                if socket.exists():
                    break
                time.sleep(0.01)
            yield f"unix://{socket}?db=0"
        finally:
            server.kill()


def test_nothing_is_left_out() -> None:
    assert len(FILES) + 2 * len(RUNS) == TEXT.count("\n```\n") == 7


def test_the_engines_find_what_the_document_says(tmp_path: Path, server_url: str) -> None:
    for name, content in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    programs = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "KESTREL_STATE__URL": server_url,
    }
    for commands, expected in RUNS:
        done = subprocess.run(
            ["sh", "-eu", "-c", commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
