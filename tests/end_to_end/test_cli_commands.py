"""Commands that plugins add to `kestrel`: listed, called, completed, and kept from doing harm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]
Install = Callable[[str, str], None]

PLUGIN = """
import click
from kestrel_framework.errors import InputError
from kestrel_framework.hookspecs import CommandOffer, hookimpl

KESTREL_API = "1.0"

@click.command("greet")
@click.argument("name", default="you")
def greet(name):
    \"\"\"Greet somebody.\"\"\"
    click.echo(f"hello {{name}}")
    if name == "nobody":
        return 1
    if name == "file":
        raise InputError("file: cannot be read")
    if name == "bug":
        raise ValueError("oh")

def load():
    {loading}
    return greet

@hookimpl
def kestrel_cli_commands():
    return {{"{name}": CommandOffer(load, "Greet {name}.")}}
"""


def plugin(name: str = "greet", loading: str = "pass") -> str:
    return PLUGIN.format(name=name, loading=loading)


@pytest.fixture
def install(kestrel: Any, write: Write) -> Install:
    """Make a distribution with one plugin visible to the program."""

    def installed(name: str, code: str) -> None:
        folder = f"site/{name}-1.2.dist-info"
        write(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        write(f"{folder}/entry_points.txt", f"[kestrel.plugins]\n{name} = {name}_plugin\n")
        write(f"site/{name}_plugin.py", code)
        kestrel.environment["PYTHONPATH"] = str(kestrel.folder / "site")

    return installed


def commands_in(text: str) -> list[str]:
    return [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines()]


def test_a_command_of_a_plugin_is_listed_with_its_summary(kestrel: Any, install: Install) -> None:
    install("one", plugin())
    done = kestrel("--help")
    assert (done.code, done.err) == (0, "")
    assert commands_in(done.out) == sorted(commands_in(done.out))
    assert {"run", "check", "eql", "greet"} <= set(commands_in(done.out))
    assert "Greet greet." in done.out


def test_it_is_called_and_its_exit_code_counts(kestrel: Any, install: Install) -> None:
    install("one", plugin())
    done = kestrel("greet", "world")
    assert (done.code, done.out, done.err) == (0, "hello world\n", "")
    assert kestrel("one:greet", "world").out == "hello world\n"
    assert kestrel("greet", "nobody").code == 1
    assert "Greet somebody." in kestrel("greet", "--help").out
    assert kestrel("greet", "--bad").code == 2


def test_its_errors_are_for_people_and_its_faults_are_its_own(
    kestrel: Any, install: Install
) -> None:
    install("one", plugin())
    done = kestrel("greet", "file")
    assert (done.code, done.err) == (3, "kestrel: file: cannot be read\n")
    done = kestrel("greet", "bug")
    assert done.code == 2
    assert done.err.endswith("kestrel: plugin one: `greet` failed: ValueError: oh\n")
    assert "Traceback" in done.err
    assert "fault in Kestrel" not in done.err


def test_a_name_that_two_plugins_offer_must_be_said_in_full(kestrel: Any, install: Install) -> None:
    install("one", plugin())
    install("two", plugin())
    assert {"one:greet", "two:greet"} <= set(commands_in(kestrel("--help").out))
    done = kestrel("greet")
    assert (done.code, done.out) == (2, "")
    assert "offered by the plugins `one` and `two`" in done.err
    assert "`one:greet` or `two:greet`" in done.err
    assert kestrel("two:greet").out == "hello you\n"


def test_no_plugin_takes_a_name_of_the_kernel(kestrel: Any, install: Install, rule: Path) -> None:
    install("one", plugin("check"))
    assert kestrel("check", rule).out == "1 rule file: all fine\n"
    assert {"check", "one:check"} <= set(commands_in(kestrel("--help").out))
    assert kestrel("one:check").out == "hello you\n"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise RuntimeError('no luck')", "no luck"),
        ("import sys; sys.exit(3)", "SystemExit"),
        (plugin().replace("CommandOffer(load, ", "(load, "), "not a CommandOffer"),
        (plugin("a:b"), "a name has no `:`"),
        (plugin().replace('"1.0"', '"9.0"'), "9.0"),
    ],
)
def test_a_broken_plugin_spoils_neither_the_list_nor_other_commands(
    kestrel: Any, install: Install, code: str, problem: str
) -> None:
    install("shaky", code)
    done = kestrel("--help")
    assert done.code == 0
    assert {"run", "eql"} <= set(commands_in(done.out))
    assert "commands of the plugin `shaky` are not listed" in done.err
    assert kestrel("eql", "parse", "any where true").code == 0
    done = kestrel("greet")
    assert (done.code, done.out) == (2, "")
    assert "the plugin `shaky`, which may offer it, is broken" in done.err
    assert problem in done.err


@pytest.mark.parametrize(
    ("loading", "problem"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("return 5", "is of the type int, not a click.Command"),
    ],
)
def test_a_command_that_cannot_be_loaded_says_so_when_it_is_used(
    kestrel: Any, install: Install, loading: str, problem: str
) -> None:
    install("one", plugin(loading=loading))
    assert "greet" in commands_in(kestrel("--help").out)
    done = kestrel("greet")
    assert (done.code, done.out) == (2, "")
    assert "plugin one: the command `greet` " in done.err
    assert problem in done.err


def test_a_command_that_nobody_knows_gets_the_nearest(kestrel: Any) -> None:
    done = kestrel("chekc")
    assert done.code == 2
    assert "there is no command `chekc`; did you mean `check`?" in done.err
    assert "did you mean `eql`?" in kestrel("eq").err


def test_a_denied_plugin_adds_nothing_and_is_not_imported(kestrel: Any, install: Install) -> None:
    install("one", "print('imported')\n" + plugin())
    kestrel.environment["KESTREL_PLUGINS__DENY"] = "one"
    done = kestrel("--help")
    assert "greet" not in commands_in(done.out)
    assert "imported" not in done.out
    assert kestrel("greet").code == 2


def test_a_wrong_configuration_costs_the_commands_of_plugins_alone(kestrel: Any) -> None:
    kestrel.environment["KESTREL_CONFIG"] = "nowhere.toml"
    done = kestrel("--help")
    assert done.code == 0
    assert "run" in commands_in(done.out)
    assert "nowhere.toml" in done.err
    assert (kestrel("eql", "parse", "a").code, kestrel("--version").code) == (2, 0)


def test_shells_complete_them(kestrel: Any, install: Install) -> None:
    install("one", plugin())
    kestrel.environment |= {"_KESTREL_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    kestrel.environment["COMP_WORDS"] = "kestrel gr"
    assert kestrel().out == "plain,greet\n"
    kestrel.environment |= {"COMP_WORDS": "kestrel eql f", "COMP_CWORD": "2"}
    assert kestrel().out == "plain,format\n"


def test_plugins_lists_them(kestrel: Any, install: Install) -> None:
    install("one", plugin())
    listed = {one["name"]: one for one in kestrel("plugins", "--format", "json").objects}
    assert listed["one"]["offers"] == {"commands": ["greet"]}


PROBE = """
import sys
from kestrel_framework.cli import main
try:
    sys.argv = ["kestrel", *sys.argv[1:]]
    main()
except SystemExit:
    pass
print(*sorted(name for name in sys.modules if name.partition(".")[0] in
      ("kestrel_eql", "kestrel_ebpf", "kestrel_countdown", "lark")), file=sys.stderr)
"""


def imported_by(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


def test_the_kernels_own_commands_import_no_plugin_and_a_list_no_more_than_plugins() -> None:
    assert imported_by("--version") == set()
    assert imported_by("check", "--help") == set()
    assert not {"lark", "kestrel_eql.compiler", "kestrel_eql.commands"} & imported_by("--help")
