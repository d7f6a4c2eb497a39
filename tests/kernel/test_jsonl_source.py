"""The builtin source of JSON lines: identities, positions, and everything files do."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from kestrel_framework._builtin import followed_file
from kestrel_framework._builtin.jsonl_source import JsonlSource, JsonlSourceConfig
from kestrel_framework._builtin.stream_names import REMEMBERED_STREAMS, StreamNames
from kestrel_framework.errors import ConfigurationError, InputError
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import EventSource, Offer
from kestrel_framework.testing import EventSourceContract, RecordingLogger, make_context

THREE = b'{"n":0}\n{"n":1}\n{"n":2}\n'


def stream_of(first_line: bytes) -> str:
    return "jsonl:" + hashlib.sha256(first_line).hexdigest()[:16]


def source_of(
    *paths: object, logger: RecordingLogger | None = None, **options: object
) -> JsonlSource:
    config = JsonlSourceConfig(paths=tuple(map(str, paths)), **options)  # type: ignore[arg-type]
    return JsonlSource(config, make_context(logger=logger))


def read_all(source: JsonlSource, max_events: int = 1000, timeout: float = 1) -> list[EventBatch]:
    """Return the batches of a source that is open, to its end or until it is quiet."""
    batches = []
    while (batch := source.read(max_events, timeout)) is not None:
        if not batch.payloads and not batch.lost:
            break
        batches.append(batch)
    return batches


def contents(*paths: object, position: str | None = None, **options: object) -> list[EventBatch]:
    source = source_of(*paths, **options)  # type: ignore[arg-type]
    source.open(position)
    try:
        return read_all(source)
    finally:
        source.close()


def lines_of(batches: list[EventBatch]) -> list[tuple[str | None, int, bytes]]:
    """Return (stream, offset, line) of each line that is not blank."""
    return [
        (batch.stream, (batch.first_offset or 0) + number, payload)
        for batch in batches
        for number, payload in enumerate(batch.payloads)
        if payload.strip()
    ]


class _JsonlContract(EventSourceContract):
    supports_positions = True
    can_be_unreadable = True
    offer = Offer(JsonlSource, JsonlSourceConfig)
    bad_configurations = (
        lambda: JsonlSourceConfig(),
        lambda: JsonlSourceConfig(path="a", paths=("b",)),
        lambda: JsonlSourceConfig(paths=("a", "")),
        lambda: JsonlSourceConfig(paths=("-", "-")),
        lambda: JsonlSourceConfig(paths=("a", "b"), follow=True),
        lambda: JsonlSourceConfig(path="-", follow=True),
        lambda: JsonlSourceConfig(path="a", max_line_bytes=0),
        lambda: JsonlSourceConfig(path="a", max_line_bytes=1 << 30),
    )

    @pytest.fixture
    def paths(self, tmp_path: Path) -> list[Path]:
        raise NotImplementedError

    @pytest.fixture
    def another_source(self, paths: list[Path]) -> Callable[[], EventSource]:
        return lambda: source_of(*paths)

    @pytest.fixture
    def source(self, another_source: Callable[[], EventSource]) -> EventSource:
        return another_source()

    @pytest.fixture
    def unreadable_source(self, tmp_path: Path) -> EventSource:
        return source_of(tmp_path / "missing")


class TestFiles(_JsonlContract):
    @pytest.fixture
    def paths(self, tmp_path: Path) -> list[Path]:
        """One with blank lines around and no end of its last line, one without events, one more."""
        for name, content in (
            ("a", b"\n \n" + THREE + b'\n{"n":3}'),
            ("b", b"\n"),
            ("c", b"\xef\xbb\xbf" + THREE),
        ):
            (tmp_path / name).write_bytes(content)
        return [tmp_path / "a", tmp_path / "b", tmp_path / "c"]


class TestGzipFile(_JsonlContract):
    @pytest.fixture
    def paths(self, tmp_path: Path) -> list[Path]:
        (tmp_path / "a.gz").write_bytes(gzip.compress(THREE))
        return [tmp_path / "a.gz"]


class TestZstdFile(_JsonlContract):
    @pytest.fixture
    def paths(self, tmp_path: Path) -> list[Path]:
        (tmp_path / "a.zst").write_bytes(zstandard.ZstdCompressor().compress(THREE))
        return [tmp_path / "a.zst"]


class TestFollowedFile(_JsonlContract):
    is_live = True

    @pytest.fixture
    def paths(self, tmp_path: Path) -> list[Path]:
        (tmp_path / "log").write_bytes(THREE)
        return [tmp_path / "log"]

    @pytest.fixture
    def another_source(self, paths: list[Path]) -> Callable[[], EventSource]:
        return lambda: source_of(*paths, follow=True)

    @pytest.fixture
    def unreadable_source(self, tmp_path: Path) -> EventSource:
        return source_of(tmp_path, follow=True)


def test_only_a_followed_file_is_live() -> None:
    assert source_of("events", follow=True).live
    assert not source_of("events").live
    assert not source_of("-").live


# --- identities -------------------------------------------------------------------------


def through_a_pipe(data: bytes) -> list[EventBatch]:
    """Return what the source makes of `data` on standard input."""
    read_end, write_end = os.pipe()
    kept = os.dup(0)
    try:
        os.write(write_end, data)
        os.close(write_end)
        os.dup2(read_end, 0)
        return contents("-")
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(read_end)


def test_the_same_content_has_the_same_identities_however_it_comes(tmp_path: Path) -> None:
    packed = {
        "plain.jsonl": THREE,
        "packed.jsonl.gz": gzip.compress(THREE),
        "packed.jsonl.zst": zstandard.ZstdCompressor().compress(THREE),
        "gzip-by-content": gzip.compress(THREE),
        "zstd-by-content": zstandard.ZstdCompressor().compress(THREE),
        "marked": b"\xef\xbb\xbf" + THREE,
    }
    expected = [(stream_of(b'{"n":0}'), n, b'{"n":%d}' % n) for n in range(3)]
    for name, data in packed.items():
        (tmp_path / name).write_bytes(data)
        assert lines_of(contents(tmp_path / name)) == expected, name
        assert lines_of(through_a_pipe(data)) == expected, name


def test_line_numbers_count_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b'\n\r\n{"n":2}\n\n{"n":4}\r\n  \n{"n":6}')
    batches = contents(path)
    stream = stream_of(b'{"n":2}')
    assert [(offset, line) for _, offset, line in lines_of(batches)] == [
        (2, b'{"n":2}'),
        (4, b'{"n":4}\r'),
        (6, b'{"n":6}'),
    ]
    assert {name for name, _, _ in lines_of(batches)} == {stream}
    assert {batch.origin for batch in batches} == {str(path)}


def test_another_beginning_is_another_stream_and_the_same_one_is_counted(tmp_path: Path) -> None:
    for name, first in (("a", b'{"n":0}'), ("b", b'{"n":1}'), ("c", b'{"n":0}'), ("d", b'{"n":0}')):
        (tmp_path / name).write_bytes(first + b'\n{"x":1}\n')
    batches = contents(*(tmp_path / name for name in "abcd"))
    zero, one = stream_of(b'{"n":0}'), stream_of(b'{"n":1}')
    assert [batch.stream for batch in batches] == [zero, one, f"{zero}~2", f"{zero}~3"]
    identities = [(stream, offset) for stream, offset, _ in lines_of(batches)]
    assert len(set(identities)) == len(identities) == 8


def test_the_same_file_resumed_does_not_take_an_old_name(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(THREE)
    paths = [tmp_path / name for name in "abc"]
    batches = contents(*paths)
    for number in range(3):
        rest = contents(*paths, position=batches[number].position)
        assert [batch.stream for batch in rest] == [batch.stream for batch in batches[number + 1 :]]


def test_names_are_remembered_within_bounds() -> None:
    names = StreamNames()
    for number in range(REMEMBERED_STREAMS * 3):
        names.name(b"%d" % number)
        assert names.name(b"always").startswith(stream_of(b"always"))
    assert len(names.seen) == REMEMBERED_STREAMS
    assert names.name(b"always") == f"{stream_of(b'always')}~{REMEMBERED_STREAMS * 3 + 1}"


# --- bad input ----------------------------------------------------------------------------


def test_malformed_lines_and_bytes_are_handed_over_as_they_are(tmp_path: Path) -> None:
    odd = [b"{", b"\xff\xfe\x80", b"\x00\x00", b'{"a":', b"[]", b"null", b'"', b"{}{}"]
    path = tmp_path / "events"
    path.write_bytes(b"{}\n" + b"\n".join(odd) + b"\n{}")
    assert [line for _, _, line in lines_of(contents(path))] == [b"{}", *odd, b"{}"]


@pytest.mark.parametrize("place", ["first", "middle", "last", "last without end", "alone"])
def test_a_line_of_100_megabytes_is_skipped_counted_and_reported(
    tmp_path: Path, place: str
) -> None:
    path = tmp_path / "events"
    long = b'{"n":"%s"}' % (b"x" * (100 << 20 if place == "middle" else 17 << 20))
    path.write_bytes(
        {
            "first": long + b"\n{}\n{}\n",
            "middle": b"{}\n" + long + b"\n{}\n",
            "last": b"{}\n{}\n" + long + b"\n",
            "last without end": b"{}\n{}\n" + long,
            "alone": long,
        }[place]
    )
    number = {"first": 0, "middle": 1, "alone": 0}.get(place, 2)
    logger = RecordingLogger()
    source = source_of(path, logger=logger)
    source.open(None)
    batches = read_all(source)
    assert source.read(1, 0) is None
    source.close()
    assert [offset for _, offset, _ in lines_of(batches)] == (
        [] if place == "alone" else sorted({0, 1, 2} - {number})
    )
    assert sum(batch.lost.get("line_too_long", 0) for batch in batches) == 1
    (logged,) = logger.events
    assert logged.level == "warning"
    assert logged.details["origin"] == str(path)
    assert logged.details["line"] == number + 1
    assert logged.details["lines"] == 1


def test_what_is_lost_stands_before_the_lines_that_follow(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"{}\n" + b"x" * 50 + b"\n" + b"y" * 50 + b"\n{ }\n{}\n")
    batches = contents(path, max_line_bytes=10)
    assert [(batch.first_offset, dict(batch.lost), len(batch)) for batch in batches] == [
        (0, {}, 1),
        (3, {"line_too_long": 2}, 2),
    ]
    rest = contents(path, max_line_bytes=10, position=batches[0].position)
    assert [(batch.first_offset, dict(batch.lost), len(batch)) for batch in rest] == [
        (3, {"line_too_long": 2}, 2)
    ]


def test_a_line_without_end_does_not_hold_up_the_heartbeat() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "while True: print('x' * 65536, end='')"], stdout=subprocess.PIPE
    )
    kept = os.dup(0)
    try:
        assert child.stdout is not None
        os.dup2(child.stdout.fileno(), 0)
        source = source_of("-")
        source.open(None)
        for _ in range(3):
            began = time.monotonic()
            batch = source.read(100, 0.1)
            assert batch is not None
            assert not len(batch)
            assert time.monotonic() - began < 2
        source.close()
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_archive_is_used_and_then_reported_with_file_and_line(
    tmp_path: Path, suffix: str
) -> None:
    lines = [b'{"n":%d,"noise":"%s"}' % (n, os.urandom(40).hex().encode()) for n in range(5000)]
    data = b"\n".join(lines) + b"\n"
    packed = gzip.compress(data) if suffix == ".gz" else zstandard.ZstdCompressor().compress(data)
    path = tmp_path / f"events{suffix}"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    after = tmp_path / "after"
    after.write_bytes(THREE)
    source = source_of(path, after)
    source.open(None)
    found = []
    with pytest.raises(InputError) as raised:
        while (batch := source.read(1000, 0)) is not None:
            found += [payload for payload in batch.payloads if batch.origin == str(path)]
            last = batch
    source.close()
    assert found == lines[: len(found)]
    assert len(found) > 1000
    assert str(raised.value).startswith(f"{path}:{len(found) + 1}: the ")
    assert f"data ends early; the {len(found)} lines before were read" in str(raised.value)
    assert last.origin == str(after), "a damaged file must not hold up the next one"
    assert source.read(1, 0) is None


def test_every_damaged_file_is_named(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        (tmp_path / name).write_bytes(gzip.compress(THREE)[:-3])
    source = source_of(tmp_path / "a.gz", tmp_path / "b.gz")
    source.open(None)
    with pytest.raises(InputError) as raised:
        read_all(source)
    source.close()
    assert "a.gz:4: the gzip data ends early" in str(raised.value)
    assert "b.gz:4: the gzip data ends early" in str(raised.value)


def test_utf_16_is_named_as_what_it_is(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        path = tmp_path / encoding
        path.write_bytes("\ufeff{}\n{}\n".encode(encoding))
        with pytest.raises(InputError, match="is UTF-16 text; convert it to UTF-8"):
            contents(path)


def test_empty_inputs_are_fine(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "blank").write_bytes(b"\n\n \n")
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b""))
    assert not contents(tmp_path / "empty", tmp_path / "blank", tmp_path / "empty.gz")
    assert not through_a_pipe(b"")


def test_a_name_that_is_no_text_is_a_file_name_all_the_same(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n\x1b[2J")
    Path(path).write_bytes(THREE)
    batches = contents(path)
    assert contents(path, position=batches[0].position) == []


# --- positions -------------------------------------------------------------------------------


def test_a_position_in_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(THREE)
    (batch,) = contents(path)
    path.write_bytes(b'{"other":1}\n' + THREE)
    with pytest.raises(InputError, match="is not the file that was read before"):
        contents(path, position=batch.position)
    path.write_bytes(THREE[:-8])
    source = source_of(path)
    source.open(batch.position)
    with pytest.raises(InputError, match="is shorter than it was"):
        read_all(source)
    source.close()


def test_a_position_in_another_file_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(THREE)
    (batch,) = contents(tmp_path / "a")
    for follow in (False, True):
        source = source_of(tmp_path / "b", follow=follow)
        with pytest.raises(InputError, match="the stored position is in a file that is not read"):
            source.open(batch.position)


@pytest.mark.parametrize("change", [{"line": -1}, {"offset": "3"}, {"more": 1}, {"seen": None}])
def test_a_position_that_was_changed_by_hand_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(THREE)
    (batch,) = contents(path)
    assert batch.position is not None
    changed = json.dumps(json.loads(batch.position) | change)
    with pytest.raises(InputError, match="the stored position is damaged"):
        contents(path, position=changed)


def test_progress_counts_bytes_of_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(THREE)
    (tmp_path / "b.gz").write_bytes(gzip.compress(THREE))
    total = len(THREE) + (tmp_path / "b.gz").stat().st_size
    source = source_of(tmp_path / "a", tmp_path / "b.gz")
    source.open(None)
    assert source.progress() == (0, total)
    source.read(1, 0)
    assert source.progress() == (len(THREE), total)
    read_all(source)
    assert source.progress() == (total, total)
    source.close()
    assert source_of("-").progress() is None


# --- a file that grows ------------------------------------------------------------------------


@pytest.fixture
def quick_rotation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_file, "ROTATION_QUIET_SECONDS", 0.05)
    monkeypatch.setattr(followed_file, "POLL_SECONDS", 0.01)


class Follower:
    """A followed file, and everything that was read of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = source_of(path, follow=True)
        self.source.open(None)
        self.batches: list[EventBatch] = []

    def add(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)

    def expect(self, *lines: bytes) -> None:
        """Read until so many lines came, and check that they are these."""
        found: list[bytes] = []
        deadline = time.monotonic() + 5
        while len(found) < len(lines) and time.monotonic() < deadline:
            batch = self.source.read(1000, 0.05)
            assert batch is not None
            self.batches.append(batch)
            found += batch.payloads
        assert found == list(lines)

    def expect_quiet(self) -> None:
        batch = self.source.read(1000, 0.03)
        assert batch is not None
        assert not batch.payloads

    @property
    def streams(self) -> list[str]:
        return list(dict.fromkeys(b.stream for b in self.batches if b.payloads and b.stream))


