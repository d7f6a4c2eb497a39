"""`kestrel check`: one object a file, all errors, archives, exit codes."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]
KEYS = ["path", "rule_id", "kind", "ok", "errors", "warnings", "fields"]


def test_there_is_one_object_for_each_rule_file(kestrel: Any, write: Write) -> None:
    write("rules/a.eql", 'process where process.name == "nc" and process.pid > 4')
    write("rules/b.eql", "sequence by host.id [process where true] [file where true]")
    write("rules/c.eql", "process where")
    write("rules/notes.txt", "no rule")
    write("rules/settings.toml", "[tool]\nx = 1\n")
    done = kestrel("check", "--format", "json", "rules")
    assert done.code == 1
    assert [list(one) for one in done.objects] == [KEYS] * 3
    assert [(one["path"], one["rule_id"], one["kind"], one["ok"]) for one in done.objects] == [
        ("rules/a.eql", "a", "event", True),
        ("rules/b.eql", "b", "sequence", True),
        ("rules/c.eql", "c", None, False),
    ]
    assert done.objects[0]["fields"] == ["process.name", "process.pid"]
    (error,) = done.objects[2]["errors"]
    assert list(error) == ["message", "line", "column"]
    assert error["line"] == 1


def test_rules_that_are_fine_are_exit_code_0(kestrel: Any, rule: Path) -> None:
    done = kestrel("check", rule)
    assert (done.code, done.out) == (0, "1 rule file: all fine\n")


def test_a_rule_with_ten_errors_shows_ten(kestrel: Any, write: Write) -> None:
    text = "process where\n" + " or\n".join(f"  bad{n}(process.name)" for n in range(10)) + "\n"
    path = write("ten.eql", text)
    done = kestrel("check", "--format", "json", path)
    (one,) = done.objects
    assert [error["line"] for error in one["errors"]] == list(range(2, 12))
    text_form = kestrel("check", path)
    assert text_form.code == 1
    assert text_form.out.count("^") == 10
    assert f"{path}:11:" in text_form.out
    assert "10 errors" in text_form.out


def test_an_unknown_field_is_a_warning_with_a_suggestion_and_an_error_when_strict(
    kestrel: Any, write: Write
) -> None:
    path = write("typo.eql", 'process where proces.name == "x"')
    relaxed = kestrel("check", "--format", "json", path)
    strict = kestrel("check", "--format", "json", "--strict", path)
    assert relaxed.code == 0
    (warning,) = relaxed.objects[0]["warnings"]
    assert "process.name" in warning["message"]
    assert strict.code == 1
    assert strict.objects[0]["ok"] is False


def test_an_archive_is_read_where_it_lies(kestrel: Any, rule: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "pack.tar.gz", "w:gz") as archive:
        archive.add(rule, "pack/nc.eql")
    done = kestrel("check", "--format", "json", "pack.tar.gz")
    assert done.code == 0
    assert done.objects[0]["path"] == "pack.tar.gz/pack/nc.eql"
    assert done.objects[0]["rule_id"] == "nc"


@pytest.mark.parametrize("path", ["nowhere", "/dev/null"])
def test_what_cannot_be_read_is_not_fine(kestrel: Any, path: str) -> None:
    done = kestrel("check", "--format", "json", path)
    assert done.code == 1
    assert done.objects[0]["ok"] is False


def test_a_folder_without_rules_is_no_success(kestrel: Any, write: Write) -> None:
    write("rules/notes.txt", "")
    done = kestrel("check", "--format", "json", "rules")
    assert (done.code, done.out) == (1, "")
    assert "no rule was found in rules" in done.err


def test_without_the_plugin_a_rule_is_not_fine_and_the_remedy_is_said(
    kestrel: Any, rule: Path
) -> None:
    done = kestrel("check", "--format", "json", "--set", "plugins.deny=eql", rule)
    assert done.code == 1
    (one,) = done.objects
    assert (one["ok"], one["rule_id"]) == (False, None)
    assert "install kestrel-eql" in one["errors"][0]["message"]


def test_a_rule_in_a_language_that_nobody_compiles(kestrel: Any, write: Write) -> None:
    write(
        "kql.toml",
        '[rule]\nrule_id = "k"\nname = "k"\ntype = "query"\nlanguage = "kuery"\nquery = "a:b"\n',
    )
    done = kestrel("check", "--format", "json", "kql.toml")
    assert done.code == 1
    (one,) = done.objects
    assert (one["rule_id"], one["ok"]) == ("k", False)
    assert "kuery" in one["errors"][0]["message"]


def test_a_package_folder_is_one_rule(kestrel: Any, write: Write) -> None:
    manifest = '{"format_version": "1", "metadata": {"rule_id": "p-1", "rule_name": "P"}}'
    write("packs/p/manifest.json", manifest)
    write("packs/p/rule.eql", 'process where process.name == "nc"')
    write("packs/q/manifest.json", '{"format_version": "1"}')
    write("packs/q/rule.eql", "any where true")
    done = kestrel("check", "--format", "json", "packs")
    assert done.code == 1
    assert [(one["rule_id"], one["ok"]) for one in done.objects] == [("p-1", True), (None, False)]
    assert "metadata: is missing" in done.objects[1]["errors"][0]["message"]


def test_without_paths_it_is_wrong_usage(kestrel: Any) -> None:
    assert kestrel("check").code == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elastic-detection", "elastic-protections"])
def test_published_rules_give_one_object_each(kestrel: Any, name: str) -> None:
    corpus = os.environ.get("KESTREL_CORPUS")
    if corpus is None:
        pytest.skip("KESTREL_CORPUS names no folder with published rules")
    path = Path(corpus) / "rules" / f"{name}.tar.gz"
    with tarfile.open(path) as archive:
        members = [member.name for member in archive if member.name.endswith(".toml")]
    objects = kestrel("check", "--format", "json", path).objects
    assert sorted(one["path"] for one in objects) == sorted(f"{path}/{name}" for name in members)
    assert sum(one["ok"] for one in objects) > 0.95 * len(objects)
