"""What every rule language must do."""

from __future__ import annotations

import pickle
import re
from typing import Final

import attrs
import pytest

from kestrel_framework.errors import RuleError
from kestrel_framework.interfaces import RuleCompiler, RuleFile
from kestrel_framework.predicate import MAX_DEPTH
from kestrel_framework.predicate_traversal import depth
from kestrel_framework.rule import Program, Rule, RuleSource, errors_in
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing.contract import Contract

_CUTS: Final = 60
_HOSTILE_TEXTS: Final = (
    "",
    " \n\t",
    "\x00",
    "\ufeff",
    "\ud800",
    "'",
    '"',
    "/*",
    "(" * 5_000,
    "[" * 5_000,
    "not " * 5_000,
    "x" * 100_000,
    "1" * 5_000,
    "\U0001f985 any where true",
)


class RuleCompilerContract(Contract, contract=True):
    """Give it a `compiler`, a `rule_file` with good rules, and a `broken_rule` of its language."""

    @pytest.fixture
    def compiler(self) -> RuleCompiler:
        """Return a compiler."""
        raise NotImplementedError("define a fixture `compiler` that returns your compiler")

    @pytest.fixture
    def rule_file(self) -> RuleFile:
        """Return a file with one or more rules, all of which compile."""
        raise NotImplementedError("define a fixture `rule_file`")

    @pytest.fixture
    def broken_rule(self) -> str:
        """Return the text of a rule with a mistake on its last line."""
        raise NotImplementedError("define a fixture `broken_rule`")

    @pytest.fixture
    def schema(self) -> SchemaRegistry:
        """Return the schema that rules are compiled against."""
        return SchemaRegistry.ecs()

    @pytest.fixture
    def sources(self, compiler: RuleCompiler, rule_file: RuleFile) -> list[RuleSource]:
        """Return the rules of `rule_file` in this compiler's language."""
        sources = [
            source for source in compiler.read(rule_file) if source.language == compiler.language
        ]
        assert sources, "`rule_file` needs a rule in the compiler's own language"
        return sources

    def test_is_a_rule_compiler(self, compiler: RuleCompiler) -> None:
        """It has all of the interface; its name and suffixes have the usual form."""
        assert isinstance(compiler, RuleCompiler)
        assert re.fullmatch(r"[a-z][a-z0-9-]*", compiler.language)
        assert all(re.fullmatch(r"(\.[a-z0-9_-]+)+", suffix) for suffix in compiler.suffixes)

    def test_reads_rules_without_looking_at_their_text(
        self, sources: list[RuleSource], rule_file: RuleFile
    ) -> None:
        """Each rule has an id and says where it stands."""
        for source in sources:
            assert source.metadata.rule_id
            assert source.location.path == rule_file.path
        ids = [source.metadata.rule_id for source in sources]
        assert len(set(ids)) == len(ids)

    def test_says_what_is_wrong_with_a_file(self, compiler: RuleCompiler) -> None:
        """Any bytes are a file without rules, rules, or an error that names the file."""
        contents = (b"", b"\x00", b"\xff\xfe\x00", b"\xef\xbb\xbf", b"{", b"[rule]", b"/*" * 999)
        for suffix in compiler.suffixes:
            for content in contents:
                path = f"folder/odd{suffix}"
                try:
                    read = compiler.read(RuleFile(path, content))
                except (RuleError, ExceptionGroup) as error:
                    for problem in errors_in(error):
                        assert problem.location is not None
                        assert problem.location.path == path
                else:
                    assert all(source.location.path == path for source in read)

    def test_compiles(
        self, compiler: RuleCompiler, sources: list[RuleSource], schema: SchemaRegistry
    ) -> None:
        """A compiled rule keeps its metadata, its language and its place."""
        for source in sources:
            rule = compiler.compile(source, schema)
            assert isinstance(rule, Rule)
            assert rule.metadata == source.metadata
            assert rule.language == compiler.language
            assert rule.location is not None
            assert rule.location.path == source.location.path
            for step in rule.steps:
                assert isinstance(step.predicate, Program) or depth(step.predicate) <= MAX_DEPTH

    def test_compiling_is_pure(
        self, compiler: RuleCompiler, sources: list[RuleSource], schema: SchemaRegistry
    ) -> None:
        """The same text gives the same rule, which survives a pickle; the schema is not touched."""
        before = schema.fingerprint
        for source in sources:
            first, second = (compiler.compile(source, schema) for _ in range(2))
            assert first == second
            assert first.semantic_hash == second.semantic_hash
            restored = pickle.loads(pickle.dumps(first))
            assert restored == first
            assert restored.semantic_hash == first.semantic_hash
        assert attrs.evolve(schema).fingerprint == before

    def test_says_where_a_rule_is_wrong(
        self,
        compiler: RuleCompiler,
        sources: list[RuleSource],
        broken_rule: str,
        schema: SchemaRegistry,
    ) -> None:
        """Lines are those of the file, counted from where the text begins in it."""
        place = attrs.evolve(sources[0].location, line=7, column=1)
        source = attrs.evolve(sources[0], text=broken_rule, location=place)
        problems: list[RuleError] = []
        try:
            compiler.compile(source, schema)
        except (RuleError, ExceptionGroup) as error:
            problems = list(errors_in(error))
        assert problems, "the broken rule compiles"
        assert all(isinstance(problem, RuleError) for problem in problems)
        last_line = 7 + broken_rule.rstrip("\n").count("\n")
        assert any(
            problem.location is not None
            and problem.location.path == place.path
            and problem.location.line == last_line
            for problem in problems
        ), f"no problem is on line {last_line}: {[str(problem) for problem in problems]}"

    def test_survives_any_text(
        self, compiler: RuleCompiler, sources: list[RuleSource], schema: SchemaRegistry
    ) -> None:
        """A text is a rule, or a `RuleError`, and never anything else."""
        good = sources[0].text
        cuts = [good[: len(good) * number // _CUTS] for number in range(_CUTS)]
        doubled = [good + good, good[::-1], good.upper(), good.replace(" ", "\x00")]
        for text in (*_HOSTILE_TEXTS, *cuts, *doubled):
            source = attrs.evolve(sources[0], text=text)
            problems: list[RuleError] = []
            try:
                compiler.compile(source, schema)
            except (RuleError, ExceptionGroup) as error:
                problems = list(errors_in(error))
            assert all(isinstance(problem, RuleError) for problem in problems)
