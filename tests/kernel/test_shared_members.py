"""Who follows what, and what is refused, where several members share sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_members import Clock, Member, config, pass_time

from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework._pipeline.sequence_tracker.keys import key_of
from kestrel_framework._shared_config import SharedConfig
from kestrel_framework._shared_sequences.partitions import partition_of
from kestrel_framework._shared_sequences.records import member_key, message_key, partition_key
from kestrel_framework.config import Configuration, StateConfig
from kestrel_framework.engine import Engine
from kestrel_framework.errors import ConfigurationError, StateConflict, StateError
from kestrel_framework.interfaces import Change, Versioned
from kestrel_framework.rule import RuleSet
from timed_events import RULES, SECOND, event, shown

NAMES = ("ada", "bob")
EVENTS = [event(0, "A", SECOND), event(1, "B", 2 * SECOND), event(2, "C", 3 * SECOND)]


def members() -> tuple[Member, Member, MemoryStateStore, Clock]:
    store, clock = MemoryStateStore(), Clock()
    ada = Member(config("ada", NAMES), EVENTS[:1], store, clock)
    bob = Member(config("bob", NAMES), EVENTS[1:], store, clock)
    for each in (ada, bob, ada, bob):
        each.commit()
    return ada, bob, store, clock


def test_partitions_are_divided_among_those_that_live() -> None:
    ada, bob, _, clock = members()
    assert (ada.membership.statistics.partitions, bob.membership.statistics.partitions) == (2, 2)
    pass_time(clock, 11.0, bob)
    assert bob.membership.statistics.partitions == 4
    assert bob.membership.statistics.taken_over == 2
    assert sorted(bob.said) == [
        "partition 0 is taken over: `ada` was silent",
        "partition 2 is taken over: `ada` was silent",
    ]
    ada.commit()
    assert ada.membership.statistics.lost == 2
    assert ada.membership.statistics.partitions == 0
    for each in (bob, ada, bob):  # bob sees that ada lives, and gives them back
        each.commit()
    assert (ada.membership.statistics.partitions, bob.membership.statistics.partitions) == (2, 2)


def test_nobody_is_silent_while_the_store_is_away() -> None:
    ada, bob, _, clock = members()
    clock.now += 100.0  # nobody can look
    for each in (ada, bob, ada, bob):
        each.commit()
    for each in (ada, bob):
        assert each.membership.statistics.partitions == 2
        assert each.said == []


def test_one_that_was_asleep_commits_nothing_for_partitions_that_it_lost() -> None:
    ada, bob, store, clock = members()
    ada.read(1)
    ada.commit()
    bob.commit()
    pass_time(clock, 11.0, bob)
    before = {key: entry.version for key, entry in store.scan(b"shared/partition/")}
    ada.membership.save(b"", {})  # without a look at who owns what
    assert {key: entry.version for key, entry in store.scan(b"shared/partition/")} == before
    assert ada.membership.statistics.partitions == 0


def test_one_that_leaves_gives_all_up_at_once() -> None:
    ada, bob, _, clock = members()
    ada.leave()
    assert ada.membership.statistics.partitions == 0
    clock.now += 0.1
    bob.commit()
    assert bob.membership.statistics.partitions == 2  # ada lives, for all bob knows
    pass_time(clock, 11.0, bob)
    assert bob.membership.statistics.partitions == 4
    assert bob.said == []  # nobody was silent who had something to do


def test_a_second_process_with_the_same_name_ends_the_first() -> None:
    ada, _, store, clock = members()
    Member(config("ada", NAMES), EVENTS[:1], store, clock)
    with pytest.raises(StateConflict, match="another process runs as the member `ada`"):
        ada.commit()


def test_nothing_waits_for_a_member_that_is_silent_for_long() -> None:
    ada, bob, _, clock = members()
    bob.read(2)
    bob.commit()
    pass_time(clock, 1_100.0, bob)
    assert bob.membership.statistics.waiting == 0
    assert bob.untimely["source_left_out"] > 0
    ada.read(1)  # long before what was followed meanwhile
    for _ in range(3):
        ada.commit()
        bob.commit()
    late = ada.untimely.get("late", 0) + bob.untimely.get("late", 0)
    assert late > 0
    assert {name for name, _ in shown([*ada.alerts, *bob.alerts])} == {"alone"}


def test_all_must_agree_on_the_number_of_partitions() -> None:
    store, clock = MemoryStateStore(), Clock()
    Member(config("ada", NAMES, 4), [], store, clock).commit()
    bob = Member(config("bob", NAMES, 8), [], store, clock)
    with pytest.raises(StateError, match=r"knows 4 partitions, and this member 8"):
        bob.commit()


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x80", b"\xff" * 40])
@pytest.mark.parametrize("key", [member_key("ada"), partition_key(1)])
def test_a_damaged_record_is_refused(key: bytes, damage: bytes) -> None:
    _, bob, store, _ = members()
    store.commit([Change(key, damage)])
    with pytest.raises(StateError, match="is damaged"):
        bob.commit()


@pytest.mark.parametrize("damage", [None, b"\xc1", b"\x94\x01"])
def test_a_message_that_is_gone_or_damaged_is_refused(damage: bytes | None) -> None:
    ada, bob, store, _ = members()
    ada.read(1)
    ada.commit()
    sent = [key for key, _ in store.scan(b"shared/inbox/")]
    assert sent
    store.commit([Change(key, damage) for key in sent])
    problem = "is gone before it was taken" if damage is None else "is damaged"
    with pytest.raises(StateError, match=problem):
        for each in (ada, bob):
            each.commit()


def test_messages_that_a_new_owner_took_meanwhile_are_no_damage() -> None:
    ada, bob, store, _ = members()
    ada.read(1)
    ada.commit()
    (sent,) = (key for key, _ in store.scan(b"shared/inbox/"))
    number = int(sent.split(b"/")[2])
    owner = ada if ada.membership._owned.get(number) else bob
    read = store.get_many

    def taken_meanwhile(keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        if sent in keys:
            record = read([partition_key(number)])[partition_key(number)]
            store.commit([Change(partition_key(number), record.value), Change(sent, None)])
        return read(keys)

    store.get_many = taken_meanwhile  # type: ignore[method-assign]
    owner.turn()
    assert owner.membership.statistics.lost == 1
    assert owner.said == [f"partition {number} was taken over by another member"]


def test_what_is_not_committed_is_sent_with_the_next_commit() -> None:
    ada, bob, store, _ = members()

    class Away(MemoryStateStore):
        """The same store, away."""

        def commit(self, *_: object, **__: object) -> dict[bytes, int]:
            raise StateError("the server is away", transient=True)

    ada.read(1)
    ada.turn()
    ada.membership._store = Away()
    with pytest.raises(StateError, match="away"):
        ada.membership.save(b"", {})
    assert ada.membership.statistics.sent == 0
    ada.membership._store = store
    ada.commit()
    assert ada.membership.statistics.sent == 1
    bob.commit()
    ada.commit()
    taken = ada.membership.statistics.taken + bob.membership.statistics.taken
    assert taken == 1


def test_a_member_is_behind_while_others_take_nothing() -> None:
    ada, _, store, _ = members()
    assert not ada.membership.is_behind
    ada.membership._sent[1] += 600  # more than anybody has taken
    assert ada.membership.is_behind
    assert store.get_many([message_key(1, "ada", 0)]) == {}


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.lists(VALUES, max_size=3), st.integers(1, 64))
def test_equal_keys_are_in_the_same_partition(
    values: list[bool | int | float | str | None], partitions: int
) -> None:
    key = key_of(values)
    assert 0 <= partition_of(key, partitions) < partitions
    same = [float(v) if type(v) is int and abs(v) < 1 << 50 else v for v in values]
    assert partition_of(key_of(same), partitions) == partition_of(key, partitions)


def test_keys_are_spread_over_all_partitions() -> None:
    assert {partition_of(str(number), 16) for number in range(1_000)} == set(range(16))


@pytest.mark.parametrize(
    ("member", "names", "problem"),
    [
        ("eve", NAMES, "`eve` is none of `members`"),
        ("", NAMES, "which of `members` is this engine"),
        ("ada", ("ada", "ada"), "named twice"),
        ("a/b", ("a/b",), "up to 64 letters"),
    ],
)
def test_a_wrong_configuration_is_refused(
    member: str, names: tuple[str, ...], problem: str
) -> None:
    tables = {"shared": {"member": member, "members": list(names)}}
    with pytest.raises(ConfigurationError, match=problem):
        Configuration.from_mapping(tables)


@pytest.mark.parametrize("store", ["memory", "builtin:sqlite"])
def test_a_store_for_one_engine_alone_cannot_be_shared(tmp_path: Path, store: str) -> None:
    configuration = Configuration(
        state=StateConfig(type=store, directory=tmp_path / "state"),
        shared=SharedConfig("ada", NAMES),
    )
    with pytest.raises(ConfigurationError, match="is for one"):
        Engine.build(configuration, discover=False, rules=RuleSet(RULES.rules))


class DeafStore(MemoryStateStore):
    """Makes a commit, and does not hear so; the same commit made again returns its outcome.

    That is what stores do that are reached over a network.
    """

    def __init__(self, store: MemoryStateStore) -> None:
        super().__init__()
        self._store = store
        self.is_deaf = False
        self._unheard: tuple[object, Mapping[bytes, int]] | None = None

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        self._unheard = None
        return self._store.get_many(keys)

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        asked = (list(changes), dict(expected or {}))
        if self._unheard is not None and self._unheard[0] == asked:
            return self._unheard[1]
        versions = self._store.commit(changes, expected, fence)
        self._unheard = None
        if self.is_deaf:
            self._unheard = (asked, versions)
            raise StateError("the answer did not come", transient=True)
        return versions


@pytest.mark.parametrize("reads_between", [False, True])
def test_a_commit_that_nobody_knows_of_is_made_once(reads_between: bool) -> None:
    ada, bob, store, _ = members()
    deaf = DeafStore(store)
    ada.membership._store = deaf
    ada.read(1)
    deaf.is_deaf = True
    with pytest.raises(StateError, match="did not come"):
        ada.commit()
    deaf.is_deaf = False
    if reads_between:
        ada.turn()
    for each in (ada, bob, ada, bob):
        each.commit()
    assert ada.membership.statistics.sent == 1
    assert ada.membership.statistics.taken + bob.membership.statistics.taken == 1


def test_a_partition_that_was_taken_over_unheard_is_taken_over_again() -> None:
    store, clock = MemoryStateStore(), Clock()
    deaf = DeafStore(store)
    alone = Member(config("ada", ("ada",)), EVENTS, store, clock)
    alone.membership._store = deaf
    deaf.is_deaf = True
    with pytest.raises(StateError, match="did not come"):
        alone.turn()
    deaf.is_deaf = False
    alone.commit()
    assert alone.membership.statistics.partitions == 4
