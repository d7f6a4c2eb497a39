"""EQL rules that the kernel keeps: the same as compiled ones, and only where somebody asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kestrel_eql import EqlCompiler, EqlConfig, compiler
from kestrel_framework.interfaces import KeepableRuleCompiler
from kestrel_framework.rule import LoadReport
from kestrel_framework.rule_loading import load_rules
from kestrel_framework.testing.fakes import make_context

CORPUS = os.environ.get("KESTREL_CORPUS", "")
TEXT = """/*
id = "r"
*/
sequence by host.id with maxspan=1m
  [process where process.nmae : ("nc", "x*") and user.id in ("0*")] as first
  [network where first.process.pid == process.pid and destination.port > 1024] with runs=2
"""
_LOAD = """
import sys
from kestrel_eql import EqlCompiler
from kestrel_framework.rule_loading import load_rules
report = load_rules(sys.argv[1], compilers=[EqlCompiler(cache=True)])
print(*[rule.semantic_hash for rule in report.rules], *report.warnings, sep="\\n")
print(*sorted({"kestrel_eql.parser", "lark"} & set(sys.modules)))
"""


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kestrel-framework"


def described(report: LoadReport) -> tuple[object, ...]:
    told = [
        (str(error), error.severity, repr(error.location), dict(error.context))
        for error in (*report.errors, *report.warnings)
    ]
    rules = [
        (rule, rule.semantic_hash, repr(rule), dict(rule.metadata.extra)) for rule in report.rules
    ]
    return rules, told, report.files


def test_a_second_process_finds_what_the_first_kept(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "r.eql").write_text(TEXT)
    outputs = []
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", _LOAD, str(tmp_path / "r.eql")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        )
        outputs.append(done.stdout.rsplit("\n", 2))
    compiled, *found = outputs
    assert compiled[1] == "kestrel_eql.parser"
    assert [modules for _, modules, _ in found] == ["", ""]
    assert {rules for rules, *_ in outputs} == {compiled[0]}
    assert "unknown field `process.nmae`" in compiled[0]
    assert len(list(kept.iterdir())) == 1


def test_bytes_do_not_depend_on_the_order_of_hashes(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "r.eql").write_text(TEXT)
    contents = set()
    for seed in ("0", "1"):
        subprocess.run(
            [sys.executable, "-c", _LOAD, str(tmp_path / "r.eql")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
        (file,) = kept.iterdir()
        contents.add(file.read_bytes())
        file.unlink()
    assert len(contents) == 1


def test_the_compiler_says_what_decides_what_it_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    elastic, endgame = EqlCompiler(cache=True), EqlCompiler("endgame", cache=True)
    assert isinstance(elastic, KeepableRuleCompiler)
    assert elastic.fingerprint
    assert elastic.fingerprint != endgame.fingerprint
    monkeypatch.setattr(compiler, "_origin", lambda: "another version")
    assert EqlCompiler(cache=True).fingerprint != elastic.fingerprint


def test_nothing_is_kept_without_being_asked(tmp_path: Path, kept: Path) -> None:
    (tmp_path / "r.eql").write_text(TEXT)
    assert EqlCompiler().fingerprint is None
    load_rules(tmp_path / "r.eql", compilers=[EqlCompiler()])
    assert not kept.exists()


def test_the_configuration_says_whether_rules_are_kept() -> None:
    context = make_context()
    assert EqlCompiler.from_config(EqlConfig(), context).fingerprint
    assert EqlCompiler.from_config(EqlConfig(cache=False), context).fingerprint is None


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason="KESTREL_CORPUS names no folder with rules/*.tar.gz")
def test_public_rules_come_out_the_same() -> None:
    folder = Path(CORPUS) / "rules"
    kept, found = (load_rules(folder, compilers=[EqlCompiler(cache=True)]) for _ in range(2))
    fresh = load_rules(folder, compilers=[EqlCompiler()])
    assert len(fresh.rules) > 1000
    assert described(kept) == described(found) == described(fresh)
