from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """All files of the repository: committed, or about to be."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    paths = (ROOT / name for name in listing.stdout.decode().split("\0") if name)
    found = [path for path in paths if path.is_file()]
    assert len(found) > 100
    return found


@pytest.fixture(scope="session")
def kernel_modules(files: list[Path]) -> dict[str, ast.Module]:
    return _modules(files, ROOT / "kestrel_framework", ROOT)


@pytest.fixture(scope="session")
def plugin_modules(files: list[Path]) -> dict[str, ast.Module]:
    modules: dict[str, ast.Module] = {}
    for source in [*ROOT.glob("plugins/*/src"), *ROOT.glob("examples/*/src")]:
        modules |= _modules(files, source, source)
    return modules


def _modules(files: list[Path], folder: Path, root: Path) -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in files
        if path.suffix == ".py" and path.is_relative_to(folder)
    }
