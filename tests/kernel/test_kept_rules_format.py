"""Rules of a pack as bytes: what is written is read again, and nothing else is."""

from __future__ import annotations

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._kept_rules_format import (
    EncodedMapping,
    KeptDocument,
    KeptFile,
    _Metadata,
    decode_kept,
    encode_kept,
)
from kestrel_framework.errors import RuleError, Severity, SourceLocation
from kestrel_framework.predicate import ALWAYS, NEVER, Literal, Not
from kestrel_framework.rule import (
    EventRule,
    Pipe,
    Program,
    Rollout,
    RolloutMode,
    Rule,
    RuleMetadata,
    RuleSeverity,
    SequenceRule,
    Step,
    Technique,
)
from kestrel_framework.schema import FieldType

_PLACE = SourceLocation("a/b.eql", 3, 7, "any where é")
_METADATA = RuleMetadata(
    "id", "name", "7", "description", ("me", "you"), RuleSeverity.CRITICAL, 99, ("t", "u"), ("r",),
    ("f",), (Technique("TA1", "a", "T1", "b", "c"), Technique()), ("act",), "MIT", {"k": [{}]},
)  # fmt: skip
_WARNING = RuleError("odd", attrs.evolve(_PLACE, path="c"), severity=Severity.WARNING)
_NAMED = RuleError("odd", None, rule_id="id")
_RULES = (
    Rule(_METADATA, EventRule(frozenset({"x"}), ALWAYS), "eql", _PLACE, warnings=(_WARNING,)),
    Rule(_METADATA, SequenceRule((Step(frozenset(), NEVER),)), pipes=(Pipe("head", (3,)),) * 2),
    Rule(
        RuleMetadata("p"),
        EventRule(frozenset(), Program("lua", b"\x00", {"a": FieldType.IP}, ALWAYS)),
        warnings=(_NAMED,),
    ),
)
_DOCUMENT = KeptDocument(
    {b"archive": ("x", "y/z")},
    (
        KeptFile(("b.eql",), b"digest", "a/b.eql", ("id", "id"), _RULES[:2]),
        KeptFile(
            ("p/manifest.json", "p/predicate.lua"), b"", "p/predicate.lua", ("p",), _RULES[2:]
        ),
        KeptFile(("none.toml",), b"d", "none.toml", (), ()),
    ),
)


def told(document: KeptDocument) -> list[object]:
    return [
        (repr(rule), dict(rule.metadata.extra), [(str(w), w.__dict__) for w in rule.warnings])
        for file in document.files
        for rule in file.rules
    ]


def test_a_document_comes_back() -> None:
    data = encode_kept(_DOCUMENT)
    read = decode_kept(data)
    assert read == _DOCUMENT
    assert told(read) == told(_DOCUMENT)
    assert encode_kept(read) == data


def test_no_attribute_of_the_metadata_is_forgotten() -> None:
    assert [a.name for a in attrs.fields(RuleMetadata)] == list(_Metadata.__struct_fields__)


@pytest.mark.parametrize(
    "wrong",
    [
        attrs.evolve(_RULES[0], rollout=Rollout(RolloutMode.SHADOW)),
        attrs.evolve(_RULES[0], metadata=attrs.evolve(_METADATA, tags=["list"])),  # type: ignore[arg-type]
        attrs.evolve(_RULES[0], metadata=attrs.evolve(_METADATA, name="\ud800")),
        attrs.evolve(_RULES[0], metadata=attrs.evolve(_METADATA, risk_score="9")),  # type: ignore[arg-type]
        attrs.evolve(_RULES[0], metadata=attrs.evolve(_METADATA, extra={"a": (1,)})),
        attrs.evolve(_RULES[0], body=EventRule(frozenset(), Not(Literal(1)))),  # type: ignore[arg-type]
        attrs.evolve(_RULES[0], warnings=(RuleError("\ud800"),)),
    ],
)
def test_a_file_that_would_not_come_back_is_left_out(wrong: Rule) -> None:
    file = attrs.evolve(_DOCUMENT.files[0], rules=(wrong,))
    read = decode_kept(encode_kept(attrs.evolve(_DOCUMENT, files=(file, *_DOCUMENT.files))))
    assert read == _DOCUMENT


def test_an_unusual_warning_is_left_out() -> None:
    for change in ({"transient": True}, {"context": {"rule": "r", "plugin": "p"}}):
        warning = RuleError("odd", rule_id="r")
        warning.__dict__.update(change)
        file = attrs.evolve(
            _DOCUMENT.files[0], rules=(attrs.evolve(_RULES[0], warnings=(warning,)),)
        )
        assert decode_kept(encode_kept(attrs.evolve(_DOCUMENT, files=(file,)))).files == ()


@given(st.data())
def test_damaged_bytes_give_a_document_or_an_error(data: st.DataObject) -> None:
    whole = bytearray(encode_kept(_DOCUMENT))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        cut = data.draw(st.integers(0, 3))
        whole[at : at + cut] = data.draw(st.binary(max_size=3))
    _read_or_refuse(bytes(whole))


@given(st.binary(max_size=200))
def test_random_bytes_give_a_document_or_an_error(data: bytes) -> None:
    _read_or_refuse(data)


def _read_or_refuse(data: bytes) -> None:
    try:
        read = decode_kept(data)
    except ValueError:
        return
    assert told(read) is not None
    for file in read.files:
        assert all(rule.semantic_hash for rule in file.rules)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ((1,), []),  # a technique that is not there
        ((2, 0, 4, 0, 3), 1),  # a pipe that is not there
        ((2, 0, 4, 1, 3), 1),  # a pipe where a body should be
        ((2,), []),  # bodies without rules
        ((3,), b""),
        ((2, 0, 4, 0, 0, 10), [-1]),
    ],
)
def test_numbers_that_lead_nowhere_are_refused(at: tuple[int, ...], value: object) -> None:
    document = msgspec.msgpack.decode(encode_kept(_DOCUMENT))
    place = document
    for number in at[:-1]:
        place = place[number]
    place[at[-1]] = value
    with pytest.raises(ValueError, match=r"kept rules|encoded rule|no body|cannot stand"):
        decode_kept(msgspec.msgpack.encode(document))


def test_an_encoded_mapping_that_is_damaged_is_empty() -> None:
    assert dict(EncodedMapping(b"\xc1")) == dict(EncodedMapping(b"\x01")) == {}
    assert EncodedMapping(msgspec.msgpack.encode({"a": 1}))["a"] == 1
