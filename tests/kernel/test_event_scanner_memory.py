"""The native scanner touches no memory that is not its own, whatever an event holds."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from kestrel_framework._pipeline import event_scanner

NAME = "kestrel_framework._pipeline.event_scanner._native"
SOURCE = Path(event_scanner.__file__).with_name("scanner.c")
TESTS = [
    str(Path(__file__).with_name(name))
    for name in ("test_event_scanner.py", "test_native_scanner.py")
]

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
@pytest.mark.skipif(not SOURCE.exists(), reason="the sources are not installed")
def test_no_wrong_access(tmp_path: Path) -> None:
    library = tmp_path / "_native.so"
    subprocess.run(
        [
            "gcc", "-std=c11", "-O1", "-g", "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined", "-fPIC", "-shared",
            f"-I{sysconfig.get_paths()['include']}", str(SOURCE), "-o", str(library),
        ],
        check=True,
    )  # fmt: skip
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(map(str, sanitizers())),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own, at its end
        "PYTHONMALLOC": "malloc",
    }
    outcome = subprocess.run(
        [sys.executable, "-c", RUN, NAME, str(library), *TESTS],
        env=environment,
        cwd=Path(__file__).parents[2],
        text=True,
        capture_output=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
