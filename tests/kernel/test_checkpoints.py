"""Checkpoints: what was saved is loaded, in pieces that a store can take."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kestrel_framework import _piecewise_value
from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework._checkpoints import Checkpoint, Checkpoints
from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_piecewise_value, "_PIECE_BYTES", 8)


def pieces_of(store: MemoryStateStore) -> dict[bytes, int]:
    return {key: entry.version for key, entry in store.scan(b"engine/detector/")}


SAVED = st.tuples(st.binary(max_size=40), st.dictionaries(st.sampled_from("ab"), st.text()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(SAVED, st.booleans()), min_size=1, max_size=6))
def test_the_last_checkpoint_is_loaded(
    saved: list[tuple[tuple[bytes, dict[str, str]], bool]],
) -> None:
    store = MemoryStateStore()
    checkpoints = Checkpoints(store)
    positions: dict[str, str] = {}
    for (snapshot, changed), restarts in saved:
        if restarts:
            checkpoints = Checkpoints(store)
            checkpoints.load("ab")
        checkpoints.save(snapshot, changed)
        positions |= changed
        assert Checkpoints(store).load("ab") == Checkpoint(snapshot, positions)
        assert len(pieces_of(store)) == -(-len(snapshot) // 8)


def test_before_the_first_checkpoint_there_is_nothing() -> None:
    assert Checkpoints(MemoryStateStore()).load(["a"]) == Checkpoint(None, {})


def test_only_positions_that_are_asked_for_are_loaded() -> None:
    store = MemoryStateStore()
    Checkpoints(store).save(b"", {"a": "1", "b": "2"})
    assert Checkpoints(store).load(["b", "c"]).positions == {"b": "2"}


def test_pieces_that_did_not_change_are_not_written_again() -> None:
    store = MemoryStateStore()
    checkpoints = Checkpoints(store)
    checkpoints.save(b"12345678123456781", {})
    before = pieces_of(store)
    checkpoints.save(b"12345678876543211", {})
    after = pieces_of(store)
    assert [after[key] == before[key] for key in sorted(after)] == [True, False, True]


def test_after_a_commit_that_failed_everything_is_written() -> None:
    class Refusing(MemoryStateStore):
        refuses = False

        def commit(self, changes, expected=None, fence=None):  # type: ignore[no-untyped-def]
            if self.refuses:
                raise StateError("full")
            return super().commit(changes, expected, fence)

    store = Refusing()
    checkpoints = Checkpoints(store)
    checkpoints.save(b"first", {})
    store.refuses = True
    with pytest.raises(StateError, match="full"):
        checkpoints.save(b"second", {})
    store.refuses = False
    assert Checkpoints(store).load([]).snapshot == b"first"
    checkpoints.save(b"second", {})
    assert Checkpoints(store).load([]).snapshot == b"second"


def test_after_a_commit_of_which_nobody_knows_everything_is_written() -> None:
    class Forgetful(MemoryStateStore):
        forgets = False

        def commit(self, changes, expected=None, fence=None):  # type: ignore[no-untyped-def]
            made = super().commit(changes, expected, fence)
            if self.forgets:
                raise StateError("no answer")
            return made

    store = Forgetful()
    checkpoints = Checkpoints(store)
    checkpoints.save(b"1234567812345678", {})
    store.forgets = True
    with pytest.raises(StateError, match="no answer"):
        checkpoints.save(b"876543218765432187654321", {})
    store.forgets = False
    checkpoints.save(b"1234567812345678", {})
    assert Checkpoints(store).load([]).snapshot == b"1234567812345678"
    assert len(pieces_of(store)) == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (Change(b"engine/detector", b"damaged"), "damaged"),
        (Change(b"engine/detector", b"\x92\xff\xc4\x00"), "digest"),
        (Change(b"engine/detector/000001", None), "lacks piece 1 of 3"),
        (Change(b"engine/detector/000001", b"87654321"), "digest"),
        (Change(b"engine/detector/000002", b"1x"), "digest"),
    ],
)
def test_what_is_damaged_is_not_loaded(change: Change, problem: str) -> None:
    store = MemoryStateStore()
    Checkpoints(store).save(b"12345678123456781", {})
    store.commit([change])
    with pytest.raises(StateError, match=problem):
        Checkpoints(store).load([])


def test_a_checkpoint_is_one_commit() -> None:
    store = MemoryStateStore()
    Checkpoints(store).save(b"123456781", {"a": "1"})
    assert {entry.version for _, entry in store.scan(b"")} == {1}
