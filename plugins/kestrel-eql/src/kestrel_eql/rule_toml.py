"""Reads rule files as Elastic publishes them: TOML with a `[rule]` table.

Two shapes exist. Detection rules have `rule_id`, `language` and `[[rule.threat]]`;
endpoint rules have `id`, no language (all are EQL), and `[[threat]]` and
`[[actions]]` beside the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kestrel_eql.metadata_reader import MetadataReader
from kestrel_eql.toml_text import TomlText, file_text, parse_toml, plain
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import RuleMetadata, RuleSource, Technique

_USED: Final = frozenset(
    {"rule_id", "id", "name", "version", "description", "author", "severity", "risk_score", "tags",
     "references", "reference", "false_positives", "threat", "license", "query", "language"}
)  # fmt: skip
_QUERY_LANGUAGES: Final = ("eql", "kuery", "lucene", "esql")


def read_rule_toml(file: RuleFile) -> Sequence[RuleSource]:
    """Return the rule of a file; none if the file is TOML without a `[rule]` table.

    A rule in another language is returned under that language's name; one without a
    query (a machine-learning rule) under the name of its type.

    Raises:
        RuleError: the file is not TOML; or an `ExceptionGroup` of all that is wrong with it.
    """
    toml = parse_toml(file.path, file_text(file))
    rule = toml.values.get("rule")
    if not isinstance(rule, dict):
        return []
    reader = MetadataReader(toml, ("rule",), rule)
    language = _language(reader, rule)
    query = reader.text("query")
    if not query and language in _QUERY_LANGUAGES:
        reader.error("the rule has no `query`")
    metadata = _metadata(toml, reader, rule)
    reader.throw()
    location = toml.value_location(("rule", "query"))
    return [RuleSource(metadata, language, query, location)]


def _language(reader: MetadataReader, rule: Mapping[str, object]) -> str:
    if "language" in rule:
        return reader.text("language")
    kind = reader.text("type")
    return kind if kind not in ("", "eql") and "query" not in rule else "eql"


def _metadata(toml: TomlText, reader: MetadataReader, rule: Mapping[str, object]) -> RuleMetadata:
    outer = MetadataReader(toml, (), toml.values)
    id_key = "rule_id" if "rule_id" in rule else "id"
    rule_id = reader.text(id_key)
    if not rule_id.strip():
        reader.error("the rule has no `rule_id`")
    threats = reader.tables("threat") if "threat" in rule else outer.tables("threat")
    actions = [entry.get("action") for entry in outer.tables("actions")]
    metadata = RuleMetadata(
        rule_id=rule_id,
        name=reader.text("name"),
        version=reader.version("version"),
        description=reader.text("description").strip(),
        authors=reader.text_or_texts("author"),
        severity=reader.severity("severity"),
        risk_score=reader.score("risk_score"),
        tags=reader.texts("tags"),
        references=reader.texts("references") or reader.texts("reference"),
        false_positives=reader.text_or_texts("false_positives"),
        threat=tuple(technique for entry in threats for technique in _techniques(entry)),
        actions=tuple(dict.fromkeys(name for name in actions if isinstance(name, str))),
        license=reader.text("license"),
        extra=_extra(toml, rule),
    )
    reader.adopt(outer)
    return metadata


def _extra(toml: TomlText, rule: Mapping[str, object]) -> dict[str, object]:
    extra = {key: plain(value) for key, value in rule.items() if key not in _USED}
    extra |= {
        key: plain(value) for key, value in toml.values.items() if key not in ("rule", "threat")
    }
    return extra


def _techniques(entry: Mapping[str, object]) -> list[Technique]:
    """Return one technique for each technique and sub-technique; the tactic alone without any."""
    tactic = _table(entry.get("tactic"))
    tactic_id, tactic_name = _name(tactic, "id"), _name(tactic, "name")
    found = [
        Technique(
            tactic_id, tactic_name, _name(item, "id"), _name(item, "name"), _name(item, "reference")
        )
        for technique in _tables(entry.get("technique"))
        for item in (technique, *_tables(technique.get("subtechnique")))
    ]
    return found or [Technique(tactic_id, tactic_name, reference=_name(tactic, "reference"))]


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[Mapping[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _name(table: Mapping[str, object], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
