"""The native scanner says of every event what views and the matcher in Python say.

It may leave any event to them. What it does not leave must be the same in all that follows.
"""

from __future__ import annotations

import datetime
import functools
import gc
import itertools
import json
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.event_scanner import EventScanner, is_available, scanner
from kestrel_framework._pipeline.flow import MatchedBatch, Target
from kestrel_framework._pipeline.rule_matcher import MatcherLimits
from kestrel_framework.event import EventBatch, EventSettings
from kestrel_framework.predicate import (
    And,
    Comparison,
    ComparisonOperator,
    Field,
    IsNull,
    Literal,
    Not,
    Predicate,
    Wildcard,
)
from kestrel_framework.rule import ANY_EVENT
from kestrel_framework.schema import SchemaRegistry

pytestmark = pytest.mark.skipif(not is_available(), reason="the native scanner is not compiled")

SETTINGS: Final = EventSettings("t", "iso", "kind", "order")
TIME: Final = "2020-01-01T00:00:00.5Z"
WANTED: Final = ("p.id", "p.parent.id")
DAY: Final = 86_400 * 10**9


def equal(path: str, value: Any) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, Field(path), Literal(value))


CONDITIONS: Final[Sequence[Predicate]] = (
    equal("kind", "process"),
    equal("p.name", "a"),
    And((equal("p.name", "b"), equal("p.parent.name", "a"))),
    And((equal("kind", "process"), Not(equal("user", "é")))),
    equal("n", 1),
    equal("n", 1.5),
    equal("n", True),
    equal("n", -3),
    Wildcard(Field("p.args"), ("*x*",)),
    And((equal("p.args", "\\"), equal("p.args", "\n"))),
    IsNull(Field("user")),
    Comparison(ComparisonOperator.EQUAL, Field("p.name"), Field("user")),
    And((equal("p.name", "a"), Comparison(ComparisonOperator.LESS, Field("n"), Field("m")))),
    IsNull(Field("o")),
)


def matcher_of(
    conditions: Sequence[Predicate] = CONDITIONS,
    *,
    wanted: Sequence[str] = WANTED,
    limits: MatcherLimits | None = None,
    event_settings: EventSettings = SETTINGS,
) -> EventMatcher:
    targets = [Target(0, number, ANY_EVENT, each) for number, each in enumerate(conditions)]
    return EventMatcher(
        targets, SchemaRegistry(), event_settings, NativePatternEngine(), wanted, limits
    )


def without_scanner(make: Callable[[], EventMatcher] = matcher_of) -> EventMatcher:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanner, "Scanner", None)
        return make()


def batch_of(*payloads: bytes) -> EventBatch:
    return EventBatch(payloads=payloads, stream="s", first_offset=0)


def scanned(matcher: EventMatcher, payload: bytes) -> bool:
    """Say whether an event is not left to the decoder."""
    native = matcher.scanner
    assert native is not None
    return native.scan(payload) is not None


def event(**fields: Any) -> bytes:
    return json.dumps({"t": TIME, "kind": "process", **fields}).encode()


FULL: Final = event(
    p={"name": "a", "id": 7, "args": ["x", "\\"], "parent": {"name": "a", "id": "é"}},
    user=None,
    n=1.5,
    m=2,
    other={"a": [-1.5, {"b": "c\n\u00e9"}], "d": True},
    order=3,
)


class Pair:
    """A matcher that scans, and one that does not, over the same events."""

    def __init__(self, make: Callable[[], EventMatcher] = matcher_of) -> None:
        self.native = make()
        self.plain = without_scanner(make)

    def agree(self, *payloads: bytes) -> MatchedBatch:
        """Compare all that is said of a batch, and return it."""
        found = self.native.match(batch_of(*payloads))
        assert attrs.asdict(found) == attrs.asdict(self.plain.match(batch_of(*payloads)))
        return found


def test_without_the_scanner_there_is_none() -> None:
    assert without_scanner().scanner is None
    assert matcher_of().scanner is not None


def test_plain_events_are_scanned() -> None:
    pair = Pair()
    pair.agree(FULL)  # which keys no rule reads is learned from the first
    pair.agree(FULL)
    assert scanned(pair.native, FULL)
    found = pair.agree(FULL)
    assert found.processes == [(7, "é")]
    assert found.tiebreakers == [3]
    assert found.times == [1_577_836_800_500_000_000]


