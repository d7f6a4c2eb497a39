"""Rules from files, folders and archives, with every error of every file.

Each path is a pack. A rule of a later pack replaces the one of an earlier pack that
has the same id; within a pack an id stands once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from kestrel_framework._collector_pause import collector_paused
from kestrel_framework._kept_rules import KeptPack, KeptRules, fingerprint_of
from kestrel_framework._kept_rules_format import KeptFile
from kestrel_framework._rule_files import ARCHIVE_SUFFIXES, FoundFile, RuleTree, rule_tree
from kestrel_framework._rule_package import (
    BODIES,
    MANIFEST,
    PROGRAM_RUNTIMES,
    body_of,
    program_rule,
    read_manifest,
)
from kestrel_framework.errors import (
    ConfigurationError,
    KestrelError,
    RuleError,
    Severity,
    SourceLocation,
)
from kestrel_framework.interfaces import RuleCompiler, RuleFile
from kestrel_framework.rule import (
    EventRule,
    LoadReport,
    Program,
    Rule,
    RuleMetadata,
    RuleSource,
    errors_in,
)
from kestrel_framework.schema import SchemaRegistry

__all__ = ["LoadedFile", "iter_rule_files", "load_rules", "read_packs"]

NATIVE_RUNTIME: Final = "native"
_PLUGINS_BY_SUFFIX: Final[Mapping[str, str]] = {
    ".eql": "kestrel-eql",
    ".toml": "kestrel-eql",
    ".yml": "kestrel-sigma",
    ".yaml": "kestrel-sigma",
}
_PLUGINS_BY_LANGUAGE: Final[Mapping[str, str]] = {
    "eql": "kestrel-eql",
    "sigma": "kestrel-sigma",
    "lua": "kestrel-lua",
    "wasm": "kestrel-wasm",
}
_SURELY_RULES: Final = (".eql",)
"""Suffixes of files that are rules, so that one nobody reads is an error also in a folder."""

_RuleErrors = RuleError | ExceptionGroup[RuleError]


@attrs.frozen
class LoadedFile:
    """What one rule file, or one package folder, gave.

    Attributes:
        path: How messages name it.
        pack: The path it was found under.
        rules: The rules in it that compile.
        rule_ids: The ids of all rules in it, also of those that do not compile.
        errors: Everything that is wrong with it.
        warnings: What the reader of its rules should know.
    """

    path: str
    pack: str
    rules: tuple[Rule, ...] = ()
    rule_ids: tuple[str, ...] = ()
    errors: tuple[RuleError, ...] = ()
    warnings: tuple[RuleError, ...] = ()


def load_rules(
    *paths: str | os.PathLike[str],
    compilers: Iterable[RuleCompiler],
    schema: SchemaRegistry | None = None,
    strict: bool = False,
    runtimes: Collection[str] | None = None,
) -> LoadReport:
    """Load the rules under `paths`, each of which is a pack.

    One bad rule does not stop the others; the caller decides what its errors mean.

    Args:
        paths: Files, folders, and `.tar.gz` archives; later ones go before earlier ones.
        compilers: The rule languages.
        schema: What fields and event types mean; the Elastic Common Schema if left out.
        strict: Whether an unknown field is an error.
        runtimes: Names of the runtimes that are there; a program for another one is an
            error. Without it, every runtime is taken as there.

    Raises:
        ConfigurationError: two compilers are for the same language.
    """
    with collector_paused():
        files = list(
            read_packs(paths, compilers=compilers, schema=schema, strict=strict, runtimes=runtimes)
        )
    rules: dict[str, Rule] = {}
    for file in files:
        for rule in file.rules:
            rules.pop(rule.rule_id, None)
            rules[rule.rule_id] = rule
    return LoadReport(
        rules=tuple(rules.values()),
        errors=tuple(error for file in files for error in file.errors),
        warnings=tuple(warning for file in files for warning in file.warnings),
        files=len(files),
    )


def read_packs(
    paths: Iterable[str | os.PathLike[str]],
    *,
    compilers: Iterable[RuleCompiler],
    schema: SchemaRegistry | None = None,
    strict: bool = False,
    runtimes: Collection[str] | None = None,
) -> Iterator[LoadedFile]:
    """Yield what each file under `paths` gives, in a fixed order, as it is compiled.

    The arguments are those of `load_rules`. Files that hold no rule are left out,
    except that a file which was named and which no compiler reads is an error.

    Raises:
        ConfigurationError: two compilers are for the same language.
    """
    loader = _Loader(compilers, schema or SchemaRegistry.ecs(), strict, runtimes)
    for path in paths:
        yield from loader.pack(Path(path))


def iter_rule_files(
    paths: Iterable[str | os.PathLike[str]], suffixes: Sequence[str]
) -> Iterator[RuleFile]:
    """Yield the files under `paths` that end in one of `suffixes`, folders and archives sorted.

    Raises:
        RuleError: a file cannot be read. The files after it can still be had from
            a new call.
    """
    for path in paths:
        tree = rule_tree(Path(path), lambda name: name.endswith(tuple(suffixes)))
        if tree.problems:
            raise tree.problems[0]
        for name in tree.names:
            yield tree.find(name).read()


class _Loader:
    """Reads and compiles one pack after the other."""

    def __init__(
        self,
        compilers: Iterable[RuleCompiler],
        schema: SchemaRegistry,
        strict: bool,
        runtimes: Collection[str] | None,
    ) -> None:
        self._compilers: dict[str, RuleCompiler] = {}
        self._keepable: set[str] = set()
        for compiler in compilers:
            if compiler.language in self._compilers:
                problem = f"two compilers are for the language `{compiler.language}`"
                raise ConfigurationError(problem)
            self._compilers[compiler.language] = compiler
            if fingerprint_of(compiler) is not None:
                self._keepable.add(compiler.language)
        read = {suffix for compiler in self._compilers.values() for suffix in compiler.suffixes}
        self._suffixes = tuple(sorted({*read, *_SURELY_RULES}))
        self._schema = schema.extended(strict=True) if strict else schema
        self._runtimes = runtimes
        self._kept = KeptRules(tuple(self._compilers.values()), self._schema)

    def pack(self, path: Path) -> Iterator[LoadedFile]:
        """Yield what the files of one pack give."""
        kept = self._kept.pack(str(path))
        tree = rule_tree(path, self._may_hold_rule, kept.archives)
        for problem in tree.problems:
            place = str(problem.location or path)
            yield LoadedFile(place, str(path), errors=(problem,))
        owners: dict[str, str] = {}
        for unit in _units(tree):
            loaded = self._loaded(tree, unit, str(path), kept)
            if loaded is not None:
                yield _with_own_ids(loaded, owners)
        kept.save(tree.archives)

    def _may_hold_rule(self, name: str) -> bool:
        return name == MANIFEST or name in BODIES or name.endswith(self._suffixes)

    def _loaded(self, tree: RuleTree, unit: _Unit, pack: str, kept: KeptPack) -> LoadedFile | None:
        outcome = _Outcome(tree.label(unit.names[0]))
        try:
            files = {name: tree.find(name) for name in unit.names}
            digest = b"".join([file.digest for file in files.values()])
            found = kept.find(unit.names, digest)
            if found is not None:
                outcome.path = found.path
                outcome.rule_ids += found.rule_ids
                outcome.results += found.rules
            else:
                self._compile_unit(tree, unit, files, outcome)
                if outcome.may_be_kept:
                    kept.add(outcome.kept(unit.names, digest))
        except (RuleError, ExceptionGroup) as error:
            outcome.results.append(error)
        if not (outcome.rule_ids or outcome.results):
            return None
        return self._checked(outcome, pack)

    def _compile_unit(
        self, tree: RuleTree, unit: _Unit, files: Mapping[str, FoundFile], outcome: _Outcome
    ) -> None:
        if unit.folder is None:
            self._compile_file(files[unit.names[0]].read(), outcome)
        else:
            self._compile_package(tree, unit.folder, files, outcome)

    def _compile_file(self, file: RuleFile, outcome: _Outcome) -> None:
        for source in self._sources(file, outcome):
            outcome.rule_ids.append(source.metadata.rule_id)
            self._compile_into(source, outcome)

    def _compile_package(
        self, tree: RuleTree, folder: str, files: Mapping[str, FoundFile], outcome: _Outcome
    ) -> None:
        beside = {name.rpartition("/")[2]: name for name in files}
        body_name = body_of(beside, tree.label(folder))
        body = files[beside[body_name]].read()
        manifest = read_manifest(files[beside[MANIFEST]].read())
        metadata = manifest.rule_metadata()
        outcome.rule_ids.append(metadata.rule_id)
        if body_name in PROGRAM_RUNTIMES:
            place = SourceLocation(tree.label(beside[MANIFEST]))
            prefilter = self._prefilter(manifest.prefilter, metadata, place, outcome)
            outcome.results.append(program_rule(manifest, body, body_name, prefilter))
        else:
            for source in self._sources(body, outcome):
                self._compile_into(attrs.evolve(source, metadata=metadata), outcome)
        outcome.path = body.path

    def _prefilter(
        self, text: str | None, metadata: RuleMetadata, location: SourceLocation, outcome: _Outcome
    ) -> EventRule | None:
        if text is None:
            return None
        rule = self._compiled(RuleSource(metadata, "eql", text, location), outcome)
        if not isinstance(rule.body, EventRule):
            raise RuleError("a prefilter is a query for single events", location)
        if rule.pipes:
            raise RuleError("a prefilter has no pipes", location)
        return rule.body

    def _sources(self, file: RuleFile, outcome: _Outcome) -> Sequence[RuleSource]:
        """Ask every compiler that reads such files.

        Raises:
            RuleError: none does, or several found rules in it, or it is wrong; or an
                `ExceptionGroup` of them.
        """
        readers = [c for c in self._compilers.values() if file.path.endswith(tuple(c.suffixes))]
        if not readers:
            raise RuleError(_nobody_reads(file.path), SourceLocation(file.path))
        found = {}
        for compiler in readers:
            outcome.keepable &= compiler.language in self._keepable
            try:
                sources = compiler.read(file)
            except Exception as error:
                if _is_of_rules(error):
                    raise
                raise _blaming(compiler, error, SourceLocation(file.path)) from error
            if sources:
                found[compiler.language] = sources
        if len(found) > 1:
            problem = f"is a rule in more than one language: {', '.join(found)}"
            raise RuleError(problem, SourceLocation(file.path))
        return next(iter(found.values()), ())

    def _compile_into(self, source: RuleSource, outcome: _Outcome) -> None:
        try:
            outcome.results.append(self._compiled(source, outcome))
        except (RuleError, ExceptionGroup) as error:
            outcome.results.append(error)

    def _compiled(self, source: RuleSource, outcome: _Outcome) -> Rule:
        compiler = self._compilers.get(source.language)
        if compiler is None:
            plugin = _PLUGINS_BY_LANGUAGE.get(source.language)
            remedy = f"; install {plugin}" if plugin else ""
            problem = f"no installed plugin compiles the language `{source.language}`{remedy}"
            raise RuleError(problem, SourceLocation(source.location.path))
        outcome.keepable &= compiler.language in self._keepable
        try:
            return compiler.compile(source, self._schema)
        except Exception as error:
            if _is_of_rules(error):
                raise
            raise _blaming(compiler, error, source.location) from error

    def _checked(self, outcome: _Outcome, pack: str) -> LoadedFile:
        """Return what a file gives: the rules that can run, and all errors in their order."""
        rules: list[Rule] = []
        errors: list[RuleError] = []
        for result in outcome.results:
            if isinstance(result, Rule):
                problem = self._problem_of(result)
                if problem is None:
                    rules.append(result)
                else:
                    errors.append(problem)
            else:
                errors += _without_frames(result)
        warnings = tuple([warning for rule in rules for warning in rule.warnings])
        return LoadedFile(
            outcome.path, pack, tuple(rules), tuple(outcome.rule_ids), tuple(errors), warnings
        )

    def _problem_of(self, rule: Rule) -> RuleError | None:
        """Return why a rule that compiles cannot run here."""
        where = rule.location
        if rule.streaming_problem:
            return RuleError(rule.streaming_problem, where, rule_id=rule.rule_id)
        for condition in rule.body.conditions:
            runtime = condition.runtime if isinstance(condition, Program) else NATIVE_RUNTIME
            if self._runtimes is not None and runtime not in self._runtimes:
                plugin = _PLUGINS_BY_LANGUAGE.get(runtime)
                remedy = f"; install {plugin}" if plugin else ""
                problem = f"no installed plugin brings the runtime `{runtime}`{remedy}"
                return RuleError(problem, where, rule_id=rule.rule_id)
        return None


@attrs.define
class _Outcome:
    """What a file has given so far: rules and errors, in order.

    `keepable` says that every compiler that had a part in it has a fingerprint.
    """

    path: str
    rule_ids: list[str] = attrs.field(factory=list)
    results: list[Rule | _RuleErrors] = attrs.field(factory=list)
    keepable: bool = True

    @property
    def may_be_kept(self) -> bool:
        return self.keepable and all(isinstance(result, Rule) for result in self.results)

    def kept(self, names: tuple[str, ...], digest: bytes) -> KeptFile:
        rules = tuple([result for result in self.results if isinstance(result, Rule)])
        return KeptFile(names, digest, self.path, tuple(self.rule_ids), rules)


def _without_frames(error: _RuleErrors) -> Iterator[RuleError]:
    """Yield the single errors without the frames they went through.

    Those would hold all that is in them, such as the files of the archive, for as long as
    somebody keeps the error. Where a plugin is to blame, its author needs them.
    """
    for single in errors_in(error):
        if single.severity is not Severity.CRITICAL:
            single.__traceback__ = single.__cause__ = single.__context__ = None
        yield single


@attrs.frozen
class _Unit:
    """A file, or (with `folder`) the files of a package."""

    names: tuple[str, ...]
    folder: str | None = None


def _units(tree: RuleTree) -> Iterator[_Unit]:
    """Yield the files of a tree in order, those of a package together."""
    packages: dict[str, list[str]] = {
        name.rpartition("/")[0]: [] for name in tree.names if name.rpartition("/")[2] == MANIFEST
    }
    for name in tree.names:
        folder, _, base = name.rpartition("/")
        if folder in packages and (base == MANIFEST or base in BODIES):
            packages[folder].append(name)
    for name in tree.names:
        folder, _, base = name.rpartition("/")
        if name in packages.get(folder, ()):
            if base == MANIFEST:
                yield _Unit(tuple(packages[folder]), folder)
        elif base not in PROGRAM_RUNTIMES:
            yield _Unit((name,))


def _with_own_ids(loaded: LoadedFile, owners: dict[str, str]) -> LoadedFile:
    """Return `loaded` without the rules whose ids an earlier rule of the pack has."""
    errors: list[RuleError] = []
    for rule_id in loaded.rule_ids:
        owner = owners.get(rule_id)
        if owner is not None:
            problem = f"the rule id `{rule_id}` is already used in {owner}"
            errors.append(RuleError(problem, SourceLocation(loaded.path), rule_id=rule_id))
        owners.setdefault(rule_id, loaded.path)
    if not errors:
        return loaded
    taken = {error.context["rule"] for error in errors}
    rules = tuple(rule for rule in loaded.rules if rule.rule_id not in taken)
    return attrs.evolve(loaded, rules=rules, errors=(*loaded.errors, *errors))


def _is_of_rules(error: Exception) -> bool:
    """Say whether a compiler may raise that: it is about rules alone."""
    if isinstance(error, ExceptionGroup):
        return error.split(RuleError)[1] is None
    return isinstance(error, RuleError)


def _blaming(compiler: RuleCompiler, error: Exception, location: SourceLocation) -> RuleError:
    """Return the error about a compiler that raised something else."""
    blame = (
        str(error)
        if isinstance(error, KestrelError)
        else f"the compiler for `{compiler.language}` failed: {type(error).__name__}: {error}"
    )
    return RuleError(
        f"{blame} (a fault of the plugin, not of the rule)",
        SourceLocation(location.path),
        severity=Severity.CRITICAL,
    )


def _nobody_reads(path: str) -> str:
    if path.endswith(ARCHIVE_SUFFIXES):
        return "an archive inside an archive is not read"
    suffix = Path(path).suffix
    plugin = _PLUGINS_BY_SUFFIX.get(suffix)
    if plugin:
        return f"no installed plugin reads `{suffix}` files; install {plugin}"
    return f"no installed plugin reads `{suffix}` files" if suffix else "is no rule file"
