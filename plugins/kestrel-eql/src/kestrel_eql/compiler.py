"""The rule language EQL as a compiler for Kestrel.

What reads and compiles is imported when something is to be read or compiled: rules that are kept
from an earlier start need none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import attrs

from kestrel_eql.dialect import Dialect, Settings
from kestrel_eql.problems import Problems, TextPlaces
from kestrel_framework.cache_folder import source_digest
from kestrel_framework.interfaces import PluginContext, RuleFile
from kestrel_framework.rule import Pipe, Rule, RuleBody, RuleSource
from kestrel_framework.schema import SchemaRegistry

_DIALECTS: Final = tuple(dialect.value for dialect in Dialect)
_CASES: Final = ("sensitive", "insensitive")


@attrs.frozen
class EqlConfig:
    """The section of the configuration for EQL."""

    dialect: str = attrs.field(
        default=Dialect.ELASTIC.value,
        validator=attrs.validators.in_(_DIALECTS),
        metadata={"help": "The dialect of rules that name none: `elastic` or `endgame`."},
    )
    cache: bool = attrs.field(
        default=True,
        metadata={"help": "Keep compiled rules in the user's cache folder, for the next start."},
    )


@attrs.define
class EqlCompiler:
    """Compiles EQL: `.eql` files, and the rule files (TOML) that Elastic publishes.

    A source's options say `dialect` (`elastic`, `endgame`) and `case` (`sensitive`,
    `insensitive`; the default is the dialect's own).

    Can be shared by threads.

    Attributes:
        dialect: The dialect of sources that name none.
        cache: Whether the rules of packs that are loaded with it are kept in the cache folder
            of the user: loading them again, also in another process, is many times as fast.
        fingerprint: As in `KeepableRuleCompiler`.
    """

    dialect: Dialect = attrs.field(default=Dialect.ELASTIC, converter=Dialect)
    cache: bool = attrs.field(default=False, kw_only=True)
    language: str = attrs.field(default="eql", init=False)
    suffixes: tuple[str, ...] = attrs.field(default=(".eql", ".toml"), init=False)
    fingerprint: str | None = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.fingerprint = f"{_origin()} {self.dialect.value}" if self.cache else None

    @classmethod
    def from_config(cls, config: EqlConfig, context: PluginContext) -> EqlCompiler:
        """Make a compiler from its section of the configuration."""
        return cls(Dialect(config.dialect), cache=config.cache)

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        """Return the rules in a file, not compiled.

        A rule of another language is returned under that language; a TOML file that
        holds no rule gives none.

        Raises:
            RuleError: the file cannot be understood; or an `ExceptionGroup` of them.
        """
        if file.path.lower().endswith(".toml"):
            from kestrel_eql.rule_toml import read_rule_toml

            return read_rule_toml(file)
        from kestrel_eql.eql_file import read_eql_file

        return [read_eql_file(file)]

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        """Return the compiled rule.

        Raises:
            RuleError: the rule is wrong; an `ExceptionGroup` of all its errors where
                there are several.
        """
        problems = Problems(TextPlaces(source.text, source.location), source.metadata.rule_id)
        settings = self._settings(source.options, problems)
        body, pipes = _compiled(source.text, settings, schema, problems)
        return Rule(source.metadata, body, self.language, source.location, pipes, problems.warnings)

    def _settings(self, options: Mapping[str, str], problems: Problems) -> Settings:
        name = options.get("dialect", self.dialect.value)
        case = options.get("case", "")
        if name not in _DIALECTS:
            problems.error(f"unknown dialect `{name}`; there is {' and '.join(_DIALECTS)}", 0)
            name = self.dialect.value
        if case and case not in _CASES:
            problems.error(f"`case` is {' or '.join(_CASES)}, not `{case}`", 0)
        dialect = Dialect(name)
        fold = dialect is Dialect.ENDGAME if not case else case == "insensitive"
        return Settings(dialect, fold)


def _compiled(
    text: str, settings: Settings, schema: SchemaRegistry, problems: Problems
) -> tuple[RuleBody, tuple[Pipe, ...]]:
    """Return what a text means.

    Raises:
        RuleError: the rule is wrong; an `ExceptionGroup` of all its errors where
            there are several.
    """
    from kestrel_eql.lowering import lower
    from kestrel_eql.parser import parse_into

    query = parse_into(text, problems, settings.dialect)
    lowered = None if query is None else lower(query, settings, schema, problems)
    if lowered is None or problems:
        problems.throw()
    return lowered.body, lowered.pipes


@cache
def _origin() -> str:
    """Return what stands for this compiler as it runs: its source, with the parser's table."""
    return source_digest("kestrel_eql", (".py", ".json"))
