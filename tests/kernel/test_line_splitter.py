"""Lines out of blocks: the same for any blocks, numbered right, bounded in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._builtin.line_splitter import LineSplitter

contents = st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r\n", b"{}", b"x" * 20])).map(b"".join)


@given(contents, st.lists(st.integers(1, 30)), st.integers(1, 30), st.integers(1, 5))
def test_blocks_do_not_matter(
    content: bytes, sizes: list[int], max_line_bytes: int, max_lines: int
) -> None:
    blocks = []
    rest = content
    for size in sizes:
        blocks.append(rest[:size])
        rest = rest[size:]
    blocks.append(rest)
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    offsets = [sum(len(line) + 1 for line in lines[:number]) for number in range(len(lines))]
    kept = [
        (number, offset)
        for number, (line, offset) in enumerate(zip(lines, offsets, strict=True))
        if len(line) <= max_line_bytes
    ]
    splitter = LineSplitter(max_line_bytes)
    found: list[tuple[int, int, bytes]] = []
    left_out = 0
    for block in blocks:
        if block:
            splitter.feed(block)
    splitter.finish()
    assert splitter.pending_lines == len(kept)
    while run := splitter.take(max_lines):
        assert len(run.lines) <= max_lines
        left_out += run.too_long
        offset = run.offset
        for number, line in enumerate(run.lines, run.line):
            found.append((number, offset, line))
            offset += len(line) + 1
        assert offset == run.end_offset
    assert [(number, offset) for number, offset, _ in found] == kept
    assert [line for _, _, line in found] == [lines[number] for number, _ in kept]
    assert left_out == len(lines) - len(kept)
    assert splitter.pending_lines == 0
    assert splitter.pending_bytes == 0


def test_a_long_line_is_never_held() -> None:
    splitter = LineSplitter(1000)
    block = b"x" * 4096
    for _ in range(1000):
        splitter.feed(block)
        assert len(splitter._fragment) <= 1000 + len(block)
    splitter.feed(b"\n{}\n")
    run = splitter.take(10)
    assert run is not None
    assert (run.line, run.too_long, run.lines) == (1, 1, [b"{}"])
    assert run.offset == 4096 * 1000 + 1


def test_single_bytes_do_not_cost_the_square_of_the_line() -> None:
    splitter = LineSplitter(1 << 24)
    for _ in range(300_000):
        splitter.feed(b"x")
    splitter.feed(b"\n")
    run = splitter.take(1)
    assert run is not None
    assert run.lines == [b"x" * 300_000]
