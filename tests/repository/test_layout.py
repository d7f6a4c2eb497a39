"""What every distribution and every file of the repository has."""

from __future__ import annotations

import gzip
import re
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import zstandard

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/pyproject.toml"))
DISTRIBUTIONS = [*PLUGINS, *EXAMPLES]

each_distribution = pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda path: path.name)


def project_of(folder: Path) -> dict[str, object]:
    with (folder / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert isinstance(project, dict)
    return project


def test_every_folder_of_plugins_is_a_distribution() -> None:
    folders = [path for path in (ROOT / "plugins").iterdir() if path.is_dir()]
    assert sorted(folders) == PLUGINS
    assert len(PLUGINS) >= 2


@each_distribution
def test_the_development_environment_holds_it(folder: Path) -> None:
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    assert f"-e {folder.relative_to(ROOT)}" in lines


@each_distribution
def test_it_has_what_a_distribution_needs(folder: Path) -> None:
    project = project_of(folder)
    package = folder / "src" / folder.name.replace("-", "_")
    assert project["name"] == folder.name
    assert project["requires-python"] == ">=3.11"
    assert project["license"] == "Apache-2.0"
    dependencies = project["dependencies"]
    assert isinstance(dependencies, list)
    assert any(re.fullmatch(r"kestrel-framework>=\d+\.\d+,<\d+", text) for text in dependencies)
    assert (package / "py.typed").is_file()
    assert len((folder / "README.md").read_text(encoding="utf-8").splitlines()) >= 5
    assert list((folder / "tests").rglob("test_*.py")), "it has no test"


@each_distribution
def test_its_plugin_module_says_which_interfaces_it_was_written_for(folder: Path) -> None:
    entry_points = project_of(folder)["entry-points"]
    assert isinstance(entry_points, dict)
    modules = entry_points["kestrel.plugins"].values()
    assert modules
    for module in modules:
        base = folder / "src" / Path(*module.split("."))
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        assert re.search(
            r'^KESTREL_API(: Final)? = "\d+\.\d+"$', path.read_text(encoding="utf-8"), re.MULTILINE
        ), f"{module} does not state KESTREL_API"


def test_the_kernel_requires_nothing_that_serves_one_capability() -> None:
    dependencies = project_of(ROOT)["dependencies"]
    assert isinstance(dependencies, list)
    names = {re.split(r"[<>=~\[; ]", text)[0] for text in dependencies}
    assert names.isdisjoint({"lark", "wasmtime", "lupa", "redis", "pyroute2", "bcc", "eql"})


def test_no_module_is_longer_than_a_reader_can_hold_in_mind(files: list[Path]) -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
        if path.suffix == ".py" and "tests" not in path.parts
    }
    assert {path: length for path, length in lengths.items() if length > 500} == {}


def test_the_licence_is_there() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0" in text


def texts(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    elif path.suffix == ".zst":
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return content.decode("utf-8", errors="replace")


def test_no_file_names_a_place_on_the_machine_it_was_written_on(files: list[Path]) -> None:
    everywhere = {"/", "/home", "/opt", "/root", "/srv", "/tmp", "/usr", "/usr/local", "/var"}
    candidates = {str(ROOT), str(ROOT.parent), sys.base_prefix}
    places = [f"{place}/" for place in sorted(candidates - everywhere)]
    private = re.compile(rf"(?<![\w./])({'|'.join(map(re.escape, places))})")
    found = {}
    for path in files:
        match = private.search(texts(path))
        if match:
            found[str(path.relative_to(ROOT))] = match[0]
    assert found == {}


def test_changelog_fragments_are_named_for_their_kind() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        kinds = [kind["directory"] for kind in tomllib.load(file)["tool"]["towncrier"]["type"]]
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]
    for fragment in fragments:
        assert re.fullmatch(rf"\+?[a-z0-9-]+\.({'|'.join(kinds)})\.md", fragment.name), (
            fragment.name
        )
        text = fragment.read_text(encoding="utf-8").strip()
        assert text.endswith("."), f"{fragment.name} is no sentence"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "<!-- releases start here -->" in changelog


def test_native_modules_are_compiled_where_there_is_a_compiler() -> None:
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    if shutil.which("cc") is None or not headers.exists():
        pytest.skip("there is no C compiler, or there are no headers of Python")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    sources = list((ROOT / "kestrel_framework").rglob("*.c"))
    assert sources
    for source in sources:
        module = source.with_name(f"_native{suffix}")
        assert module.exists(), f"{source}: `pip install -v -e .` says why it is not compiled"