def test_residuals_are_tested() -> None:
    pair = Pair()
    for one, other in itertools.product("ab", repeat=2):
        same = event(p={"name": one}, user=other)
        assert (11 in targets_in(pair.agree(same))) == (one == other)
    for n, m in itertools.product(range(3), repeat=2):
        assert (12 in targets_in(pair.agree(event(p={"name": "a"}, n=n, m=m)))) == (n < m)


@pytest.mark.parametrize(
    "path",
    [
        "a" * 70_000,
        "é" * 40_000,
        ".".join("abcdefgh" * 4),
        ".".join("abcdefgh" * 5),
    ],
    ids=["long", "wide", "deep", "too deep"],
)
def test_any_path(path: str) -> None:
    pair = Pair(lambda: matcher_of([equal(path, 1), equal("n", 1)], wanted=()))
    document: Any = 1
    for part in reversed(path.split(".")):
        document = {part: document}
    for _ in range(2):
        assert 0 in targets_in(pair.agree(event(**document)))


def targets_in(found: MatchedBatch) -> set[int]:
    return {target for match in found.matches for target in match.targets}


NAMES: Final = ("t", "kind", "p", "user", "n", "m", "o", "order", "p.name", "other", "é", "")
INNER: Final = ("name", "args", "id", "parent", "x", "a.b")
SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["a", "b", "x", "é", "\\", "\n", "process", TIME, "\u2028", "\U0001f600", "\0"]
    ),
)
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(INNER), inner, max_size=4)
    ),
    max_leaves=8,
)
DOCUMENTS: Final = st.builds(
    lambda fields, time: {"t": time, **fields},
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6),
    st.just(TIME),
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """Events in any spelling that JSON has."""
    document = draw(DOCUMENTS)
    text = json.dumps(
        document,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 0, 1])),
        separators=draw(st.sampled_from([None, (",", ":"), (" ,\t", " :\r")])),
    )
    return text.encode()


@st.composite
def broken_payloads(draw: st.DrawFn) -> bytes:
    """Events with some of their bytes changed."""
    payload = bytearray(draw(payloads()))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(payload)))
        piece = draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from([b'"', b"\\", b"\\ud800", b"{", b"}", b",", b"e5", b"0", b"-"]),
            )
        )
        payload[place : place + draw(st.integers(0, 3))] = piece
    return bytes(payload)


@functools.cache
def seasoned_pair() -> Pair:
    """Return the pair that all drawn events go to: its caches are full of others."""
    return Pair()


class TestAgreesOnDrawnEvents:
    @given(st.lists(payloads(), min_size=1, max_size=4))
    @settings(max_examples=60, deadline=None)
    def test_a_new_matcher(self, events: list[bytes]) -> None:
        pair = Pair()
        pair.agree(*events)
        pair.agree(*events)

    @given(st.lists(payloads(), min_size=1, max_size=8))
    @settings(max_examples=200, deadline=None)
    def test_a_matcher_that_has_seen_many(self, events: list[bytes]) -> None:
        seasoned_pair().agree(*events)

    @given(st.lists(broken_payloads(), min_size=1, max_size=8))
    @settings(max_examples=250, deadline=None)
    @example([b'{"t":"' + TIME.encode() + b'","n":1}x'])
    @example([b'{"t":"' + TIME.encode() + b'","n":01}'])
    @example([b'{"t":"' + TIME.encode() + b'","n":1e999}'])
    @example([b'{"t":"' + TIME.encode() + b'","user":"\xed\xa0\x80"}'])
    @example([b'{"t":"' + TIME.encode() + b'","x":"\xc0\x80"}'])
    def test_broken_events(self, events: list[bytes]) -> None:
        seasoned_pair().agree(*events)


