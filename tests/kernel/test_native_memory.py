"""Native modules touch no memory that is not their own, whatever they are given."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import kestrel_framework

ROOT = Path(kestrel_framework.__file__).parents[1]
SOURCES = {
    "kestrel_framework/_pipeline/event_scanner/scanner.c": [
        "test_event_scanner.py",
        "test_native_scanner.py",
    ],
    "kestrel_framework/_builtin/pattern_engine/literal_finder.c": [
        "test_literal_finder.py",
        "test_pattern_engine.py",
    ],
}

RUN = """
import importlib.machinery, importlib.util, sys
import pytest

name, library, *tests = sys.argv[1:]

class Finder:
    @staticmethod
    def find_spec(wanted, path=None, target=None):
        if wanted == name:
            loader = importlib.machinery.ExtensionFileLoader(name, library)
            return importlib.util.spec_from_file_location(name, library, loader=loader)

sys.meta_path.insert(0, Finder)
result = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests])
assert sys.modules[name].__file__ == library
sys.exit(result)
"""


def sanitizers() -> list[Path]:
    """Return the libraries that find wrong accesses; none where the compiler has none."""
    try:
        found = [
            Path(subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip())
            for name in ("libasan.so", "libubsan.so")
        ]
    except OSError:
        return []
    return found if all(path.is_absolute() for path in found) else []


@pytest.mark.slow
@pytest.mark.skipif(not sanitizers(), reason="there is no gcc with sanitizers here")
@pytest.mark.parametrize(("source", "tests"), SOURCES.items(), ids=SOURCES)
def test_no_wrong_access(source: str, tests: list[str], tmp_path: Path) -> None:
    if not (ROOT / source).exists():
        pytest.skip("the sources are not installed")
    name = ".".join((*Path(source).parent.parts, "_native"))
    library = tmp_path / "_native.so"
    subprocess.run(
        [
            "gcc", "-std=c11", "-O1", "-g", "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined", "-fPIC", "-shared",
            f"-I{sysconfig.get_paths()['include']}", str(ROOT / source), "-o", str(library),
        ],
        check=True,
    )  # fmt: skip
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(map(str, sanitizers())),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own, at its end
        "PYTHONMALLOC": "malloc",
    }
    files = [str(Path(__file__).with_name(test)) for test in tests]
    outcome = subprocess.run(
        [sys.executable, "-c", RUN, name, str(library), *files],
        env=environment,
        cwd=Path(__file__).parents[2],
        text=True,
        capture_output=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
