"""Scalars: kinds, texts, folding of case, types of fields, order."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.schema import FieldType
from kestrel_framework.testing.strategies import scalars, texts
from kestrel_framework.values import (
    Scalar,
    compare,
    equality_key,
    fold_case,
    literal_for,
    number_of,
    order_key,
    scalar,
    text_of,
    typed_value,
    version_key,
)

INFINITY = float("inf")


class TestFoldCase:
    @pytest.mark.parametrize(
        ("text", "folded"),
        [
            ("CMD.exe", "cmd.exe"),
            ("İ", "İ"),
            ("ß", "ß"),
            ("ẞ", "ß"),
            ("ς", "σ"),
            ("Σ", "σ"),
            ("\u212a", "k"),
            ("ſ", "s"),
            ("ﬃ", "ﬃ"),
            ("ÄÖ", "äö"),
        ],
    )
    def test_folds_each_character_to_one(self, text: str, folded: str) -> None:
        assert fold_case(text) == folded

    def test_every_character_keeps_its_place_and_folds_once(self) -> None:
        for code in range(0x110000):
            folded = fold_case(chr(code))
            assert len(folded) == 1
            assert fold_case(folded) == folded

    @given(st.text(), st.text())
    def test_a_part_folds_to_a_part_of_the_whole(self, left: str, right: str) -> None:
        assert fold_case(left + right) == fold_case(left) + fold_case(right)

    def test_a_hostile_text_does_not_fill_the_memory(self) -> None:
        from kestrel_framework import values

        fold_case("".join(map(chr, range(0x3000, 0x20000))).replace("\ud800", ""))
        assert len(values._FOLDING) < 3000


class TestKindsAndTexts:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("x", "x"),
            (445, "445"),
            (-1, "-1"),
            (4.5, "4.5"),
            (1.0, "1.0"),
            (True, "true"),
            (False, "false"),
            (INFINITY, "inf"),
            (2**64, "18446744073709551616"),
        ],
    )
    def test_the_canonical_text(self, value: Scalar, text: str) -> None:
        assert text_of(value) == text

    def test_an_immense_integer_has_the_text_of_its_float(self) -> None:
        assert text_of(10**5000) == "inf"

    @pytest.mark.parametrize("value", [None, [], {}, (1,), b"x", math.nan])
    def test_what_is_no_scalar(self, value: object) -> None:
        assert scalar(value) is None

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (2**63 - 1, 2**63 - 1),
            (-(2**63), -(2**63)),
            (2**63, float(2**63)),
            (10**400, INFINITY),
            (-(10**400), -INFINITY),
        ],
    )
    def test_an_integer_beyond_64_bits_is_a_float(self, value: int, expected: float) -> None:
        assert scalar(value) == expected
        assert type(scalar(value)) is type(expected)

    @pytest.mark.parametrize(
        ("text", "number"),
        [("445", 445), ("-3", -3), ("+5", 5), ("4.5", 4.5), ("1e3", 1000.0), (".5", 0.5)],
    )
    def test_texts_that_are_numbers(self, text: str, number: float) -> None:
        assert number_of(text) == number
        assert type(number_of(text)) is type(number)

    @pytest.mark.parametrize(
        "text",
        ["", " 1", "1 ", "1_000", "0x10", "nan", "inf", "٣", "1e99999", "--1", "9" * 500, "1.2.3"],
    )
    def test_texts_that_are_none(self, text: str) -> None:
        assert number_of(text) is None


class TestTypedValue:
    @pytest.mark.parametrize(
        ("value", "field_type", "typed"),
        [
            (445, FieldType.KEYWORD, "445"),
            (True, FieldType.KEYWORD, "true"),
            (2**64, FieldType.KEYWORD, "18446744073709551616"),
            ({}, FieldType.KEYWORD, None),
            (math.nan, FieldType.KEYWORD, None),
            ("445", FieldType.LONG, 445),
            ("445x", FieldType.LONG, None),
            (4.9, FieldType.LONG, 4),
            (-4.9, FieldType.LONG, -4),
            ("4.9", FieldType.LONG, 4),
            (True, FieldType.LONG, None),
            (INFINITY, FieldType.LONG, INFINITY),
            (1, FieldType.DOUBLE, 1.0),
            ("1e3", FieldType.DOUBLE, 1000.0),
            (True, FieldType.BOOLEAN, True),
            ("false", FieldType.BOOLEAN, False),
            ("yes", FieldType.BOOLEAN, None),
            (1, FieldType.BOOLEAN, None),
            ("1970-01-01T00:00:01Z", FieldType.DATE, 1_000_000_000),
            (1000, FieldType.DATE, 1_000_000_000),
            ("1000", FieldType.DATE, 1_000_000_000),
            (True, FieldType.DATE, None),
            ("soon", FieldType.DATE, None),
            ("9999-12-31", FieldType.DATE, float(253_402_214_400_000_000_000)),
            ("010.0.0.1", FieldType.IP, None),
            ("10.0.0.1", FieldType.IP, "10.0.0.1"),
            ("::FFFF:10.0.0.1", FieldType.IP, "10.0.0.1"),
            ("FE80::1%eth0", FieldType.IP, "fe80::1"),
            (1, FieldType.IP, None),
            ("1.2", FieldType.VERSION, "1.2"),
            ("x", FieldType.OBJECT, "x"),
            (1, None, 1),
            (None, None, None),
        ],
    )
    def test_brings_a_value_to_the_type_or_refuses_it(
        self, value: object, field_type: FieldType | None, typed: Scalar | None
    ) -> None:
        found = typed_value(value, field_type)
        assert (found, type(found)) == (typed, type(typed))

    def test_a_date_of_a_custom_format(self) -> None:
        day = typed_value("31-12-1970", FieldType.DATE, ("dd-MM-yyyy",))
        assert day == 364 * 86_400 * 10**9
        assert typed_value("1970-01-02", FieldType.DATE, ("dd-MM-yyyy",)) == 86_400 * 10**9
        assert typed_value("99-99-1970", FieldType.DATE, ("dd-MM-yyyy",)) is None

    @given(scalars(odd=True), st.sampled_from(FieldType))
    def test_is_the_same_when_done_twice(self, value: Scalar, field_type: FieldType) -> None:
        once = typed_value(value, field_type)
        if once is not None and field_type is not FieldType.DATE:
            assert equality_key(once) == equality_key(typed_value(once, field_type))  # type: ignore[arg-type]

    @given(st.integers(), st.sampled_from(FieldType))
    def test_an_integer_of_any_size_is_harmless(self, value: int, field_type: FieldType) -> None:
        typed_value(value * 10**300, field_type)


class TestLiteralFor:
    def test_a_fraction_beside_a_long_field_is_not_cut(self) -> None:
        assert literal_for(4.5, FieldType.LONG) == 4.5
        assert literal_for("445", FieldType.LONG) == 445

    @pytest.mark.parametrize(
        ("value", "field_type", "problem"),
        [
            ("abc", FieldType.LONG, '"abc" is not a long value'),
            (True, FieldType.LONG, "true is not a long value"),
            ("maybe", FieldType.BOOLEAN, '"maybe" is not a boolean value'),
            ("10.0.0.0/8", FieldType.IP, '"10.0.0.0/8" is not an ip address'),
            ("soon", FieldType.DATE, '"soon" is not a date'),
        ],
    )
    def test_refuses_what_cannot_be_of_the_type(
        self, value: Scalar, field_type: FieldType, problem: str
    ) -> None:
        with pytest.raises(ValueError, match="is not") as raised:
            literal_for(value, field_type)
        assert str(raised.value) == problem


class TestCompare:
    def test_kinds_are_told_apart(self) -> None:
        assert compare("==", 1, 1.0)
        assert not compare("==", 1, True)
        assert not compare("==", 1, "1")
        assert not compare("==", 0, False)
        assert not compare("<=", False, True)
        assert not compare("<", 1, "2")

    def test_integers_and_floats_compare_exactly(self) -> None:
        assert not compare("==", 2**53 + 1, float(2**53))
        assert compare(">", 2**53 + 1, float(2**53))

    def test_texts_compare_by_code_point(self) -> None:
        assert compare("<", "Z", "a")
        assert not compare("<", "Z", "a", fold=True)
        assert compare("==", "AbC", "aBc", fold=True)

    def test_versions_and_addresses_have_their_own_order(self) -> None:
        assert compare(">", "1.11.3", "1.5.0", field_type=FieldType.VERSION)
        assert compare("<", "1.11.3", "1.5.0")
        assert compare(">", "10.0.0.10", "10.0.0.9", field_type=FieldType.IP)
        assert not compare(">", "zzz", "10.0.0.9", field_type=FieldType.IP)

    @given(scalars(), scalars())
    def test_exactly_one_relation_holds_within_an_ordered_kind(
        self, left: Scalar, right: Scalar
    ) -> None:
        left, right = scalar(left), scalar(right)  # type: ignore[assignment]
        comparable = type(left) is type(right) is str or not any(
            isinstance(value, (str, bool)) for value in (left, right)
        )
        held = [relation for relation in ("<", "==", ">") if compare(relation, left, right)]
        if comparable:
            assert len(held) == 1
        else:
            assert held in ([], ["=="])


class TestVersionKey:
    def test_the_order(self) -> None:
        in_order = [
            "1", "1.2.4-1", "1.2.4-2", "1.2.4-10", "1.2.4-SNAPSHOT", "1.2.4", "1.5.0", "1.11.3",
            "99999999999999999999.0", "abc", "v1.2",
        ]  # fmt: skip
        assert sorted(set(in_order), key=version_key) == in_order

    @given(texts() | st.from_regex(r"[0-9.a-z+-]{1,12}", fullmatch=True), texts())
    def test_different_texts_never_tie(self, left: str, right: str) -> None:
        assert (version_key(left) == version_key(right)) == (left == right)

    def test_a_hostile_version_is_harmless(self) -> None:
        assert version_key("9" * 100_000) > version_key("1.0")

    def test_booleans_have_no_order(self) -> None:
        assert order_key(True, None) is None