class TestAgreesOnEveryChange:
    @pytest.mark.parametrize("key", ["user", "other"])
    def test_numbers(self, key: str) -> None:
        pair = Pair()
        pair.agree(FULL)
        start, end = event(**{key: "#"}).split(b'"#"')
        for length in range(1, 5):
            for number in itertools.product(b"01-.e", repeat=length):
                pair.agree(start + bytes(number) + end)
        for digits in range(15, 25):
            pair.agree(*[start + form % (b"9" * digits) + end for form in (b"%b", b"-0.%b")])

    @pytest.mark.parametrize("byte", [0, 0x20, *b'"\\,:{}[]0e.-u', 0x7F, 0x80, 0xC3, 0xE2, 0xFF])
    def test_one_byte_replaced_or_inserted(self, byte: int) -> None:
        pair = Pair()
        pair.agree(FULL)
        piece = bytes([byte])
        for place in range(len(FULL) + 1):
            pair.agree(
                FULL[:place] + piece + FULL[place + 1 :], FULL[:place] + piece + FULL[place:]
            )

    def test_cut_off_anywhere(self) -> None:
        pair = Pair()
        pair.agree(FULL)
        for place in range(len(FULL)):
            pair.agree(FULL[:place], FULL[place:])
            assert not scanned(pair.native, FULL[:place])

    @pytest.mark.parametrize("key", ["user", "other"])
    def test_every_pair_of_bytes_in_a_text(self, key: str) -> None:
        pair = Pair()
        pair.agree(FULL)
        start, end = event(**{key: "#"}).split(b"#")
        for first in (*range(0, 0x20, 5), *range(0x20, 0x80, 16), *b'"\\', *range(0x7F, 256, 3)):
            pair.agree(
                *[start + bytes((first, second)) + end for second in range(256)],
                *[start + bytes((second, first)) + b"a" * 9 + end for second in b'a\\"\xe9'],
                *[start + b"\\u" + bytes((first, 0x38, 0x30, 0x30)) + end],
            )


class TestOdd:
    """What is left to the decoder."""

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b" ",
            b"{}",
            b"null",
            b"[]",
            b"\xef\xbb\xbf" + FULL,
            FULL + b"\0",
            FULL[:-1] + b',"n":2}',
            FULL[:-1] + b',"p":{}}',
            FULL[:-1] + b',"p.name":"b"}',
            FULL.replace(b'"kind"', b'"k\\u0069nd"'),
            FULL.replace(b'"user": null', b'"user": "\\ud83d\\ude00"'),
            FULL.replace(b'{"name": "a"', b'[{"name": "a"', 1)[:-1],
            event(p="a"),
            event(p=[{"name": "a"}, {"name": "b"}]),
            event(n=10**30),
            event(x="[" * 1000),
            event(x=eval("[" * 90 + "]" * 90)),
            FULL.replace(TIME.encode(), b"yesterday"),
            FULL.replace(b'"t"', b'"u"'),
        ],
    )
    def test_is_the_same(self, payload: bytes) -> None:
        pair = Pair()
        for _ in range(3):
            pair.agree(FULL, payload, FULL)

    def test_keys_twice_or_with_escapes(self) -> None:
        pair = Pair()
        pair.agree(FULL)
        pair.agree(FULL)
        for payload in (
            FULL[:-1] + b',"p":{"name":"b"}}',
            FULL[:-1] + b',"n":1}',
            FULL.replace(b'"parent": {', b'"parent": {"x": 1, "n\\u0061me": "b", '),
        ):
            assert not scanned(pair.native, payload)
            pair.agree(payload)
        same = FULL.replace(b'"parent": {', b'"parent": {"x": 1, "x": 2, "na": 3, ')
        assert scanned(pair.native, same)
        pair.agree(same)

    def test_a_payload_too_long(self) -> None:
        pair = Pair()
        pair.agree(event(user="a" * 9_000_000))

    def test_bytes_of_another_type(self) -> None:
        class OtherBytes(bytes):
            pass

        pair = Pair()
        pair.agree(FULL)
        pair.agree(OtherBytes(FULL))
        assert not scanned(pair.native, OtherBytes(FULL))

    @pytest.mark.parametrize("depth", range(55, 110))
    def test_nesting(self, depth: int) -> None:
        pair = Pair()
        for opened, closed in ((b"[", b"]"), (b'{"a":', b"}")):
            for name in (b"x", b"user", b"o"):
                deep = (
                    event()[:-1]
                    + b',"'
                    + name
                    + b'":'
                    + opened * depth
                    + b"1"
                    + closed * depth
                    + b"}"
                )
                for _ in range(2):
                    pair.agree(deep)

    def test_a_million_brackets(self) -> None:
        pair = Pair()
        for opened in (b"[", b'{"a":'):
            for key in (b"other", b"user"):
                pair.agree(FULL)
                pair.agree(event()[:-1] + b',"' + key + b'":' + opened * 1_000_000)


