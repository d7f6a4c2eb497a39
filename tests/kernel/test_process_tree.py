"""One tree of processes: ids, marks, eviction, and what hostile events can do to it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.process_lineage.limits import LineageLimits
from kestrel_framework._pipeline.process_lineage.process_ids import (
    process_id_reader,
    texts_are_ids,
)
from kestrel_framework._pipeline.process_lineage.process_tree import Process, ProcessTree
from kestrel_framework._pipeline.process_lineage.statistics import LineageStatistics
from kestrel_framework.predicate import Field
from kestrel_framework.schema import FieldType

X, Y = 1, 2


class Tree:
    """A tree whose processes are spoken of by their ids."""

    def __init__(
        self, processes: int = 1000, generations: int = 100, kind: FieldType | None = None
    ) -> None:
        self.statistics = LineageStatistics()
        self.problems: list[tuple[str, str, int]] = []
        fields = (Field("p", kind), Field("pp", kind))
        process, parent = (
            process_id_reader(field, self._report, self.statistics) for field in fields
        )
        self.tree = ProcessTree(
            process,
            parent,
            LineageLimits(processes, generations),
            self.statistics,
            texts_are_ids=texts_are_ids(fields[0]),
        )

    def see(self, process: object, parent: object = None, mark: int = 0) -> Process:
        seen = self.tree.see(process, parent, 0)
        assert seen is not None
        if mark:
            self.tree.mark(seen, mark)
        return seen

    def _report(self, cause: str, message: str, event: int) -> None:
        self.problems.append((cause, message, event))

    def ids(self) -> list[object]:
        return [process.id for process in self.tree.processes()]

    def ancestors(self, process: object) -> int:
        return self.tree.of_ancestors(self.see(process))

    def parent(self, process: object) -> int:
        return self.tree.of_parent(self.see(process))

    def everything(self) -> object:
        """Return all that a tree knows, in order, and all that it has told."""
        known = [
            (process.id, process.parent, process.own, process.of_parent, process.inherited)
            for process in self.tree.processes()
        ]
        return known, attrs.asdict(self.statistics), self.problems


_LONG = "x" * 200
_FOREIGN = "ж"
_RAW_IDS = (
    *("aa", "bb", "cc", "dd", "aa", "bb", "cc", "12", "12.0", "1.2", "::1", "::0001", "true", ""),
    *(None, msgspec.UNSET, msgspec.UNSET, msgspec.UNSET, True, 1, 1.0, 12, _LONG, _FOREIGN),
    *(("aa",), ("aa", "bb"), (), {"aa": 1}),
    *("§" + hashlib.sha256(text.encode()).hexdigest() for text in (_LONG, _FOREIGN)),
)


@st.composite
def raw_ids(draw: st.DrawFn) -> object:
    """Return what may stand for an id; equal texts are the same object, or are not."""
    raw = draw(st.sampled_from(_RAW_IDS))
    return "".join([*raw]) if isinstance(raw, str) and draw(st.booleans()) else raw


class TestSeveralAtOnce:
    @settings(max_examples=300)
    @given(
        st.integers(1, 6),
        st.sampled_from([None, None, FieldType.KEYWORD, FieldType.LONG, FieldType.IP, *FieldType]),
        st.lists(
            st.tuples(
                st.lists(st.tuples(raw_ids(), raw_ids()), max_size=8),
                raw_ids(),
                raw_ids(),
                st.sampled_from([0, X, Y]),
            ),
            max_size=8,
        ),
    )
    def test_they_are_seen_as_one_after_the_other(
        self,
        limit: int,
        kind: FieldType | None,
        runs: list[tuple[list[tuple[object, object]], object, object, int]],
    ) -> None:
        together, apart = Tree(limit, kind=kind), Tree(limit, kind=kind)
        for first, (events, process, parent, mark) in enumerate(runs):
            together.tree.see_all(events, 10 * first)
            for number, event in enumerate(events):
                apart.tree.see(*event, 10 * first + number)
            assert together.everything() == apart.everything()
            for tree in (together.tree, apart.tree):
                seen = tree.see(process, parent, 0)
                if seen is not None and mark:
                    tree.mark(seen, mark)
        assert together.everything() == apart.everything()


class TestRelations:
    def test_marks_reach_children_and_descendants(self) -> None:
        tree = Tree()
        tree.see("a", mark=X)
        tree.see("b", "a")
        tree.see("c", "b")
        assert (tree.parent("a"), tree.parent("b"), tree.parent("c")) == (0, X, 0)
        assert (tree.ancestors("a"), tree.ancestors("b"), tree.ancestors("c")) == (0, X, X)

    def test_marks_that_come_later_reach_them_too(self) -> None:
        tree = Tree()
        tree.see("c", "b")
        tree.see("b", "a")
        tree.see("a", mark=X)
        tree.see("b", mark=Y)
        assert (tree.parent("c"), tree.ancestors("c")) == (Y, X | Y)

    def test_a_parent_can_be_named_by_a_later_event(self) -> None:
        tree = Tree()
        tree.see("a", mark=X)
        tree.see("b")
        assert tree.ancestors("b") == 0
        tree.see("b", "a")
        assert tree.ancestors("b") == X

    def test_the_first_parent_stays(self) -> None:
        tree = Tree()
        tree.see("a", mark=X)
        tree.see("other", mark=Y)
        tree.see("b", "a")
        tree.see("b", "other")
        assert (tree.parent("b"), tree.ancestors("b")) == (X, X)

    def test_a_process_is_not_its_own_parent(self) -> None:
        tree = Tree()
        tree.see("a", "a", mark=X)
        assert (tree.parent("a"), tree.ancestors("a")) == (0, 0)
        tree.see("root", mark=Y)
        tree.see("a", "root")
        assert tree.parent("a") == Y

    def test_in_a_ring_each_is_an_ancestor_of_all(self) -> None:
        tree = Tree()
        tree.see("a", "c")
        tree.see("b", "a")
        tree.see("c", "b", mark=X)
        assert [tree.ancestors(name) for name in ("a", "b", "c")] == [X] * 3
        assert tree.statistics.cut_walks == 0
        tree.see("outside", "a")
        assert tree.ancestors("outside") == X


class TestEviction:
    def test_unmarked_processes_go_first_and_of_each_kind_the_one_seen_longest_ago(self) -> None:
        tree = Tree(4)
        tree.see("marked 1", mark=X)
        tree.see("marked 2", mark=X)
        tree.see("plain 1")
        tree.see("plain 2")
        tree.see("plain 1")
        tree.see("marked 1")
        tree.see("new 1", mark=X)
        assert tree.ids() == ["plain 1", "marked 2", "marked 1", "new 1"]
        tree.see("new 2", mark=X)
        tree.see("new 3", mark=X)
        assert tree.ids() == ["marked 1", "new 1", "new 2", "new 3"]
        counted = tree.statistics
        assert (counted.live, counted.evicted_unmarked, counted.evicted_marked) == (4, 2, 1)

    def test_a_flood_of_plain_processes_costs_at_most_one_marked_process(self) -> None:
        tree = Tree(3)
        for name in "abc":
            tree.see(name, mark=X)
        for number in range(100):
            tree.see(f"plain {number}")
        assert tree.ids() == ["plain 99", "b", "c"]

    def test_who_inherits_marks_is_marked(self) -> None:
        tree = Tree(3)
        tree.see("a", mark=X)
        tree.see("b", "a")
        tree.see("plain")
        tree.see("new")
        assert tree.ids() == ["new", "a", "b"]

    def test_who_learns_of_a_marked_parent_later_is_marked_from_then_on(self) -> None:
        tree = Tree(3)
        tree.see("child")
        tree.see("a", mark=X)
        tree.see("child", "a")
        tree.see("plain")
        tree.see("new")
        assert tree.ids() == ["new", "a", "child"]

    def test_who_is_named_as_a_parent_is_seen(self) -> None:
        tree = Tree(3)
        tree.see("a")
        tree.see("b")
        tree.see("c", "a")
        tree.see("d")
        assert tree.ids() == ["a", "c", "d"]

    def test_what_ancestors_did_before_outlives_them(self) -> None:
        tree = Tree(2)
        tree.see("a", mark=X)
        tree.see("b", "a", mark=Y)
        tree.see("c", "b")
        assert tree.ids() == ["b", "c"]
        assert (tree.parent("c"), tree.ancestors("c")) == (Y, X | Y)
        tree.see("d", mark=X)
        tree.see("c")
        tree.see("e", mark=X)
        assert tree.ids() == ["c", "e"]
        assert (tree.parent("c"), tree.ancestors("c")) == (Y, X | Y)
        tree.see("b")
        assert tree.ids() == ["b", "c"]
        assert (tree.parent("c"), tree.ancestors("c")) == (Y, X | Y)

    def test_what_a_grandparent_did_late_outlives_the_parent(self) -> None:
        tree = Tree(3)
        tree.see("a")
        tree.see("b", "a")
        tree.see("a", mark=X)
        tree.see("c", "b")
        tree.see("d", mark=X)
        assert tree.ids() == ["a", "c", "d"]
        assert tree.ancestors("c") == X

    def test_an_evicted_process_begins_anew(self) -> None:
        tree = Tree(1)
        tree.see("a", "first parent", mark=X)
        tree.see("b")
        again = tree.see("a", "second parent")
        assert (again.own, again.parent) == (0, "second parent")

    @given(
        st.integers(1, 6),
        st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60),
    )
    def test_with_any_limit_no_relation_is_invented(
        self, limit: int, events: list[tuple[int, bool]]
    ) -> None:
        bounded, unbounded = Tree(limit), Tree()
        for process, marked in events:
            parent = None if process == 0 else (process - 1) // 2
            for tree in (bounded, unbounded):
                tree.see(process, parent, X if marked else 0)
            assert bounded.ancestors(process) | unbounded.ancestors(process) == (
                unbounded.ancestors(process)
            )
            assert bounded.parent(process) <= unbounded.parent(process)
            live = bounded.statistics.live
            assert live == len(bounded.tree) == len(bounded.ids()) <= limit


class TestHostileEvents:
    def test_a_long_chain_is_looked_at_up_to_a_limit_and_that_is_counted(self) -> None:
        tree = Tree(generations=50)
        tree.see(0)
        for number in range(1, 100):
            tree.see(number, number - 1)
        tree.see(60, mark=X)
        before = tree.statistics.cut_walks
        assert tree.ancestors(99) == X
        tree.see(0, mark=Y)
        assert tree.ancestors(99) == X
        assert tree.statistics.cut_walks == before + 2

    def test_exactly_as_many_generations_as_the_limit_are_all_looked_at(self) -> None:
        tree = Tree(generations=3)
        for number in range(4):
            tree.see(number, number - 1 if number else None)
        tree.see(0, mark=X)
        assert (tree.ancestors(3), tree.statistics.cut_walks) == (X, 0)

    def test_what_happened_before_is_inherited_down_any_chain(self) -> None:
        tree = Tree(generations=10)
        tree.see(0, mark=X)
        for number in range(1, 500):
            tree.see(number, number - 1)
        assert tree.ancestors(499) == X

    def test_rings_and_chains_take_no_time(self) -> None:
        tree = Tree(100_000, LineageLimits().generations)
        tree.see(0, 1)
        tree.see(1, 0)
        started = time.process_time()
        for number in range(2, 5_000):
            tree.see(number, number - 1)
            tree.ancestors(number)
        assert time.process_time() - started < 20

    @pytest.mark.parametrize("text", ["x" * 1_000_000, "ж" * 1_000_000, "x" * 129])
    def test_a_huge_id_is_kept_as_a_digest_and_counted(self, text: str) -> None:
        tree = Tree()
        tree.see(text, mark=X)
        tree.see("child", text)
        tree.see("other child", text + "y")
        assert tree.parent("child") == X
        assert tree.parent("other child") == 0
        assert all(len(str(known)) < 100 for known in tree.ids())
        assert tree.statistics.long_ids == 3

    def test_ids_that_look_alike_are_different(self) -> None:
        tree = Tree()
        alike = ["1", 1, "§", "true", "ж", "\ud800", "İ", "i̇", 1.5, "1.5", "x" * 200, -1, 0, "0"]
        for number, value in enumerate(alike):
            tree.see(value, mark=1 << number)
        for number, value in enumerate(alike):
            assert tree.see(value).own == 1 << number
        forged = [known for known in tree.ids() if isinstance(known, str) and len(known) == 65]
        assert forged
        for text in forged:
            assert tree.see(text).own == 0

    def test_equal_numbers_are_the_same(self) -> None:
        tree = Tree()
        tree.see(7, mark=X)
        assert tree.see(7.0).own == X
        assert tree.see([7, 7]).own == X

    @pytest.mark.parametrize(
        "value", [True, {"a": 1}, ["a", "b"], [1, "1"], [["a"], {"b": 1}]], ids=repr
    )
    def test_what_names_no_process_is_reported(self, value: object) -> None:
        tree = Tree()
        assert tree.tree.see(value, "a", 7) is None
        ((cause, message, event),) = tree.problems
        assert (cause, event) == ("odd_process_id", 7)
        assert "`p`" in message
        child = tree.see("child", value)
        assert child.parent is None
        assert len(tree.problems) == 2

    @pytest.mark.parametrize(
        "value", [msgspec.UNSET, None, "", [], (), [None], (None, None), [""]], ids=repr
    )
    def test_what_is_empty_is_missing(self, value: object) -> None:
        tree = Tree()
        assert tree.tree.see(value, msgspec.UNSET, 0) is None
        assert not tree.problems

    @pytest.mark.parametrize(
        ("field", "value", "process"),
        [
            (Field("p.id", FieldType.KEYWORD), "a", "a"),
            (Field("p.id", FieldType.KEYWORD), 5, "5"),
            (Field("p.id", FieldType.KEYWORD), ("a", "a"), "a"),
            (Field("p.id", FieldType.LONG), "4", 4),
            (Field("p.id", FieldType.LONG), 2**70, 2.0**70),
            (Field("p.id", null_value="none"), None, "none"),
            (Field("p.id", null_value="none"), msgspec.UNSET, None),
            (Field("p.id"), True, None),
        ],
    )
    def test_the_type_of_the_field_counts(
        self, field: Field, value: object, process: object
    ) -> None:
        read = process_id_reader(field, lambda *told: None, LineageStatistics())
        assert read(value, 0) == process

    @given(
        st.one_of(st.text(max_size=3), st.integers(), st.none(), st.booleans(), st.floats()),
        st.sampled_from([None, FieldType.KEYWORD, FieldType.LONG]),
    )
    def test_the_quick_way_says_what_the_long_way_says(
        self, value: object, kind: FieldType | None
    ) -> None:
        read = process_id_reader(Field("p", kind), lambda *told: None, LineageStatistics())
        assert repr(read(value, 0)) == repr(read([value], 0))

    @pytest.mark.slow
    def test_a_million_ids_stay_within_their_memory(self) -> None:
        program = f"""
import resource
from tests_of_the_tree import Tree
tree = Tree({LineageLimits().processes})
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
for number in range(1_000_000):
    name = str(number) + "x" * 120
    tree.see(name, str(number // 2) + "x" * 120, 1 if number % 3 else 0)
print(peak() - before, len(tree.tree), tree.statistics.live)
"""
        grown, live, counted = map(int, _run(program).split())
        assert live == counted == LineageLimits().processes
        assert grown < 100 * 1024, f"{grown} KiB"


def _run(program: str) -> str:
    """Run a program in a process of its own, with this module under another name."""
    load = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("tests_of_the_tree", {__file__!r})
module = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = module
spec.loader.exec_module(module)
"""
    done: Any = subprocess.run(
        [sys.executable, "-c", load + program], capture_output=True, text=True, check=True
    )
    return str(done.stdout)


def test_limits_are_at_least_one() -> None:
    for name in ("processes", "generations"):
        with pytest.raises(ValueError):
            LineageLimits(**{name: 0})
    assert LineageLimits.unlimited().processes == sys.maxsize