@pytest.fixture
def follower(tmp_path: Path, quick_rotation: None) -> Iterator[Follower]:
    (tmp_path / "log").write_bytes(b"one\n")
    follower = Follower(tmp_path / "log")
    yield follower
    follower.source.close()


def test_follows_what_is_added_and_waits_for_the_end_of_a_line(follower: Follower) -> None:
    follower.expect(b"one")
    follower.expect_quiet()
    follower.add(b"tw")
    follower.expect_quiet()
    follower.add(b"o\nthree\nfou")
    follower.expect(b"two", b"three")
    follower.add(b"r\n")
    follower.expect(b"four")
    offsets = [offset for _, offset, _ in lines_of(follower.batches)]
    assert offsets == [0, 1, 2, 3]
    assert follower.streams == [stream_of(b"one")]


def test_waits_for_a_file_that_appears_later(tmp_path: Path, quick_rotation: None) -> None:
    follower = Follower(tmp_path / "later")
    follower.expect_quiet()
    follower.add(b"")
    follower.expect_quiet()
    follower.add(b"fir")
    follower.expect_quiet()
    follower.add(b"st\n")
    follower.expect(b"first")
    follower.source.close()


def test_reads_a_renamed_file_to_its_end_before_the_new_one(follower: Follower) -> None:
    follower.expect(b"one")
    old = follower.path.rename(follower.path.with_suffix(".1"))
    follower.expect_quiet()
    with old.open("ab") as still_open:
        still_open.write(b"two\n")
        still_open.flush()
        follower.path.write_bytes(b"three\n")
        still_open.write(b"late\nwithout an end")
        still_open.flush()
        follower.expect(b"two", b"late", b"without an end", b"three")
    assert follower.streams == [stream_of(b"one"), stream_of(b"three")]
    assert [offset for _, offset, _ in lines_of(follower.batches)] == [0, 1, 2, 3, 0]


