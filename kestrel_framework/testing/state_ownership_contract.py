"""What a state store must do that has one owner at a time."""

from __future__ import annotations

import time
from typing import ClassVar, Final

import pytest

from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change, StateOwnership, StateStore, SupportsOwnership
from kestrel_framework.testing.contract import Contract, if_supported

_PATIENCE_SECONDS: Final = 10.0
_LONG: Final = 600.0
_SHORT: Final = 0.05


class StateOwnershipContract(Contract, contract=True):
    """The part of `StateStoreContract` about ownership.

    Attributes:
        supports_ownership: It has one owner at a time.
    """

    supports_ownership: ClassVar[bool] = False

    @if_supported("supports_ownership")
    def test_an_owner_commits(self, store: StateStore) -> None:
        """Its fence is taken, from the first commit on, and the time goes on with a renewal."""
        ownership = _own(store, "first", _LONG)
        store.commit([Change(b"a", b"1")], fence=ownership.fence)
        ownership.renew()
        assert 0 < ownership.seconds_left <= _LONG
        store.commit([Change(b"a", b"2")], fence=ownership.fence)
        assert store.get_many([b"a"])[b"a"].value == b"2"

    @if_supported("supports_ownership")
    def test_nobody_else_owns_what_is_owned(self, store: StateStore) -> None:
        """The refusal names the owner, and changes nothing."""
        ownership = _own(store, "first-host", _LONG)
        with pytest.raises(StateConflict, match="first-host"):
            _own(store, "second", _LONG)
        ownership.renew()
        store.commit([Change(b"a", b"1")], fence=ownership.fence)

    @if_supported("supports_ownership")
    def test_a_former_owner_is_refused_at_once(self, store: StateStore) -> None:
        """The next one need not have committed; the same owner fences its former self off."""
        former = _own(store, "host", _LONG)
        store.commit([Change(b"a", b"1")], fence=former.fence)
        ownership = _own(store, "host", _LONG)
        assert ownership.fence > former.fence
        with pytest.raises(StateConflict):
            store.commit([Change(b"a", b"late")], fence=former.fence)
        with pytest.raises(StateConflict):
            former.renew()
        assert former.seconds_left == 0
        former.release()  # is nothing of the other one's
        ownership.renew()
        store.commit([Change(b"b", b"1")], fence=ownership.fence)
        assert {key: entry.value for key, entry in store.scan(b"")} == {b"a": b"1", b"b": b"1"}

    @if_supported("supports_ownership")
    def test_a_released_store_is_free_at_once(self, store: StateStore) -> None:
        """A second release does nothing; the next owner has a greater fence."""
        former = _own(store, "first", _LONG)
        former.release()
        former.release()
        assert former.seconds_left == 0
        with pytest.raises(StateConflict):
            former.renew()
        ownership = _own(store, "second", _LONG)
        assert ownership.fence > former.fence
        for call in (former.renew, lambda: store.commit([], fence=former.fence)):
            with pytest.raises(StateConflict):
                call()

    @if_supported("supports_ownership")
    def test_an_owner_that_does_not_renew_is_followed(self, store: StateStore) -> None:
        """Somebody else owns the store once the time has run out, and no earlier."""
        former = _own(store, "first", _SHORT)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            left = former.seconds_left
            try:
                ownership = _own(store, "second", _LONG)
            except StateConflict:
                assert time.monotonic() < deadline, "the time does not run out"
                continue
            break
        assert left < _SHORT
        assert former.seconds_left == 0
        with pytest.raises(StateConflict):
            former.renew()
        assert ownership.fence > former.fence

    @if_supported("supports_ownership")
    def test_time_that_ran_out_can_be_renewed_while_nobody_else_came(
        self, store: StateStore
    ) -> None:
        """An owner that was late is still the owner."""
        ownership = _own(store, "first", _SHORT)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while ownership.seconds_left:
            assert time.monotonic() < deadline, "the time does not run out"
        ownership.renew()
        store.commit([Change(b"a", b"1")], fence=ownership.fence)

    @if_supported("supports_ownership")
    def test_fences_are_greater_than_those_of_commits(self, store: StateStore) -> None:
        """Whoever committed with a fence of its own is fenced off as well."""
        store.commit([Change(b"a", b"1")], fence=41)
        assert _own(store, "first", _LONG).fence > 41
        with pytest.raises(StateConflict):
            store.commit([Change(b"a", b"late")], fence=41)

    @if_supported("supports_ownership")
    def test_what_is_no_owner_or_no_time_is_refused(self, store: StateStore) -> None:
        """Nobody owns a store without a name, or for no time."""
        for owner, seconds in (("", _LONG), ("first", 0.0), ("first", -1.0)):
            with pytest.raises(StateError):
                _own(store, owner, seconds)
        _own(store, "second", _LONG)


def _own(store: StateStore, owner: str, seconds: float) -> StateOwnership:
    assert isinstance(store, SupportsOwnership), "it has no `own`"
    ownership = store.own(owner, seconds)
    assert isinstance(ownership, StateOwnership)
    return ownership