class TestTime:
    def time_of(self, native: EventScanner, text: str) -> int | None:
        found = native.scan(json.dumps({"t": text}).encode())
        return None if found is None else found[1]

    def test_every_day(self) -> None:
        native = matcher_of().scanner
        assert native is not None
        first = datetime.date(1970, 1, 1).toordinal()
        for ordinal in range(first, datetime.date(2262, 1, 1).toordinal()):
            day = datetime.date.fromordinal(ordinal).isoformat()
            assert self.time_of(native, f"{day}T00:00:00Z") == (ordinal - first) * DAY

    @given(
        st.integers(1960, 2300), *[st.integers(0, most) for most in (13, 32, 24, 60, 61)],
        st.sampled_from(["", ".", ".0", ".5", ".123456789", ".1234567891", ".12a", ".-1"]),
        st.sampled_from(["Z", "z", "", "ZZ", "+02:00"]),
    )  # fmt: skip
    @settings(max_examples=400, deadline=None)
    def test_drawn_times(self, year: int, month: int, day: int, hour: int, minute: int,
                         second: int, fraction: str, zone: str) -> None:  # fmt: skip
        text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}"
        seasoned_pair().agree(event(t=text))

    def test_bounds(self) -> None:
        pair = Pair()
        for day, time in itertools.product(
            ("1969-12-31", "1970-01-01", "1999-02-29", "2000-02-29", "2100-02-29", "2000-04-31",
             "2000-00-10", "2000-13-10", "2000-01-00", "2261-12-31", "2262-01-01", "2300-01-01"),
            ("00:00:00", "23:59:59", "24:00:00", "00:60:00", "00:00:60", "0:00:00", "00:00:0"),
        ):  # fmt: skip
            for end in ("Z", ".0Z", ".123456789Z", ".1234567899Z", ".Z", "", ".5"):
                pair.agree(event(t=f"{day}T{time}{end}"), event(t=f"{day} {time}{end}"))

    @given(st.one_of(SCALARS, st.text("0123456789-T:.Z ", min_size=18, max_size=26)))
    @settings(max_examples=200, deadline=None)
    def test_other_values(self, time: Any) -> None:
        seasoned_pair().agree(event(t=time))

    def test_numbers_in_other_units(self) -> None:
        pair = Pair(lambda: matcher_of(event_settings=EventSettings("t", "ns", "kind")))
        assert pair.agree(b'{"t":17}').times == [17]
        assert scanned(pair.native, b'{"t":17}')


class TestMemory:
    def test_long_values(self) -> None:
        pair = Pair()
        for length in (1, 7, 8, 15, 16, 17, 31, 33, 1021, 1022, 1023, 5000):
            texts = [character * length for character in "abé"]
            for _ in range(2):
                pair.agree(*[event(p={"name": text, "id": text}, user=text) for text in texts])

    def test_more_combinations_than_a_node_keeps(self) -> None:
        fields = [f"f{number}" for number in range(14)]
        conditions = [And(tuple(equal(field, 1) for field in two))
                      for two in itertools.combinations(fields, 2)]  # fmt: skip
        pair = Pair(lambda: matcher_of(conditions, wanted=()))
        for mask in range(0, 1 << len(fields), 3):
            chosen = {field: mask >> n & 1 for n, field in enumerate(fields)}
            pair.agree(event(**chosen))

    def test_a_matcher_is_freed(self) -> None:
        matcher = matcher_of()
        matcher.match(batch_of(FULL, FULL))
        assert matcher.scanner is not None
        matcher_alive, scanner_alive = weakref.ref(matcher), weakref.ref(matcher.scanner)
        del matcher
        gc.collect()
        assert matcher_alive() is None
        assert scanner_alive() is None
