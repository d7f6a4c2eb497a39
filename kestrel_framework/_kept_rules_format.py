"""How rules that are kept are written as bytes, and read again.

Rules of a pack say much twice: all bodies are in one document of `kestrel_framework.rule_encoding`,
which has equal parts once, and all techniques are in one table. Equal texts are one object in
memory. What a rule file says and Kestrel does not use stays encoded until somebody asks for it.
What the matcher makes of each condition is kept beside it (`kestrel_framework._kept_clauses`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Final, TypeAlias, TypeVar, get_args

import attrs
import msgspec

from kestrel_framework._kept_clauses import ClauseReader, ClauseWriter, ConditionRecord
from kestrel_framework.errors import RuleError, Severity, SourceLocation
from kestrel_framework.predicate import Predicate
from kestrel_framework.rule import (
    Pipe,
    Rollout,
    Rule,
    RuleBody,
    RuleMetadata,
    RuleSeverity,
    Technique,
)
from kestrel_framework.rule_encoding import decode_parts, encode_parts

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_Texts: TypeAlias = tuple[str, ...]

_LIVE: Final = Rollout()


@attrs.frozen
class KeptFile:
    """What one file, or the files of one package folder, compiled to without an error.

    Attributes:
        names: The files, relative to the pack.
        digest: Of their contents.
        path: How messages name the file with the rules.
        rule_ids: The ids of all rules in it.
        rules: The rules.
    """

    names: tuple[str, ...]
    digest: bytes
    path: str
    rule_ids: tuple[str, ...]
    rules: tuple[Rule, ...]


@attrs.frozen
class KeptDocument:
    """What is kept of one pack; see `kestrel_framework._rule_files` for the archives."""

    archives: Mapping[bytes, tuple[str, ...]]
    files: tuple[KeptFile, ...]


class EncodedMapping(Mapping[str, object]):
    """A mapping that is decoded anew whenever somebody looks into it."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __getitem__(self, key: str) -> object:
        return self.decoded()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.decoded())

    def __len__(self) -> int:
        return len(self.decoded())

    def __repr__(self) -> str:
        return repr(self.decoded())

    def decoded(self) -> dict[str, object]:
        """Return all of it: cheaper than to look at one thing after the other."""
        try:
            return _EXTRA.decode(self._data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return {}


def _decoded(extra: Mapping[str, object]) -> dict[str, object]:
    return extra.decoded() if isinstance(extra, EncodedMapping) else dict(extra)


class _Place(msgspec.Struct, array_like=True, frozen=True):
    """An empty path stands for that of the file."""

    path: str
    line: int | None
    column: int | None
    text: str | None


class _Warning(msgspec.Struct, array_like=True, frozen=True):
    problem: str
    place: _Place | None
    severity: Severity
    rule_id: str | None


class _Metadata(msgspec.Struct, array_like=True, frozen=True):
    """As `RuleMetadata`; techniques are numbers in the table."""

    rule_id: str
    name: str
    version: str
    description: str
    authors: _Texts
    severity: RuleSeverity
    risk_score: int
    tags: _Texts
    references: _Texts
    false_positives: _Texts
    threat: tuple[_Count, ...]
    actions: _Texts
    license: str
    extra: bytes


class _Rule(msgspec.Struct, array_like=True, frozen=True):
    metadata: _Metadata
    language: str
    location: _Place | None
    pipes: _Count
    warnings: tuple[_Warning, ...]
    clauses: tuple[ConditionRecord, ...]
    """Those of each condition; empty where none are kept."""


class _File(msgspec.Struct, array_like=True, frozen=True):
    names: _Texts
    digest: bytes
    path: str
    rule_ids: _Texts
    rules: tuple[_Rule, ...]


class _Archive(msgspec.Struct, array_like=True, frozen=True):
    digest: bytes
    names: _Texts


class _Document(msgspec.Struct, array_like=True, frozen=True):
    archives: tuple[_Archive, ...]
    techniques: tuple[_Texts, ...]
    files: tuple[_File, ...]
    parts: bytes
    """The body of each rule, and after it its pipes; then what clauses require."""


_Part: TypeAlias = RuleBody | Pipe | Predicate
_PartT = TypeVar("_PartT", bound=_Part)

_BODIES: Final[tuple[type[RuleBody], ...]] = get_args(RuleBody)
_PREDICATES: Final[tuple[type[Predicate], ...]] = get_args(Predicate)


_DOCUMENT: Final = msgspec.msgpack.Decoder(_Document)
_EXTRA: Final = msgspec.msgpack.Decoder(dict[str, object])
_NOT_WRITTEN: Final = (
    ValueError, TypeError, OverflowError, RecursionError, AttributeError, msgspec.MsgspecError,
)  # fmt: skip


def encode_kept(document: KeptDocument) -> bytes:
    """Return the bytes of a document, without the files that would not be read as they are.

    Clauses may be too deep to be written where the rules are not; then there are none.
    """
    for writes_clauses in (True, False):
        data = _written(document, writes_clauses)
        if data is not None:
            return data
    files = tuple(
        [file for file in document.files if _written(KeptDocument({}, (file,)), False) is not None]
    )
    data = _written(attrs.evolve(document, files=files), False)
    return data or _Writer(False).document(KeptDocument({}, ()))


def decode_kept(data: bytes | memoryview) -> KeptDocument:
    """Return the document that `encode_kept` made `data` of.

    Raises:
        ValueError: the bytes are not those of a document.
    """
    try:
        document = _DOCUMENT.decode(data)
        return _Reader(document, decode_parts(document.parts)).document()
    except (msgspec.MsgspecError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"these are no kept rules: {error}") from error


def _written(document: KeptDocument, writes_clauses: bool) -> bytes | None:
    """Return the bytes of a document; None if it would not be read as it is.

    Bodies and pipes are left out of the comparison: `encode_parts` refuses those that would not.
    """
    writer = _Writer(writes_clauses)
    try:
        data = writer.document(document)
        read = _Reader(_DOCUMENT.decode(data), writer.parts).document()
        return data if _is_same(read, document) else None
    except _NOT_WRITTEN:
        return None


def _is_same(left: KeptDocument, right: KeptDocument) -> bool:
    return left == right and all(
        _decoded(one.metadata.extra) == _decoded(other.metadata.extra)
        and [_told(warning) for warning in one.warnings]
        == [_told(warning) for warning in other.warnings]
        for one, other in zip(_rules_of(left), _rules_of(right), strict=True)
    )


def _rules_of(document: KeptDocument) -> Iterator[Rule]:
    for file in document.files:
        yield from file.rules


def _told(error: RuleError) -> tuple[object, ...]:
    return type(error), error.args, {**error.__dict__, "context": dict(error.context)}


class _Writer:
    """Numbers the techniques of one document, and gathers its bodies."""

    def __init__(self, writes_clauses: bool) -> None:
        self._techniques: dict[_Texts, int] = {}
        self._clauses = ClauseWriter() if writes_clauses else None
        self.parts: list[_Part] = []

    def document(self, document: KeptDocument) -> bytes:
        archives = tuple([_Archive(*archive) for archive in document.archives.items()])
        files = tuple([self._file(file) for file in document.files])
        if self._clauses is not None:
            self.parts += self._clauses.predicates
        parts = encode_parts(self.parts)
        return msgspec.msgpack.encode(_Document(archives, tuple(self._techniques), files, parts))

    def _file(self, file: KeptFile) -> _File:
        rules = tuple([self._rule(rule, file.path) for rule in file.rules])
        return _File(file.names, file.digest, file.path, file.rule_ids, rules)

    def _rule(self, rule: Rule, path: str) -> _Rule:
        self.parts += (rule.body, *rule.pipes)
        return _Rule(
            self._metadata(rule.metadata),
            rule.language,
            _written_place(rule.location, path),
            len(rule.pipes),
            tuple([_written_warning(warning, path) for warning in rule.warnings]),
            self._clauses_of(rule.body),
        )

    def _clauses_of(self, body: RuleBody) -> tuple[ConditionRecord, ...]:
        if self._clauses is None:
            return ()
        return tuple([self._clauses.record(condition) for condition in body.conditions])

    def _metadata(self, metadata: RuleMetadata) -> _Metadata:
        values = {name: getattr(metadata, name) for name in _Metadata.__struct_fields__}
        values["extra"] = msgspec.msgpack.encode(_decoded(metadata.extra))
        values["threat"] = tuple([self._technique(each) for each in metadata.threat])
        return _Metadata(**values)

    def _technique(self, technique: Technique) -> int:
        texts = attrs.astuple(technique)
        return self._techniques.setdefault(texts, len(self._techniques))


class _Reader:
    """Makes the rules of one document; what is equal in many of them is one object."""

    def __init__(self, document: _Document, parts: Sequence[_Part]) -> None:
        self._document = document
        self._techniques = [Technique(*texts) for texts in document.techniques]
        rules = [rule for file in document.files for rule in file.rules]
        of_rules = len(rules) + sum([rule.pipes for rule in rules])
        if len(parts) < of_rules:
            raise ValueError("a rule has no body, or fewer pipes than it says")
        self._parts = iter(parts[:of_rules])
        self._clauses = ClauseReader(_all_of(_PREDICATES, parts[of_rules:]))
        self._texts: dict[str, str] = {}

    def document(self) -> KeptDocument:
        archives = {archive.digest: archive.names for archive in self._document.archives}
        return KeptDocument(archives, tuple([self._file(file) for file in self._document.files]))

    def _file(self, file: _File) -> KeptFile:
        rules = tuple([self._rule(rule, file.path) for rule in file.rules])
        return KeptFile(file.names, file.digest, file.path, file.rule_ids, rules)

    def _rule(self, rule: _Rule, path: str) -> Rule:
        (body,) = _all_of(_BODIES, islice(self._parts, 1))
        pipes = _all_of((Pipe,), islice(self._parts, rule.pipes))
        if rule.clauses:
            for condition, record in zip(body.conditions, rule.clauses, strict=True):
                self._clauses.read(condition, record)
        return Rule(
            self._metadata(rule.metadata),
            body,
            self._text(rule.language),
            _read_place(rule.location, path),
            pipes,
            tuple([_read_warning(warning, path) for warning in rule.warnings]),
            _LIVE,
        )

    def _metadata(self, metadata: _Metadata) -> RuleMetadata:
        text = self._text
        return RuleMetadata(
            metadata.rule_id,
            metadata.name,
            text(metadata.version),
            metadata.description,
            tuple([text(each) for each in metadata.authors]),
            metadata.severity,
            metadata.risk_score,
            tuple([text(each) for each in metadata.tags]),
            metadata.references,
            metadata.false_positives,
            tuple([self._techniques[number] for number in metadata.threat]),
            tuple([text(each) for each in metadata.actions]),
            text(metadata.license),
            EncodedMapping(metadata.extra),
        )

    def _text(self, text: str) -> str:
        return self._texts.setdefault(text, text)


def _all_of(kinds: tuple[type[_PartT], ...], parts: Iterable[_Part]) -> tuple[_PartT, ...]:
    """Return parts that have to be of certain kinds."""
    found = []
    for part in parts:
        if not isinstance(part, kinds):
            raise ValueError(f"a {type(part).__name__} cannot stand there")  # noqa: TRY004 - data
        found.append(part)
    return tuple(found)


def _written_place(place: SourceLocation | None, path: str) -> _Place | None:
    if place is None:
        return None
    return _Place("" if place.path == path else place.path, place.line, place.column, place.text)


def _read_place(place: _Place | None, path: str) -> SourceLocation | None:
    if place is None:
        return None
    return SourceLocation(place.path or path, place.line, place.column, place.text)


def _written_warning(warning: RuleError, path: str) -> _Warning:
    rule_id = warning.context.get("rule")
    return _Warning(
        warning.problem,
        _written_place(warning.location, path),
        warning.severity,
        rule_id if isinstance(rule_id, str) else None,
    )


def _read_warning(warning: _Warning, path: str) -> RuleError:
    place = _read_place(warning.place, path)
    return RuleError(warning.problem, place, severity=warning.severity, rule_id=warning.rule_id)
