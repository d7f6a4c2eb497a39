"""Who may import whom, where import-linter cannot say it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = "kestrel_framework"


def imports_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield each imported name with its line: `a.b` for `import a.b` and for `from a import b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def test_plugins_import_public_names_of_the_kernel_alone(
    plugin_modules: dict[str, ast.Module],
) -> None:
    found = [
        f"{module}:{line} imports {name}"
        for module, tree in plugin_modules.items()
        for line, name in imports_of(tree)
        if name.startswith(f"{KERNEL}.") and private(name)
    ]
    assert found == []


def test_plugins_do_not_import_each_other(plugin_modules: dict[str, ast.Module]) -> None:
    packages = {module.split(".")[0] for module in plugin_modules}
    assert len(packages) >= 3
    found = [
        f"{module}:{line} imports {name}"
        for module, tree in plugin_modules.items()
        for line, name in imports_of(tree)
        if name.split(".")[0] in packages - {module.split(".")[0]}
    ]
    assert found == []


def test_the_kernel_imports_no_plugin(
    kernel_modules: dict[str, ast.Module], plugin_modules: dict[str, ast.Module]
) -> None:
    packages = {module.split(".")[0] for module in plugin_modules}
    found = [
        f"{module}:{line} imports {name}"
        for module, tree in kernel_modules.items()
        for line, name in imports_of(tree)
        if name.split(".")[0] in packages
    ]
    assert found == []


def test_only_tests_import_the_contract_kit(
    kernel_modules: dict[str, ast.Module], plugin_modules: dict[str, ast.Module]
) -> None:
    kit = f"{KERNEL}.testing"
    found = [
        f"{module}:{line} imports {name}"
        for module, tree in (kernel_modules | plugin_modules).items()
        if not f"{module}.".startswith(f"{kit}.")
        for line, name in imports_of(tree)
        if f"{name}.".startswith(f"{kit}.")
    ]
    assert found == []


def test_tests_of_a_plugin_use_public_names_alone(files: list[Path]) -> None:
    found = []
    for path in files:
        parts = path.relative_to(ROOT).parts
        if path.suffix == ".py" and parts[0] in ("plugins", "examples") and "tests" in parts:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [
                f"{path.relative_to(ROOT)}:{line} imports {name}"
                for line, name in imports_of(tree)
                if name.startswith(f"{KERNEL}.") and private(name)
            ]
    assert found == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kestrel_framework.rule.Rule", False),
        ("kestrel_framework._pipeline.flow", True),
        ("kestrel_framework.values._fold", True),
        ("kestrel_framework.__version__", False),
    ],
)
def test_a_leading_underscore_anywhere_is_private(name: str, expected: bool) -> None:
    assert private(name) is expected
