"""Alerts that not every output has are kept with the state, and delivered by the next run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework import _outbox
from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework._outbox import Outbox
from kestrel_framework.alert import Alert, Evidence
from kestrel_framework.errors import StateError
from kestrel_framework.event import EventIdentity
from kestrel_framework.interfaces import Change
from kestrel_framework.rule import RuleMetadata

PLACE = b"engine/outbox"


class Output:
    """Has the first so many of the alerts that it was given."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.delivered_in_order = 0


def alert(number: int) -> Alert:
    evidence = Evidence(EventIdentity("s", number), number, {}, {"number": number})
    return Alert(RuleMetadata("r"), "1", "h", (evidence,))


def numbers(alerts: object) -> list[int]:
    assert isinstance(alerts, list | tuple)
    return [one.evidence[0].timestamp for one in alerts]


def commit(store: MemoryStateStore, outbox: Outbox) -> None:
    store.commit(outbox.changes())
    outbox.settle()


def stored(store: MemoryStateStore) -> int:
    return len(list(store.scan(PLACE + b"/")))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("find"), st.integers(1, 4)),
            st.tuples(st.sampled_from(["one", "other"]), st.integers(1, 4)),
            st.tuples(st.sampled_from(["commit", "kill"]), st.just(0)),
        ),
        max_size=40,
    )
)
def test_each_output_gets_each_committed_alert_in_order(actions: list[tuple[str, int]]) -> None:
    """What is found after the last commit is found again after a kill, so it is not looked at."""
    store = MemoryStateStore()
    outputs = {name: Output(name) for name in ("one", "other")}
    outbox = Outbox(store, PLACE, outputs.values())
    outbox.load()
    given: dict[str, list[int]] = {"one": [], "other": []}  # what each has to deliver in this run
    has: dict[str, set[int]] = {"one": set(), "other": set()}
    found = committed = 0
    for action, number in actions:
        if action == "find":
            outbox.add([alert(found + each) for each in range(number)])
            for waiting in given.values():
                waiting.extend(range(found, found + number))
            found += number
        elif action in outputs:
            output = outputs[action]
            done = output.delivered_in_order
            has[action].update(given[action][done : done + number])
            output.delivered_in_order = min(done + number, len(given[action]))
        elif action == "commit":
            commit(store, outbox)
            committed = found
            lacking = [len(given[name]) - outputs[name].delivered_in_order for name in outputs]
            assert stored(store) == max(lacking)
        else:
            outputs = {name: Output(name) for name in outputs}
            outbox = Outbox(store, PLACE, outputs.values())
            undelivered = outbox.load()
            found = committed
            for name in outputs:
                given[name] = numbers(undelivered[name])
                has[name] = {each for each in has[name] if each < committed}
                assert given[name] == list(range(committed - len(given[name]), committed))
                assert {*has[name], *given[name]} == set(range(committed))


def test_an_output_that_is_new_gets_what_is_found_from_now_on() -> None:
    store = MemoryStateStore()
    old, new = Output("old"), Output("new")
    outbox = Outbox(store, PLACE, [old])
    outbox.load()
    outbox.add([alert(0), alert(1)])
    commit(store, outbox)
    outbox = Outbox(store, PLACE, [old, new])
    undelivered = outbox.load()
    assert numbers(undelivered["old"]) == [0, 1]
    assert numbers(undelivered["new"]) == []


def test_nothing_is_kept_for_an_output_that_is_gone() -> None:
    store = MemoryStateStore()
    outbox = Outbox(store, PLACE, [Output("gone")])
    outbox.load()
    outbox.add([alert(0), alert(1)])
    commit(store, outbox)
    assert stored(store) == 2
    outbox = Outbox(store, PLACE, [Output("other")])
    assert numbers(outbox.load()["other"]) == []
    commit(store, outbox)
    assert stored(store) == 0


def test_what_is_committed_again_is_committed_once() -> None:
    store = MemoryStateStore()
    output = Output("one")
    outbox = Outbox(store, PLACE, [output])
    outbox.load()
    outbox.add([alert(0), alert(1), alert(2)])
    store.commit(outbox.changes())  # nobody hears of it
    output.delivered_in_order = 1
    commit(store, outbox)
    again = Outbox(store, PLACE, [Output("one")]).load()
    assert numbers(again["one"]) == [1, 2]


def test_it_is_full_until_outputs_have_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outbox, "MOST_KEPT", 2)
    output = Output("one")
    outbox = Outbox(MemoryStateStore(), PLACE, [output])
    outbox.load()
    outbox.add([alert(0), alert(1), alert(2)])
    assert outbox.is_full
    output.delivered_in_order = 1
    assert not outbox.is_full


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xc1", b"\x92\x01\x81\xa3one\x05", b"\x92\x01\x81\xa3one\xff"],
)
def test_a_damaged_outbox_is_refused(damage: bytes) -> None:
    store = MemoryStateStore()
    store.commit([Change(PLACE, damage)])
    with pytest.raises(StateError, match="outbox is damaged"):
        Outbox(store, PLACE, [Output("one")]).load()


@pytest.mark.parametrize("damage", [None, b"", b"\x01m\xc1"])
def test_an_alert_that_is_gone_or_damaged_is_refused(damage: bytes | None) -> None:
    store = MemoryStateStore()
    outbox = Outbox(store, PLACE, [Output("one")])
    outbox.load()
    outbox.add([alert(0)])
    commit(store, outbox)
    ((key, _),) = store.scan(PLACE + b"/")
    store.commit([Change(key, damage)])
    with pytest.raises(StateError, match=r"lacks the alert 0|damaged"):
        Outbox(store, PLACE, [Output("one")]).load()