def test_a_copied_and_truncated_file_begins_again(follower: Follower) -> None:
    follower.add(b"two\n")
    follower.expect(b"one", b"two")
    os.truncate(follower.path, 0)
    follower.add(b"new\n")
    follower.expect(b"new")
    assert follower.streams == [stream_of(b"one"), stream_of(b"new")]


def test_a_truncated_file_that_grew_beyond_the_old_place_is_noticed(follower: Follower) -> None:
    follower.expect(b"one")
    follower.expect_quiet()
    follower.path.write_bytes(b"another\nmore\n")
    follower.expect(b"another", b"more")
    assert follower.streams == [stream_of(b"one"), stream_of(b"another")]


def test_a_rewritten_file_of_the_same_length_is_noticed(follower: Follower) -> None:
    follower.expect(b"one")
    follower.expect_quiet()
    follower.path.write_bytes(b"two\n")
    follower.expect(b"two")


def test_a_rotation_that_begins_with_the_same_line_has_another_stream(follower: Follower) -> None:
    follower.expect(b"one")
    for number in (2, 3):
        follower.path.rename(follower.path.with_suffix(f".{number}"))
        follower.path.write_bytes(b"one\n")
        follower.expect(b"one")
        assert follower.streams[-1] == f"{stream_of(b'one')}~{number}"


