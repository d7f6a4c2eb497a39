"""Batches, and the two ways into a document: reading a path and unfolding keys."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.event import EventBatch, EventIdentity, read_path, unfold_dotted_keys
from kestrel_framework.testing.strategies import documents


@pytest.mark.parametrize(
    ("document", "path", "values"),
    [
        ({"a": {"b": 1}}, "a.b", [1]),
        ({"a": [{"b": 1}, {"b": [2, None]}, {"c": 3}, 4]}, "a.b", [1, 2]),
        ({"a": [[{"b": 1}], {"b": 2}]}, "a.b", [1, 2]),
        ({"a": [1, [2, (3,)]]}, "a", [1, 2, 3]),
        ({"a": None}, "a", []),
        ({"a": []}, "a", []),
        ({"a": "text"}, "a.b", []),
        ({"a": {"b": {"c": 1}}}, "a.b", [{"c": 1}]),
        ({"a.b": 1}, "a.b", []),
        ({}, "a", []),
    ],
)
def test_reads_a_path(document: dict[str, object], path: str, values: list[object]) -> None:
    assert list(read_path(document, path.split("."))) == values


def test_reads_explicit_nulls_when_asked() -> None:
    document = {"a": [{"b": None}, {"b": [None, 1]}, {}]}
    assert list(read_path(document, ["a", "b"], nulls=True)) == [None, None, 1]


class TestUnfolding:
    def test_makes_dotted_keys_into_objects(self) -> None:
        flat = {"process.name": "x", "process.parent.pid": 1, "l": [{"m.k": 1}]}
        assert unfold_dotted_keys(flat) == {
            "process": {"name": "x", "parent": {"pid": 1}},
            "l": [{"m": {"k": 1}}],
        }

    def test_leaves_a_document_without_dotted_keys_alone(self) -> None:
        document = {"a": {"b": [{"c": 1}]}}
        assert unfold_dotted_keys(document) is document

    def test_loses_nothing_where_a_path_gets_two_values(self) -> None:
        document = {"a.b": 1, "a": {"b": 2, "c": [3]}, "a.c": 4}
        unfolded = unfold_dotted_keys(document)
        assert list(read_path(unfolded, ["a", "b"])) == [1, 2]
        assert list(read_path(unfolded, ["a", "c"])) == [3, 4]
        assert document == {"a.b": 1, "a": {"b": 2, "c": [3]}, "a.c": 4}

    def test_keeps_a_scalar_beside_an_object_of_the_same_name(self) -> None:
        unfolded = unfold_dotted_keys({"a": 1, "a.b": 2, "a.c": 3})
        assert list(read_path(unfolded, ["a", "b"])) == [2]
        assert list(read_path(unfolded, ["a", "c"])) == [3]
        assert 1 in read_path(unfolded, ["a"])

    def test_many_keys_are_unfolded_in_linear_time(self) -> None:
        started = time.process_time()
        unfolded = unfold_dotted_keys({f"a.k{n}": n for n in range(100_000)})
        assert len(list(read_path(unfolded, ["a", "k99999"]))) == 1
        assert time.process_time() - started < 20

    @given(documents(odd=False), st.text(st.sampled_from("ab."), max_size=5))
    def test_every_leaf_stays(self, document: dict[str, object], key: str) -> None:
        before = _leaves({**document, key: [1, {"x.y": 2}]})
        after = unfold_dotted_keys({**document, key: [1, {"x.y": 2}]})
        assert sorted(map(repr, _leaves(after))) == sorted(map(repr, before))


def test_a_batch_is_documents_or_payloads() -> None:
    assert len(EventBatch()) == 0
    assert len(EventBatch(payloads=[b"{}"])) == 1
    with pytest.raises(ValueError, match="not both"):
        EventBatch(documents=[{}], payloads=[b"{}"])


def test_an_identity_reads_as_stream_and_offset() -> None:
    assert str(EventIdentity("file:1", 7)) == "file:1#7"


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, (list, tuple)):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [value]
