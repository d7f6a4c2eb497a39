"""Compiled rules as bytes: what is written is read again, and nothing else is."""

from __future__ import annotations

import math
import time

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kestrel_framework import predicate as tree
from kestrel_framework._rule_codecs import SHAPES
from kestrel_framework.functions import Function
from kestrel_framework.predicate import (
    ALWAYS,
    MAX_DEPTH,
    And,
    Comparison,
    ComparisonOperator,
    Field,
    Literal,
    Not,
    Predicate,
)
from kestrel_framework.predicate_traversal import depth, to_data
from kestrel_framework.rule import (
    EventRule,
    JoinKey,
    JoinRule,
    Pipe,
    Program,
    Rule,
    RuleBody,
    RuleMetadata,
    SampleRule,
    SequenceRule,
    Step,
)
from kestrel_framework.rule_encoding import (
    MAX_NODES,
    VERSION,
    decode_body,
    decode_pipes,
    decode_predicate,
    encode_body,
    encode_pipes,
    encode_predicate,
)
from kestrel_framework.schema import FieldType
from kestrel_framework.testing.strategies import predicates, texts, values

_PATH = Field("process.args[0].b", FieldType.DATE, whole=True, formats=("yyyy",), null_value="-")
_LEAF = Comparison(ComparisonOperator.LESS_OR_EQUAL, _PATH, Literal(1.5), fold=True)
_STEP = Step(
    frozenset({"process", "file"}),
    tree.Lineage(
        tree.LineageRelation.DESCENDANT, frozenset({"process"}), _LEAF, Field("a"), Field("b")
    ),
    (JoinKey(Field("host.id"), optional=True, fold=True),),
    missing=True,
    name="first",
    fork=True,
)
_CONDITION = tree.Or(
    (
        tree.AnyElement(_PATH, "x", tree.IsNull(tree.Element("x", "y", FieldType.IP))),
        tree.Cidr(Field("ip"), ("10.0.0.0/8", "::/0")),
        tree.Membership(Field("a"), (Literal("x"), Literal(1), Literal(True)), fold=True),
        tree.TextTest(tree.TextPart.SUFFIX, Field("a"), tree.StepField(3, "b"), fold=True),
        tree.Wildcard(Field("a"), ("*x", "y?"), fold=False),
        tree.Regex(Field("a"), ("a+",), fold=True),
        And((Not(ALWAYS), _LEAF)),
        Comparison(
            ComparisonOperator.EQUAL,
            tree.Arithmetic(tree.ArithmeticOperator.MODULO, Literal(7), Literal(None)),
            tree.Call(Function.CONCAT, (tree.Truth(_LEAF, ALWAYS),), fold=True),
        ),
        Comparison(
            ComparisonOperator.GREATER, tree.ElementCount(_PATH, "x", _LEAF), Literal(-(2**70))
        ),
    )
)
_PROGRAM = Program("lua", b"\x00return", {"b": FieldType.IP, "a": FieldType.LONG}, _LEAF)
_BODIES: tuple[RuleBody, ...] = (
    EventRule(frozenset(), _CONDITION),
    EventRule(frozenset({"x"}), _PROGRAM),
    SequenceRule((_STEP, Step(frozenset(), _CONDITION)), 10**12, _STEP, until_first=True),
    SequenceRule((_STEP,) * 500),
    SampleRule((_STEP, _STEP)),
    JoinRule((_STEP, _STEP), _STEP),
)  # fmt: skip
_PIPES = (
    Pipe("head", (5,)),
    Pipe("unique", (Field("a"), tree.StepField(1, "b")), fold=True),
    Pipe("filter", (_CONDITION,)),
    Pipe("count"),
)


def same(left: Predicate, right: Predicate) -> bool:
    """Equal, and so to the bit: -0.0 is not 0.0, and NaN is NaN."""
    return repr(to_data(left)) == repr(to_data(right))


# --- what is written is read again ---------------------------------------------------


@given(predicates(steps=2, max_leaves=20))
def test_predicates_come_back(predicate: Predicate) -> None:
    data = encode_predicate(predicate)
    read = decode_predicate(data)
    assert same(read, predicate)
    assert encode_predicate(read) == data


@st.composite
def steps(draw: st.DrawFn) -> Step:
    keys = st.builds(JoinKey, values(), st.booleans(), st.booleans())
    return Step(
        draw(st.frozensets(texts(), max_size=2)),
        draw(predicates(steps=2)),
        tuple(draw(st.lists(keys, max_size=2))),
        draw(st.booleans()),
        draw(texts()),
        draw(st.booleans()),
    )


_SEVERAL = st.lists(steps(), min_size=1, max_size=3).map(tuple)


@given(
    st.one_of(
        st.builds(EventRule, st.frozensets(texts(), max_size=2), predicates()),
        st.builds(
            SequenceRule,
            _SEVERAL,
            st.none() | st.integers(0, 2**63 - 1),
            st.none() | steps(),
            st.booleans(),
        ),
        st.builds(SampleRule, _SEVERAL),
        st.builds(JoinRule, _SEVERAL, st.none() | steps()),
    )
)
def test_bodies_come_back(body: RuleBody) -> None:
    read = decode_body(encode_body(body))
    assert read == body
    metadata = RuleMetadata("r")
    assert Rule(metadata, read).semantic_hash == Rule(metadata, body).semantic_hash


