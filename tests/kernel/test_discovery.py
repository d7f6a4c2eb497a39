from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from kestrel_framework._plugins.discovery import find_plugins, plugin_name

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution with one plugin into a folder on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name: str, code: str, *, distribution: str = "", module: str = "") -> None:
        distribution = distribution or f"dist-{name}"
        module = module or f"module_of_{distribution.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n"
        )
        (info / "entry_points.txt").write_text(f"[kestrel.plugins]\n{name} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return make


def test_an_installed_plugin_is_found_with_its_version(install: Install) -> None:
    install("zebra", "KESTREL_API = '1.0'")
    found = {one.name: one for one in find_plugins()}
    assert isinstance(found["zebra"].plugin, ModuleType)
    assert (found["zebra"].distribution, found["zebra"].version) == ("dist-zebra", "1.5")
    assert not found["zebra"].required


def test_the_kernels_own_come_first_then_installed_ones_by_name(install: Install) -> None:
    install("zz-last", "")
    install("aa-first", "")
    names = [one.name for one in find_plugins([SimpleNamespace()])]
    assert names[0] == "builtin"
    assert names[1:-1] == sorted(names[1:-1])
    assert names[1] == "aa-first"
    assert names[-1] == "SimpleNamespace"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise ValueError('no libfoo')", "ValueError: no libfoo"),
        ("raise SystemExit(7)", "SystemExit: 7"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("def broken(:", "SyntaxError"),
        ("raise MemoryError", "MemoryError"),
        ("def f(): f()\nf()", "RecursionError"),
        (
            "class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E",
            "cannot be imported: E",
        ),
    ],
)
def test_whatever_an_import_raises_is_that_plugins_problem(
    install: Install, code: str, problem: str
) -> None:
    install("broken", code)
    install("fine", "")
    found = {one.name: one for one in find_plugins()}
    assert found["broken"].plugin is None
    assert problem in found["broken"].problem
    assert found["fine"].plugin is not None


def test_an_interrupt_during_an_import_is_no_fault_of_the_plugin(install: Install) -> None:
    install("interrupted", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        find_plugins()


def test_an_entry_point_to_nothing_is_a_problem(install: Install) -> None:
    install("gone", "", module="there")
    Path(next(p for p in sys.path if (Path(p) / "there.py").exists()), "there.py").unlink()
    found = {one.name: one for one in find_plugins()}
    assert "No module named 'there'" in found["gone"].problem


def test_a_denied_plugin_is_not_imported(install: Install, tmp_path: Path) -> None:
    witness = tmp_path / "imported"
    install("denied", f"open({str(witness)!r}, 'w').close()")
    denied = {one.name: one for one in find_plugins(deny=["denied"])}["denied"]
    assert denied.denied
    assert denied.plugin is None
    assert not witness.exists()


def test_with_a_list_of_allowed_plugins_no_other_is_imported(
    install: Install, tmp_path: Path
) -> None:
    witness = tmp_path / "imported"
    install("wanted", "")
    install("other", f"open({str(witness)!r}, 'w').close()")
    found = {one.name: one for one in find_plugins(allow=["wanted"])}
    assert found["wanted"].required
    assert found["other"].denied
    assert found["builtin"].plugin is not None
    assert not witness.exists()


def test_denying_wins_over_allowing(install: Install) -> None:
    install("both", "")
    found = {one.name: one for one in find_plugins(allow=["both"], deny=["both"])}
    assert found["both"].denied
    assert not found["both"].required


def test_without_discovery_nothing_installed_is_imported(install: Install, tmp_path: Path) -> None:
    witness = tmp_path / "imported"
    install("installed", f"open({str(witness)!r}, 'w').close()")
    plugin = SimpleNamespace(__name__="mine")
    names = [one.name for one in find_plugins([plugin], discover=False)]
    assert names == ["builtin", "mine"]
    assert not witness.exists()


def test_two_installed_plugins_with_one_name_are_told_apart(install: Install) -> None:
    install("same", "WHO = 1", distribution="first-of-two")
    install("same", "WHO = 2", distribution="second-of-two")
    found = [one for one in find_plugins() if one.name.startswith("same")]
    assert [one.name for one in found] == ["same", "same (2)"]
    assert found[0].plugin is not None
    assert found[1].plugin is None
    assert "first-of-two" in found[1].problem
    assert "second-of-two" in found[1].problem


def test_two_objects_with_one_name_are_told_apart() -> None:
    found = find_plugins([SimpleNamespace(), SimpleNamespace()], discover=False)
    assert [one.name for one in found] == ["builtin", "SimpleNamespace", "SimpleNamespace (2)"]
    assert "__name__" in found[2].problem
    assert found[2].required


def test_an_object_passed_twice_is_one_plugin() -> None:
    plugin = SimpleNamespace()
    assert len(find_plugins([plugin, plugin], discover=False)) == 2


def test_an_installed_plugin_passed_as_an_object_is_required(install: Install) -> None:
    install("installed", "", module="module_passed_as_object")
    import module_passed_as_object  # type: ignore[import-not-found]

    found = {one.name: one for one in find_plugins([module_passed_as_object])}
    assert found["installed"].required
    assert "module_passed_as_object" not in found


def test_an_object_is_denied_by_its_name() -> None:
    found = find_plugins([SimpleNamespace(__name__="mine")], discover=False, deny=["mine"])
    assert found[1].denied
    assert not found[1].required


def test_an_object_is_named_for_itself_or_its_class() -> None:
    class Plugin:
        pass

    assert plugin_name(sys) == "sys"
    assert plugin_name(Plugin()) == "Plugin"
    assert plugin_name(Plugin) == "Plugin"
    assert plugin_name(SimpleNamespace(__name__="own")) == "own"
    assert plugin_name(SimpleNamespace(__name__=7)) == "SimpleNamespace"
