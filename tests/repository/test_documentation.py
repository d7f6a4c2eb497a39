"""Documentation that is there, true, and leads somewhere."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kestrel_framework
from kestrel_framework import hookspecs

ROOT = Path(__file__).parents[2]
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("kestrel_"))
HEADINGS = ["Required:", "Called:", "Returns:", "Conflicts:", "Errors:", "Example:", "Contract:"]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_says_all_that_authors_look_for(name: str) -> None:
    text = inspect.cleandoc(getattr(hookspecs, name).__doc__ or "")
    places = [re.search(rf"^{heading}", text, re.MULTILINE) for heading in HEADINGS]
    assert [h for h, place in zip(HEADINGS, places, strict=True) if place is None] == []
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts), "the headings have a fixed order"
    assert ".. versionadded:: API " in text


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_names_a_contract_that_exists(name: str) -> None:
    from kestrel_framework import testing

    contract = re.search(r"kestrel_framework\.testing\.(\w+)", getattr(hookspecs, name).__doc__)
    assert contract is not None
    assert inspect.isclass(getattr(testing, contract[1]))


def test_every_public_name_can_be_imported_and_stands_in_the_reference() -> None:
    pages = [
        (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
        for name in ("python-api.md", "hooks-and-interfaces.md", "errors.md")
    ]
    headings = {line for page in pages for line in page.splitlines() if line.startswith("##")}
    for name in kestrel_framework.__all__:
        assert getattr(kestrel_framework, name) is not None
        assert f"## {name}" in headings, f"{name} is not in the reference; run `make docs`"


def test_the_package_tells_type_checkers_what_it_exports() -> None:
    tree = ast.parse(Path(kestrel_framework.__file__).read_text(encoding="utf-8"))
    declared = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.If)
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert declared == set(kestrel_framework.__all__)


def test_the_generated_reference_is_up_to_date() -> None:
    outcome = subprocess.run(
        [sys.executable, "docs/generate_reference.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.returncode == 0, outcome.stderr


def undocumented(module: str, tree: ast.Module) -> Iterator[str]:
    if tree.body and ast.get_docstring(tree) is None:
        yield module
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            decorators = {ast.unparse(item).partition("(")[0] for item in node.decorator_list}
            if ast.get_docstring(node) is None and not decorators & {"hookimpl", "overload"}:
                yield f"{module}.{node.name}"


def test_every_module_class_and_function_says_what_it_is_for(
    kernel_modules: dict[str, ast.Module], plugin_modules: dict[str, ast.Module]
) -> None:
    found = [
        name
        for module, tree in (kernel_modules | plugin_modules).items()
        for name in undocumented(module, tree)
    ]
    assert found == []


def anchors_of(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_between_documents_lead_somewhere(files: list[Path]) -> None:
    broken = []
    documents = [path for path in files if path.suffix == ".md"]
    assert documents
    for path in documents:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"https?:|mailto:", target):
                continue
            name, _, anchor = target.partition("#")
            aim = (path.parent / name).resolve() if name else path
            if not aim.exists():
                broken.append(f"{path.relative_to(ROOT)} -> {target}")
            elif anchor and anchor not in anchors_of(aim.read_text(encoding="utf-8")):
                broken.append(f"{path.relative_to(ROOT)} -> {target} (no such heading)")
    assert broken == []


def test_every_document_can_be_reached_from_the_index() -> None:
    waiting = [ROOT / "docs" / "README.md"]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".md" or not path.exists():
            continue
        seen.add(path)
        links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        waiting += [(path.parent / link).resolve() for link in links if "://" not in link]
    documents = set((ROOT / "docs").rglob("*.md"))
    assert sorted(str(path.relative_to(ROOT)) for path in documents - seen) == []