@pytest.mark.parametrize("body", _BODIES)
def test_telling_bodies_come_back(body: RuleBody) -> None:
    assert decode_body(encode_body(body)) == body


def test_pipes_come_back() -> None:
    assert decode_pipes(encode_pipes(_PIPES)) == _PIPES
    assert decode_pipes(encode_pipes(())) == ()


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**63) - 1, 10**400, -(10**400), 255, 128, math.inf, -0.0, 0, False, "", None],
)
def test_constants_come_back(value: str | float | bool | None) -> None:
    literal = Comparison(ComparisonOperator.EQUAL, Literal(value), Field("a", null_value=value))
    assert same(decode_predicate(encode_predicate(literal)), literal)


def test_every_class_is_among_these_tests() -> None:
    """A new node is encoded without anybody's doing; here somebody has to look at how."""
    documents = [*map(encode_body, _BODIES), encode_pipes(_PIPES)]
    seen = {record[0] for data in documents for record in msgspec.msgpack.decode(data)[2]}
    assert seen == set(SHAPES)


def test_equal_rules_give_equal_bytes() -> None:
    shared = Field("a")
    once = And((tree.IsNull(shared), Not(tree.IsNull(shared))))
    twice = And((tree.IsNull(Field("a")), Not(tree.IsNull(Field("a")))))
    assert encode_predicate(once) == encode_predicate(twice)


def test_the_format_is_this() -> None:
    """Whoever changes what is read must change `VERSION`, and this."""
    data = encode_body(EventRule(frozenset({"b", "a"}), Not(_LEAF)))
    assert msgspec.msgpack.decode(data) == [
        "kestrel rule",
        1,
        [
            ["Literal", 1.5],
            ["Field", "process.args[0].b", "date", True, ["yyyy"], "-"],
            ["Comparison", "<=", 1, 0, True],
            ["Not", 2],
            ["EventRule", ["a", "b"], 3],
        ],
        4,
    ]
    assert VERSION == 1


# --- what cannot be written ------------------------------------------------------------


def nested(levels: int) -> Predicate:
    predicate: Predicate = ALWAYS
    for _ in range(levels - 1):
        predicate = Not(predicate)
    return predicate


def test_the_deepest_tree_is_encoded_and_a_deeper_one_is_not() -> None:
    deepest = nested(MAX_DEPTH)
    assert depth(deepest) == MAX_DEPTH
    assert same(decode_predicate(encode_predicate(deepest)), deepest)
    with pytest.raises(ValueError, match="nests deeper than 200 levels"):
        encode_predicate(nested(MAX_DEPTH + 1))
    with pytest.raises(ValueError, match="nests deeper"):
        encode_predicate(nested(100_000))


def doubled(times: int) -> Predicate:
    predicate: Predicate = ALWAYS
    for _ in range(times):
        predicate = And((predicate, predicate))
    return predicate


def test_a_tree_that_shares_its_parts_without_end_is_refused() -> None:
    assert decode_predicate(encode_predicate(doubled(8))) == doubled(8)
    with pytest.raises(ValueError, match=f"more than {MAX_NODES:,} nodes"):
        encode_predicate(doubled(100))


@pytest.mark.parametrize(
    "wrong",
    [
        Literal("\ud800"),
        Comparison(ComparisonOperator.EQUAL, Literal(b"x"), Literal(1)),  # type: ignore[arg-type]
        Comparison("==", Literal(1), Literal(1)),  # type: ignore[arg-type]
        Not(Literal(1)),  # type: ignore[arg-type]
        Not("x"),  # type: ignore[arg-type]
        And([ALWAYS]),  # type: ignore[arg-type]
        Field(1),  # type: ignore[arg-type]
        EventRule({"x"}, ALWAYS),  # type: ignore[arg-type]
        object(),
        3,
    ],
)
def test_what_is_no_rule_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"cannot|is no|is not"):
        encode_body(wrong)  # type: ignore[arg-type]


# --- bytes that are no rule --------------------------------------------------------------


