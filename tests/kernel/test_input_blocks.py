"""Bytes of files and pipes: compression, damage, bombs, and what is no file."""

from __future__ import annotations

import gzip
import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._builtin.input_blocks import BLOCK_BYTES, DecompressedBlocks, FileBlocks
from kestrel_framework.errors import InputError


class GivenBlocks:
    """Blocks of the sizes that a pipe may deliver."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data = data
        self._size = size

    def wait(self, timeout: float) -> bool:
        return True

    def next(self) -> bytes:
        block, self._data = self._data[: self._size], self._data[self._size :]
        return block

    def close(self) -> None:
        pass


def read_all(blocks: DecompressedBlocks) -> bytes:
    pieces = []
    while block := blocks.next():
        pieces.append(block)
    return b"".join(pieces)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstd,
}


@given(
    st.lists(st.binary(max_size=50) | st.just(b"line\n" * 500), max_size=5),
    st.sampled_from([1, 2, 3, 7, 1000, 1 << 20]),
    st.sampled_from(["plain", "gzip", "zstd"]),
)
def test_content_is_the_same_however_it_is_packed(
    parts: list[bytes], size: int, packing: str
) -> None:
    packs: dict[str, Callable[[bytes], bytes]] = {
        "plain": bytes,
        "gzip": gzip.compress,
        "zstd": zstd,
    }
    pack = packs[packing]
    # Text of events never begins as compressed data does.
    parts = [b"{" + parts[0], *parts[1:]] if parts else [b"{"]
    packed = b"".join(map(pack, parts))
    assert read_all(DecompressedBlocks(GivenBlocks(packed, size), "-")) == b"".join(parts)


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
@pytest.mark.parametrize("where", [0, 1, 3, 5, 17, 0.3, 0.9, -1])
def test_truncated_archives_are_read_to_where_they_end(packing: str, where: float) -> None:
    content = os.urandom(300_000)
    packed = gzip.compress(content) if packing == "gzip" else zstd(content)
    cut = packed[: where if isinstance(where, int) else int(len(packed) * where)]
    name = "events.gz" if packing == "gzip" else "events.zst"
    blocks = DecompressedBlocks(GivenBlocks(cut, 4096), name)
    found = []
    with pytest.raises(InputError, match=rf"the {packing} data ends early"):
        while block := blocks.next():
            found.append(block)
    assert content.startswith(b"".join(found))
    if where == 0.9:
        assert len(b"".join(found)) > 100_000


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_damaged_archives_are_an_error(packing: str) -> None:
    packed = gzip.compress(b"line\n" * 9) if packing == "gzip" else zstd(b"line\n" * 9)
    name = "events.gz" if packing == "gzip" else "events.zst"
    for damaged in (packed[:12] + b"\xff" * 20, packed + b"garbage after it", b"plain text"):
        with pytest.raises(InputError, match=rf"the {packing} data (is damaged|ends early)"):
            read_all(DecompressedBlocks(GivenBlocks(damaged, 5), name))


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
@pytest.mark.parametrize("size", [5, 1 << 20])
def test_what_stands_before_the_damage_is_read(pack: Callable[[bytes], bytes], size: int) -> None:
    blocks = DecompressedBlocks(GivenBlocks(pack(b"one\n") + b"garbage", size), "-")
    content = b""
    while content != b"one\n":
        content += blocks.next()
    for _ in range(2):
        with pytest.raises(InputError, match="data is damaged"):
            blocks.next()


def test_zeros_after_gzip_data_are_padding() -> None:
    packed = gzip.compress(b"one\n") + b"\0" * 700 + gzip.compress(b"two\n") + b"\0" * 512
    assert read_all(DecompressedBlocks(GivenBlocks(packed, 100), "-")) == b"one\ntwo\n"


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_bomb_needs_no_memory(packing: str) -> None:
    zeros = 1 << 28
    packed = gzip.compress(bytes(zeros), 1) if packing == "gzip" else zstd(bytes(zeros))
    blocks = DecompressedBlocks(GivenBlocks(packed, 1 << 20), "-")
    size = 0
    tracemalloc.start()
    try:
        while block := blocks.next():
            size += len(block)
            assert len(block) <= 16 * BLOCK_BYTES
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == zeros
    assert peak < zeros / 4


class SlowBlocks(GivenBlocks):
    """A pipe that has one byte now and then: every second wait is in vain."""

    waits = 0

    def wait(self, timeout: float) -> bool:
        self.waits += 1
        return self.waits % 2 == 0

    def next(self) -> bytes:
        assert self.waits % 2 == 0, "a read before there is anything holds up everything"
        return super().next()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_a_slow_pipe_never_holds_up_its_reader(pack: Callable[[bytes], bytes]) -> None:
    blocks = DecompressedBlocks(SlowBlocks(pack(b"{}\n"), 1), "-")
    found = b""
    while True:
        while not blocks.wait(0):
            pass
        block = blocks.next()
        if not block:
            break
        found += block
    assert found == b"{}\n"


def test_a_skippable_frame_is_a_beginning_of_zstd_data() -> None:
    packed = b"\x5a\x2a\x4d\x18\x03\x00\x00\x00abc" + zstd(b"{}\n")
    assert read_all(DecompressedBlocks(GivenBlocks(packed, 3), "-")) == b"{}\n"


def test_a_zstd_window_that_needs_gigabytes_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=31)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    packed = compressor.compressobj().compress(b"x" * 5_000_000)
    with pytest.raises(InputError, match="the zstd data is damaged"):
        read_all(DecompressedBlocks(GivenBlocks(packed, 4096), "-"))


def test_many_tiny_members_do_not_cost_the_square_of_their_number(tmp_path: Path) -> None:
    for name, unit in (("a.gz", gzip.compress(b"{}\n")), ("a.zst", zstd(b"{}\n"))):
        (tmp_path / name).write_bytes(unit * 20_000)
        path = str(tmp_path / name)
        blocks = DecompressedBlocks(FileBlocks(path), path)
        assert read_all(blocks) == b"{}\n" * 20_000
        blocks.close()


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_goes_to_any_place(tmp_path: Path, suffix: str) -> None:
    content = os.urandom(3_000) * 1000
    pack = PACKS[{"": "plain", ".gz": "gzip", ".zst": "zstd"}[suffix]]
    path = tmp_path / f"events{suffix}"
    path.write_bytes(pack(b"{" + content))
    for offset in (0, 1, 1000, BLOCK_BYTES, BLOCK_BYTES + 1, len(content), len(content) + 1):
        blocks = DecompressedBlocks(FileBlocks(str(path)), str(path))
        assert blocks.seek(offset)
        assert read_all(blocks) == (b"{" + content)[offset:]
        blocks.close()
    for offset, there in ((len(content) + 2, True), (len(content) + 3, False)):
        blocks = DecompressedBlocks(FileBlocks(str(path)), str(path))
        assert blocks.seek(offset) is there
        blocks.close()


def test_only_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, problem in (
        (tmp_path, "is a directory; a file is needed"),
        (tmp_path / "pipe", "is a named pipe; redirect it into standard input"),
        (tmp_path / "socket", "cannot be read"),
        ("/dev/null", "is a device"),
        (tmp_path / "missing", "cannot be read: no such file or directory"),
        (tmp_path / "loop", "cannot be read: too many levels of symbolic links"),
        ("a\0b", "is not a file name"),
        (tmp_path / ("x" * 300), "file name too long"),
    ):
        with pytest.raises(InputError, match=problem):
            FileBlocks(str(path))
    listener.close()


def test_says_that_permission_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("{}\n")
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(InputError, match="cannot be read: permission denied"):
            FileBlocks(str(path))
    finally:
        os.seteuid(user)


def test_says_that_a_file_became_shorter(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"x" * (BLOCK_BYTES + 10))
    blocks = FileBlocks(str(path))
    assert len(blocks.next()) == BLOCK_BYTES
    os.truncate(path, 5)
    with pytest.raises(InputError, match="became shorter while it was read"):
        blocks.next()
    blocks.close()
