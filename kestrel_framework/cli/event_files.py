"""Whole files of events for a search: JSON lines or one JSON list, compressed or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from kestrel_framework._builtin.input_blocks import (
    STANDARD_INPUT,
    Blocks,
    DecompressedBlocks,
    FileBlocks,
    StandardInput,
)
from kestrel_framework._pipeline.event_decoder import documents_of
from kestrel_framework._pipeline.flow import Problem
from kestrel_framework.cli.progress import Progress
from kestrel_framework.errors import InputError
from kestrel_framework.event import Document, EventBatch

_STANDARD_INPUT_NAME: Final = "standard input"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def read_documents(
    names: Sequence[str],
    report: Callable[[Problem], None],
    progress: Progress,
) -> list[Document]:
    """Return the events of all files, in their order, held in memory.

    Lines that hold no event are left out and reported.

    Args:
        names: Paths; `-` is standard input.
        report: Told of each oddity, with file and line.
        progress: Told how many bytes of a file are read.

    Raises:
        InputError: a file cannot be read, or is damaged.
    """
    documents: list[Document] = []
    for name in names:
        documents += documents_of(read_batch(name, progress), report)
    return documents


def read_batch(name: str, progress: Progress) -> EventBatch:
    """Return the events of a file, held in memory, not decoded.

    The arguments and errors are those of `read_documents`.
    """
    content = _content(name, progress)
    return _batch(content, _STANDARD_INPUT_NAME if name == STANDARD_INPUT else name)


def _batch(content: bytes, origin: str) -> EventBatch:
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if content.lstrip()[:1] != b"[":
        return EventBatch(payloads=content.split(b"\n"), first_offset=0, origin=origin)
    try:
        elements = msgspec.json.decode(content, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"{origin}: begins like a JSON list, and is none: {error or 'nested too deeply'}"
        raise InputError(problem) from error
    payloads = [bytes(element) for element in elements]
    return EventBatch(payloads=payloads, first_offset=0, origin=f"{origin}, element")


def _content(name: str, progress: Progress) -> bytes:
    source: FileBlocks | StandardInput
    total = None
    if name == STANDARD_INPUT:
        source = StandardInput()
    else:
        source = FileBlocks(name)
        total = source.status().st_size
    blocks: Blocks = DecompressedBlocks(source, name)
    pieces = []
    try:
        while block := blocks.next():
            pieces.append(block)
            if isinstance(source, FileBlocks):
                progress(source.consumed, total)
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{name}: {error.problem}") from error
    finally:
        blocks.close()
    return b"".join(pieces)