def document(*records: list[object], root: object = None, version: object = 1) -> bytes:
    last = len(records) - 1 if root is None else root
    return msgspec.msgpack.encode(["kestrel rule", version, list(records), last])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no encoded rule"),
        (b"\x80\x04K\x01.", "no encoded rule"),
        (b"\x91" * 100_000, "no encoded rule"),
        (b"\xdd\xff\xff\xff\xff", "no encoded rule"),
        (msgspec.msgpack.encode(["kestrel rules", 1, [], 0]), "does not say"),
        (msgspec.msgpack.encode(["kestrel rule", 1, [], 0, 0]), "no encoded rule"),
        (document(["Constant", True], version=2), "version 2, not 1"),
        (document(root=0), "not there before"),
        (document(["Constant", True], root=-1), "no encoded rule"),
        (document(["Constant", True], root=1), "not there before"),
        (document(["Constant", True], root=[0]), "it is a list"),
        (document([]), "at least length 1"),
        (document([["Constant"]]), "Expected `str`, got `array`"),
        (document(["__init__", True]), "Invalid value '__init__'"),
        (document(["Constant"]), "at least length 2, got 1"),
        (document(["Constant", True, True]), "at most length 1, got 2"),
        (document(["Constant", 1]), "Expected `bool`, got `int`"),
        (document(["Constant", None]), "Expected `bool`, got `None`"),
        (document(["Not", 0]), "not there before"),
        (document(["Constant", True], ["Not", True]), "Expected `int`, got `bool`"),
        (document(["Constant", True], ["Not", "0"]), "Expected `int`, got `str`"),
        (document(["Literal", 1], ["Not", 0]), "a Literal cannot stand there"),
        (document(["Literal", [1]]), "is no constant"),
        (document(["Literal", {}]), "is no constant"),
        (document(["Literal", msgspec.msgpack.Ext(2, b"x")]), "is no constant"),
        (document(["Field", "a", "text"]), "Invalid enum value 'text'"),
        (document(["Field", "a", ["ip"]]), "got `array`"),
        (document(["Field", "a", None, False, "x"]), "Expected `array`, got `str`"),
        (document(["Literal", 1], ["And", 0]), "Expected `array`, got `int`"),
        (document(["Field", "a"], ["Regex", 0, ["("]]), "part 1: "),
        (document(["Field", "a"], ["Cidr", 0, ["10.0.0.1/8"]]), "part 1: "),
        (document(["Field", "a"], ["Membership", 0, []]), "a Membership cannot be so"),
        (document(["Literal", None], ["Membership", 0, [0]]), "a Membership cannot be so"),
        (document(["Call", "length", []]), "a Call cannot be so"),
        (document(["StepField", -1, "a"]), "a StepField cannot be so"),
        (document(["SequenceRule", []]), "a SequenceRule cannot be so"),
        (document(["Constant", True]), "a Constant cannot stand there"),
        (document(["Constant", True], ["Pipe", "head", [[1, 2]]], root=[1]), "not alone"),
        (document(["Program", "lua", b"", {1: "ip"}]), "Expected `str`, got `int`"),
        (document(["Program", "lua", b"", ["ip"]]), "got `array`"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_body(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        decode_body(data)


def test_a_body_is_no_predicate_and_no_pipes() -> None:
    data = encode_body(_BODIES[0])
    with pytest.raises(ValueError, match="cannot stand there"):
        decode_predicate(data)
    with pytest.raises(ValueError, match="has no list"):
        decode_pipes(data)
    with pytest.raises(ValueError, match="cannot stand there"):
        decode_pipes(document(["Constant", True], root=[0]))


@pytest.mark.parametrize("depth", [MAX_DEPTH, 100_000])
def test_depth_and_size_are_limited_when_read(depth: int) -> None:
    deep: list[list[object]] = [["Constant", True]]
    deep += [["Not", number] for number in range(depth)]
    with pytest.raises(ValueError, match="nests deeper than 200 levels"):
        decode_predicate(document(*deep))
    doubled: list[list[object]] = [["Constant", True]]
    doubled += [["And", [number, number]] for number in range(100)]
    with pytest.raises(ValueError, match="more than 1,000,000 nodes"):
        decode_predicate(document(*doubled))


@given(st.sampled_from(_BODIES), st.data())
def test_damaged_bytes_give_a_body_or_an_error(body: RuleBody, data: st.DataObject) -> None:
    whole = bytearray(encode_body(body))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        cut = data.draw(st.integers(0, 3))
        whole[at : at + cut] = data.draw(st.binary(max_size=3))
    _read_or_refuse(bytes(whole))


@given(st.binary(max_size=100))
@example(b"\x94\xackestrel rule\x01\x91\x92\xa8Constant\xc3\x00")
def test_random_bytes_give_a_body_or_an_error(data: bytes) -> None:
    _read_or_refuse(data)


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 6) | st.sampled_from(["==", "a", "prefix", "x+"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(SHAPES)), st.lists(_ANYTHING, max_size=6)),
        min_size=1,
        max_size=6,
    )
)
def test_wild_records_give_a_body_or_an_error(records: list[tuple[str, list[object]]]) -> None:
    _read_or_refuse(document(*([name, *attributes] for name, attributes in records)))


def _read_or_refuse(data: bytes) -> None:
    try:
        body = decode_body(data)
    except ValueError:
        return
    assert decode_body(encode_body(body)) == body
    assert Rule(RuleMetadata("r"), body).semantic_hash


def test_reading_is_fast() -> None:
    data = encode_body(EventRule(frozenset(), And(tuple(
        Comparison(ComparisonOperator.EQUAL, Field(f"a.b{n}"), Literal(n)) for n in range(10_000)
    ))))  # fmt: skip
    begun = time.process_time()
    decode_body(data)
    assert time.process_time() - begun < 20
