"""Package folders: a rule's metadata in `manifest.json`, and its body in a file beside it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Final

import attrs

from kestrel_framework.config import typed_section
from kestrel_framework.errors import ConfigurationError, RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import (
    EventRule,
    Program,
    Rule,
    RuleMetadata,
    RuleSeverity,
    Technique,
)
from kestrel_framework.schema import FieldType

MANIFEST: Final = "manifest.json"
PROGRAM_RUNTIMES: Final[Mapping[str, str]] = {
    "predicate.lua": "lua",
    "rule.wasm": "wasm",
    "rule.wat": "wasm",
}
BODIES: Final = ("rule.eql", *PROGRAM_RUNTIMES)
_FORMAT_VERSIONS: Final = ("1", "1.0")


@attrs.frozen
class ManifestMetadata:
    """What people and the kernel know of the rule."""

    rule_id: str
    rule_name: str = ""
    rule_version: str | int = "1"
    author: str | tuple[str, ...] = ()
    description: str = ""
    tags: tuple[str, ...] = ()
    severity: RuleSeverity = RuleSeverity.MEDIUM
    risk_score: int = attrs.field(
        default=50, validator=[attrs.validators.ge(0), attrs.validators.le(100)]
    )
    references: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    threat: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    license: str = ""
    schema_version: str | int = "1"


@attrs.frozen
class Manifest:
    """A `manifest.json`.

    Attributes:
        format_version: The version of this format: 1.
        metadata: What people and the kernel know of the rule.
        capabilities: What the body says it can do; kept, and not used.
        runtime: The runtime of a program; the body's file name says which if left out.
        event_types: The event types a program is asked about; all, if none.
        fields: The fields a program sees, with their types.
        prefilter: An EQL event query that must hold before a program is asked.
    """

    format_version: str | int
    metadata: ManifestMetadata
    capabilities: Mapping[str, object] = attrs.field(factory=dict)
    runtime: str | None = None
    event_types: tuple[str, ...] = ()
    fields: Mapping[str, FieldType] = attrs.field(factory=dict)
    prefilter: str | None = None

    def rule_metadata(self) -> RuleMetadata:
        """Return the metadata as the kernel knows it."""
        about = self.metadata
        return RuleMetadata(
            rule_id=about.rule_id,
            name=about.rule_name,
            version=str(about.rule_version),
            description=about.description,
            authors=(about.author,) if isinstance(about.author, str) else about.author,
            severity=about.severity,
            risk_score=about.risk_score,
            tags=about.tags,
            references=about.references,
            false_positives=about.false_positives,
            threat=tuple(Technique(technique_id=technique) for technique in about.threat),
            actions=about.actions,
            license=about.license,
            extra={
                "schema_version": str(about.schema_version),
                "capabilities": dict(self.capabilities),
            },
        )


def read_manifest(file: RuleFile) -> Manifest:
    """Read and check a manifest.

    Raises:
        ExceptionGroup: of a `RuleError` for each thing that is wrong.
    """
    try:
        text = file.text()
    except UnicodeDecodeError as error:
        raise _group(file, [RuleError("is not UTF-8", SourceLocation(file.path))]) from error
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        location = SourceLocation.in_text(file.path, text, error.pos)
        raise _group(file, [RuleError(f"is not valid JSON: {error.msg}", location)]) from error
    except (ValueError, RecursionError) as error:
        problem = "is not valid JSON: nested too deeply, or a number is too long"
        raise _group(file, [RuleError(problem, SourceLocation(file.path))]) from error
    try:
        manifest = typed_section(Manifest, data, "")
    except ConfigurationError as error:
        single = error.errors or (error,)
        raise _group(file, [_located(one, file.path, text) for one in single]) from error
    problems = []
    if str(manifest.format_version) not in _FORMAT_VERSIONS:
        problem = f"unknown format version {manifest.format_version}; this kernel reads 1"
        problems.append(ConfigurationError(problem, path="format_version"))
    if not manifest.metadata.rule_id:
        problems.append(ConfigurationError("is empty", path="metadata.rule_id"))
    if problems:
        raise _group(file, [_located(problem, file.path, text) for problem in problems])
    return manifest


def body_of(names: Collection[str], folder: str) -> str:
    """Return which of the files beside a manifest is the rule.

    Raises:
        RuleError: none is, or it is not clear which.
    """
    found = [name for name in BODIES if name in names]
    if found == ["rule.wasm", "rule.wat"]:
        return "rule.wasm"
    if len(found) == 1:
        return found[0]
    problem = (
        f"has more than one rule: {', '.join(found)}"
        if found
        else f"has no rule beside its manifest: expected one of {', '.join(BODIES)}"
    )
    raise RuleError(problem, SourceLocation(folder))


def program_rule(
    manifest: Manifest, body: RuleFile, name: str, prefilter: EventRule | None
) -> Rule:
    """Return the rule whose body is a program.

    Raises:
        RuleError: the prefilter is itself a program.
    """
    if prefilter is not None and isinstance(prefilter.predicate, Program):
        raise RuleError("a prefilter cannot be a program", SourceLocation(body.path))
    program = Program(
        runtime=manifest.runtime or PROGRAM_RUNTIMES[name],
        payload=body.content,
        fields=manifest.fields,
        prefilter=prefilter.predicate if prefilter is not None else None,  # type: ignore[arg-type]
    )
    types = frozenset(manifest.event_types)
    if not types and prefilter is not None:
        types = prefilter.event_types
    return Rule(
        manifest.rule_metadata(),
        EventRule(types, program),
        language=program.runtime,
        location=SourceLocation(body.path),
    )


def _located(error: ConfigurationError, path: str, text: str) -> RuleError:
    """Return the error at the place where its key, or what should hold it, seems to stand."""
    location = SourceLocation(path)
    for key in reversed(error.path.partition("[")[0].split(".")):
        position = text.find(json.dumps(key))
        if key and position >= 0:
            location = SourceLocation.in_text(path, text, position)
            break
    return RuleError(str(error), location)


def _group(file: RuleFile, errors: list[RuleError]) -> ExceptionGroup[RuleError]:
    return ExceptionGroup(f"{file.path} is no valid manifest", errors)
