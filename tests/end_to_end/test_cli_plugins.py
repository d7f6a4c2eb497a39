"""`kestrel plugins`, and plugins that are broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]


@pytest.fixture
def install(kestrel: Any, write: Write) -> Callable[[str, str], None]:
    """Make a distribution with one plugin visible to the program."""

    def installed(name: str, code: str) -> None:
        folder = f"site/{name}-1.2.dist-info"
        write(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        write(f"{folder}/entry_points.txt", f"[kestrel.plugins]\n{name} = {name}_plugin\n")
        write(f"site/{name}_plugin.py", code)
        kestrel.environment["PYTHONPATH"] = str(kestrel.folder / "site")

    return installed


def test_every_plugin_says_what_it_is_and_offers(kestrel: Any) -> None:
    done = kestrel("plugins", "--format", "json")
    assert done.code == 0
    by_name = {one["name"]: one for one in done.objects}
    assert all(
        list(one) == ["name", "version", "api", "offers", "state", "problem"]
        for one in done.objects
    )
    assert by_name["eql"]["offers"] == {"compilers": ["eql"], "commands": ["eql"]}
    assert by_name["eql"]["state"] == "loaded"
    assert "jsonl" in by_name["builtin"]["offers"]["sources"]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise RuntimeError('no luck')", "no luck"),
        ("KESTREL_API = '9.0'", "9.0"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("x = 1", "KESTREL_API"),
    ],
)
def test_a_broken_plugin_is_listed_and_stops_nobody(
    kestrel: Any,
    install: Callable[[str, str], None],
    events: Path,
    rule: Path,
    code: str,
    problem: str,
) -> None:
    install("shaky", code)
    listed = {one["name"]: one for one in kestrel("plugins", "--format", "json").objects}
    assert (listed["shaky"]["state"], listed["shaky"]["version"]) == ("broken", "1.2")
    assert problem in listed["shaky"]["problem"]
    done = kestrel("run", "--rules", rule, "--input", events, "--format", "json")
    assert (done.code, len(done.objects)) == (0, 2)
    assert "shaky" in done.err


def test_a_broken_plugin_that_is_named_stops_the_start(
    kestrel: Any, install: Callable[[str, str], None], events: Path, rule: Path
) -> None:
    install("shaky", "raise RuntimeError('no luck')")
    done = kestrel(
        "run", "--rules", rule, "--input", events, "--set", 'plugins.allow=["eql", "shaky"]'
    )
    assert (done.code, done.out) == (2, "")
    assert "plugin shaky: " in done.err


def test_people_get_a_table(kestrel: Any) -> None:
    done = kestrel("plugins")
    assert done.code == 0
    assert done.out.startswith("NAME")
    assert "compilers: eql" in done.out


def test_a_denied_plugin_is_listed_as_denied(kestrel: Any) -> None:
    done = kestrel("plugins", "--format", "json", "--set", "plugins.deny=eql")
    assert {one["name"]: one["state"] for one in done.objects}["eql"] == "denied"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(kestrel: Any, shell: str) -> None:
    done = kestrel("completion", shell)
    assert done.code == 0
    assert "_KESTREL_COMPLETE" in done.out


def test_a_signal_before_there_is_an_engine_ends_the_run_in_order(
    kestrel: Any, install: Callable[[str, str], None], events: Path, rule: Path
) -> None:
    install("slow", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nKESTREL_API = '1.0'")
    done = kestrel("run", "--rules", rule, "--input", events, "--stats", "stats.json")
    assert (done.code, done.out) == (0, "")
    statistics = json.loads((kestrel.folder / "stats.json").read_text("utf-8"))
    assert (statistics["events"], statistics["rules"]["loaded"]) == (0, 1)


def test_what_the_commands_use_is_the_same_whoever_offers_its_names(
    kestrel: Any, install: Callable[[str, str], None], events: Path, rule: Path
) -> None:
    install(
        "same",
        """
from kestrel_framework.hookspecs import hookimpl
from kestrel_framework.interfaces import NoConfiguration, Offer

KESTREL_API = "1.0"

def refused(config, context):
    raise RuntimeError("nobody asked for this")

@hookimpl
def kestrel_event_sources():
    return {"jsonl": Offer(refused, NoConfiguration)}

@hookimpl
def kestrel_output_handlers():
    return {name: Offer(refused, NoConfiguration) for name in ("jsonl", "console")}

@hookimpl
def kestrel_predicate_evaluators():
    return {"native": Offer(refused, NoConfiguration)}

@hookimpl
def kestrel_state_stores():
    return {"memory": Offer(refused, NoConfiguration)}

@hookimpl
def kestrel_pattern_engines():
    return {"native": Offer(refused, NoConfiguration)}
""",
    )
    run = ("run", "--rules", rule, "--input", events)
    for more in ((), ("--format", "json"), ("--output", "jsonl:out"), ("--output", "-")):
        done = kestrel(*run, *more)
        assert done.code == 0, done.err
        assert "2 alerts" in done.err
    ambiguous = kestrel("run", "--rules", rule, "--source", "jsonl", "--input", events)
    assert ambiguous.code == 2
    assert "say which: `builtin:jsonl` or `same:jsonl`" in ambiguous.err


def test_what_a_plugin_prints_is_no_result(
    kestrel: Any, install: Callable[[str, str], None], events: Path, rule: Path
) -> None:
    install("chatty", "KESTREL_API = '1.0'\nprint('hello from a plugin')")
    for arguments in (
        ("run", "--rules", rule, "--input", events),
        ("check", rule),
        ("query", "--input", events, "any where true"),
        ("plugins",),
    ):
        done = kestrel(*arguments, "--format", "json")
        assert done.code == 0
        assert done.objects
        assert "hello from a plugin" in done.err