def test_goes_on_where_it_stopped_in_a_file_renamed_meanwhile(follower: Follower) -> None:
    follower.add(b"two\n")
    follower.expect(b"one", b"two")
    position = follower.batches[-1].position
    follower.source.close()
    follower.add(b"three\n")
    follower.path.rename(follower.path.with_suffix(".1"))
    follower.path.write_bytes(b"new\n")
    follower.source = source_of(follower.path, follow=True)
    follower.source.open(position)
    follower.expect(b"three", b"new")
    assert follower.streams == [stream_of(b"one"), stream_of(b"new")]


def test_says_that_a_file_was_replaced_while_nobody_read_it(follower: Follower) -> None:
    follower.expect(b"one")
    position = follower.batches[-1].position
    follower.source.close()
    follower.path.unlink()
    follower.path.write_bytes(b"new\n")
    logger = RecordingLogger()
    follower.source = source_of(follower.path, follow=True, logger=logger)
    follower.source.open(position)
    follower.expect(b"new")
    (logged,) = logger.events
    assert "its last lines may be lost" in logged.event
    assert logged.details["origin"] == str(follower.path)


def test_a_compressed_file_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(THREE))
    source = source_of(path, follow=True)
    source.open(None)
    with pytest.raises(InputError, match="is compressed, and cannot be followed"):
        source.read(10, 0)
    source.close()


def test_a_folder_in_place_of_the_file_ends_the_run_clearly(follower: Follower) -> None:
    follower.expect(b"one")
    follower.path.unlink()
    follower.path.mkdir()
    with pytest.raises(InputError, match="is a directory"):
        for _ in range(50):
            follower.source.read(10, 0.05)


def test_configuration_errors_name_the_key() -> None:
    with pytest.raises(ConfigurationError) as raised:
        JsonlSourceConfig(paths=("a", "b"), follow=True)
    assert raised.value.path == "follow"
    assert "exactly one file" in raised.value.problem
