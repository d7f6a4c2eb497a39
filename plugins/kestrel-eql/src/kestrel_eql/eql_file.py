"""Reads `.eql` files: EQL, with what is known of the rule in a leading comment."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from kestrel_eql.metadata_reader import MetadataReader
from kestrel_eql.toml_text import TomlText, file_text, parse_toml
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import RuleMetadata, RuleSource, Technique

_KEYS: Final = (
    "id", "name", "version", "description", "author", "authors", "severity", "risk_score", "tags",
    "references", "false_positives", "threat", "actions", "license", "dialect",
)  # fmt: skip
_THREAT_KEYS: Final = ("tactic_id", "tactic", "technique_id", "technique", "reference")
_FRONT_MATTER_LINE: Final = re.compile(
    r"^[ \t]*(?:[A-Za-z0-9_.\"-]+[ \t]*=(?!=)|\[\[?[A-Za-z0-9_.]+\]\]?[ \t]*$)", re.MULTILINE
)


def read_eql_file(file: RuleFile) -> RuleSource:
    """Return the rule of an `.eql` file, not compiled.

    A block comment at the beginning in which a line looks like `key = value` is its
    front matter, in TOML. Without one the rule's id is the name of the file.

    Raises:
        RuleError: the file cannot be read; or an `ExceptionGroup` of all that is wrong
            with its front matter.
    """
    text = file_text(file)
    start = len(text) - len(text.lstrip())
    if not text.startswith("/*", start):
        return _source(RuleMetadata(_stem(file.path)), file.path, text, start)
    end = text.find("*/", start)
    if end < 0:
        location = SourceLocation.in_text(file.path, text, start)
        raise RuleError("the comment `/*` is never closed", location)
    if not _FRONT_MATTER_LINE.search(text, start + 2, end):
        return _source(RuleMetadata(_stem(file.path)), file.path, text, start)
    toml = parse_toml(file.path, text, start + 2, end)
    metadata = _metadata(toml, MetadataReader(toml, (), toml.values), file.path)
    rest = end + 2
    begin = rest + len(text[rest:]) - len(text[rest:].lstrip())
    dialect = toml.values.get("dialect")
    options = {"dialect": dialect} if isinstance(dialect, str) else {}
    return _source(metadata, file.path, text, begin, options)


def _source(
    metadata: RuleMetadata,
    path: str,
    text: str,
    begin: int,
    options: dict[str, str] | None = None,
) -> RuleSource:
    location = SourceLocation.in_text(path, text, begin)
    return RuleSource(metadata, "eql", text[begin:], location, options or {})


def _stem(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).stem


def _metadata(toml: TomlText, reader: MetadataReader, path: str) -> RuleMetadata:
    reader.only(_KEYS)
    reader.text("dialect")
    if "author" in toml.values and "authors" in toml.values:
        reader.error("write `author` or `authors`, not both", "author")
    rule_id = reader.text("id", _stem(path))
    if not rule_id.strip():
        reader.error("`id` must not be empty", "id")
    metadata = RuleMetadata(
        rule_id=rule_id,
        name=reader.text("name"),
        version=reader.version("version"),
        description=reader.text("description").strip(),
        authors=reader.text_or_texts("authors" if "authors" in toml.values else "author"),
        severity=reader.severity("severity"),
        risk_score=reader.score("risk_score"),
        tags=reader.texts("tags"),
        references=reader.texts("references"),
        false_positives=reader.text_or_texts("false_positives"),
        threat=_threat(toml, reader),
        actions=reader.texts("actions"),
        license=reader.text("license"),
    )
    reader.throw()
    return metadata


def _threat(toml: TomlText, reader: MetadataReader) -> tuple[Technique, ...]:
    value = toml.values.get("threat", [])
    if isinstance(value, list) and value and isinstance(value[0], str):
        return tuple(Technique(technique_id=name) for name in reader.texts("threat"))
    techniques: list[Technique] = []
    for entry in reader.tables("threat"):
        if reader.is_full:
            break
        inner = MetadataReader(toml, ("threat",), entry)
        inner.only(_THREAT_KEYS)
        techniques.append(
            Technique(
                tactic_id=inner.text("tactic_id"),
                tactic_name=inner.text("tactic"),
                technique_id=inner.text("technique_id"),
                technique_name=inner.text("technique"),
                reference=inner.text("reference"),
            )
        )
        reader.adopt(inner)
    return tuple(techniques)
