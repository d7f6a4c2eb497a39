"""The compiler as the kernel and embedders see it."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

import kestrel_eql
from kestrel_eql import Dialect, EqlCompiler, EqlConfig, plugin
from kestrel_framework.errors import Severity, SourceLocation
from kestrel_framework.interfaces import RuleCompiler, RuleFile
from kestrel_framework.rule import Rule, RuleMetadata, RuleSource
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing import RuleCompilerContract


def source(text: str, **options: str) -> RuleSource:
    location = SourceLocation("rule.eql", 1, 1)
    return RuleSource(RuleMetadata("test"), "eql", text, location, options)


class TestEqlContract(RuleCompilerContract):
    @pytest.fixture
    def compiler(self) -> RuleCompiler:
        return EqlCompiler()

    @pytest.fixture
    def rule_file(self) -> RuleFile:
        text = (
            '/*\nid = "chain"\nname = "A chain"\nseverity = "low"\n*/\n'
            "sequence by host.id with maxspan=1m\n"
            '  [process where process.name : ("nc", "x*") and not user.id == "0"]\n'
            "  [network where destination.port > 1024] with runs=2\n"
        )
        return RuleFile("pack/chain.eql", text.encode())

    @pytest.fixture
    def broken_rule(self) -> str:
        return "process where true and\n  process.name ==== 1"


def test_it_is_a_rule_compiler() -> None:
    compiler: RuleCompiler = EqlCompiler()
    assert isinstance(compiler, RuleCompiler)
    assert compiler.language == "eql"
    assert compiler.suffixes == (".eql", ".toml")


def test_public_names() -> None:
    assert sorted(kestrel_eql.__all__) == ["Dialect", "EqlCompiler", "EqlConfig", "format_query"]


def test_the_plugin_offers_it() -> None:
    assert plugin.KESTREL_API == "1.0"
    offer = plugin.kestrel_rule_compilers()["eql"]
    assert offer.config is EqlConfig
    compiler = offer.factory(EqlConfig(dialect="endgame"), None)  # type: ignore[arg-type]
    assert compiler.language == "eql"
    assert compiler == EqlCompiler(Dialect.ENDGAME, cache=True)


def test_a_configured_dialect_is_checked() -> None:
    with pytest.raises(ValueError, match="klingon"):
        EqlConfig(dialect="klingon")


def test_the_rule_says_what_it_is() -> None:
    compiler = EqlCompiler()
    (read,) = compiler.read(RuleFile("a/b.eql", b"\n any where x == 1"))
    rule = compiler.compile(read, SchemaRegistry())
    assert (rule.rule_id, rule.kind, rule.language) == ("b", "event", "eql")
    assert str(rule.location) == "a/b.eql:2:2"
    assert rule.fields == ("x",)


def test_compiling_is_pure() -> None:
    text = 'sequence by a [b where c : "x*"] [d where e in ("f", 2)]'
    first = EqlCompiler().compile(source(text), SchemaRegistry())
    second = EqlCompiler().compile(source(text), SchemaRegistry())
    assert first == second
    assert first.semantic_hash == second.semantic_hash
    copy = pickle.loads(pickle.dumps(first))
    assert copy == first
    assert [str(warning) for warning in copy.warnings] == [str(w) for w in first.warnings]


def test_layout_and_comments_do_not_change_the_meaning(compiled: Callable[..., Rule]) -> None:
    plain = compiled('process where a == 1 and b : "x*"')
    other = compiled('process where /* why */\n\t(a==1) and\n (b:("x*"))// end')
    assert plain.semantic_hash == other.semantic_hash
    assert plain.semantic_hash != compiled('process where a == 1 and b : "y*"').semantic_hash


def test_options_beat_the_default_dialect() -> None:
    compiler = EqlCompiler(Dialect.ENDGAME)
    assert compiler.compile(source("a where b = 1"), SchemaRegistry())
    elastic = compiler.compile(source('a where b == "X"', dialect="elastic"), SchemaRegistry())
    assert elastic == EqlCompiler().compile(source('a where b == "X"'), SchemaRegistry())


def test_warnings_are_warnings(compiled: Callable[..., Rule]) -> None:
    (warning,) = compiled('any where a in ("x*")').warnings
    assert warning.severity is Severity.WARNING
    assert warning.context == {"rule": "test"}
