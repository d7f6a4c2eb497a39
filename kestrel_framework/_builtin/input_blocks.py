"""Bytes of files and pipes in large blocks, decompressed where they are compressed."""

from __future__ import annotations

import os
import select
import stat
import time
import zlib
from abc import ABC, abstractmethod
from typing import Final, Literal, Protocol

from kestrel_framework.errors import InputError

BLOCK_BYTES: Final = 1 << 20
"""How much is read at once, and about how much of a decompressed stream is kept."""

STANDARD_INPUT: Final = "-"

_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGICS: Final = (
    b"\x28\xb5\x2f\xfd",
    *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60)),  # skippable frames
)
_MAX_WINDOW_BYTES: Final = 1 << 27
# A zstd block of 4 bytes may stand for 128 KiB, so that input given in slices of
# this size cannot become more than 16 MiB at a time.
_ZSTD_SLICE_BYTES: Final = 512
_GZIP_SLICE_BYTES: Final = 1 << 14

_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe; redirect it into standard input and read `-`"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Blocks(Protocol):
    """A stream of bytes, in blocks."""

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; say whether `next` would return at once."""

    def next(self) -> bytes:
        """Return the next bytes; b"" at the end.

        Raises:
            OSError: the operating system refused.
            InputError: the data is damaged, with a problem but no place.
        """

    def close(self) -> None: ...


class FileBlocks:
    """A regular file, which never makes anybody wait.

    Attributes:
        consumed: How many bytes were read, for progress.

    Raises:
        InputError: `path` is missing, unreadable, or no regular file.
    """

    def __init__(self, path: str) -> None:
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for its writer.
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error_reason(error)}") from error
        except ValueError as error:
            raise InputError(f"{path!r}: is not a file name") from error
        mode = os.fstat(self._descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(self._descriptor)
            kind = next((name for test, name in _KINDS if test(mode)), "not a regular file")
            raise InputError(f"{path}: is {kind}; a file is needed")
        self.consumed = 0
        self._open = True

    def wait(self, timeout: float) -> bool:
        return True

    def next(self) -> bytes:
        block = self.read()
        if not block and self.status().st_size < self.consumed:
            raise InputError("became shorter while it was read")
        return block

    def read(self) -> bytes:
        """Return the next bytes; b"" at the end, whether or not more will be added.

        Raises:
            OSError: the operating system refused.
        """
        block = os.read(self._descriptor, BLOCK_BYTES)
        self.consumed += len(block)
        return block

    def seek(self, offset: int) -> bool:
        """Go on at `offset`, and say whether the file has so much.

        The end of the last line may be missing.
        """
        size = self.status().st_size
        self.consumed = os.lseek(self._descriptor, min(offset, size), os.SEEK_SET)
        return size >= offset - 1

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes of the file as it is now."""
        return os.pread(self._descriptor, size, 0)

    def status(self) -> os.stat_result:
        return os.fstat(self._descriptor)

    def close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)


class StandardInput:
    """What the process was given to read: a pipe, a terminal or a redirected file."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN)

    def wait(self, timeout: float) -> bool:
        # Hang-up and error count as ready: the read that follows says what it is.
        return bool(self._poll.poll(max(0, timeout) * 1000))

    def next(self) -> bytes:
        return os.read(0, BLOCK_BYTES)

    def close(self) -> None:
        """Leave standard input open: it belongs to the process."""


def compression_of(start: bytes, name: str) -> Literal["gzip", "zstd"] | None:
    """Say how a file that begins with `start` is compressed: by content, else by suffix."""
    if start.startswith(_GZIP_MAGIC) or name.endswith(".gz"):
        return "gzip"
    return "zstd" if start.startswith(_ZSTD_MAGICS) or name.endswith(".zst") else None


class _Unit(Protocol):
    """What zlib and zstandard have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def unconsumed_tail(self) -> bytes: ...


class DecompressedBlocks:
    """What is in a compressed stream; a stream that is not compressed as it is.

    The content decides, and the suffix of the name where the content does not.
    Memory stays bounded whatever the content claims.
    """

    def __init__(self, blocks: Blocks, name: str) -> None:
        self._blocks = blocks
        self._name = name
        self._start = b""
        self._looked_at_start = False
        self._decoder: _Decoder | None = None
        self._ready = b""
        self._ended = False

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not (self._ready or self._ended):
            pending = self._decoder is not None and self._decoder.pending
            if not pending and not self._blocks.wait(max(0.0, deadline - time.monotonic())):
                return False
            self._advance()
        return True

    def next(self) -> bytes:
        while not (self._ready or self._ended):
            self._advance()
        block, self._ready = self._ready, b""
        return block

    def seek(self, offset: int) -> bool:
        """Go on at `offset` of the content, before the first `next`; say whether it has so much.

        The end of the last line may be missing. Where the content is compressed, this
        costs decompressing what lies before.
        """
        skipped = 0
        while skipped < offset and (block := self.next()):
            if self._decoder is None and isinstance(self._blocks, FileBlocks):
                return self._blocks.seek(offset)
            skipped += len(block)
            self._ready = block[offset - skipped :] if skipped > offset else b""
        return skipped >= offset - 1

    def close(self) -> None:
        self._blocks.close()

    def _advance(self) -> None:
        """Read one block at most, and make of it what can be made."""
        pending = self._decoder is not None and self._decoder.pending
        block = b"" if pending else self._blocks.next()
        if not self._looked_at_start:
            # A pipe may hand over a single byte.
            self._start += block
            if block and _may_become_magic(self._start):
                return
            self._looked_at_start = True
            self._decoder = _decoder_of(compression_of(self._start, self._name))
            block, self._start = self._start, b""
        if self._decoder is None:
            self._ready, self._ended = block, not block
        elif block or pending:
            self._ready = self._decoder.decompress(block)
        else:
            self._decoder.end()
            self._ended = True


class _Decoder(ABC):
    """Independent units of compressed data (members, frames), one after the other.

    The input is given in slices: what one slice becomes is bounded, and the
    rest of a block is not copied for each of many tiny units.
    """

    def __init__(self, format_name: str, slice_bytes: int, damage: type[Exception]) -> None:
        self._format_name = format_name
        self._damage = damage
        self._slice_bytes = slice_bytes
        self._unit: _Unit | None = None
        self._input = b""
        self._at = 0
        self._any = False
        self._failure: InputError | None = None

    @property
    def pending(self) -> bool:
        return self._failure is not None or self._at < len(self._input)

    def decompress(self, block: bytes) -> bytes:
        """Return some of what the input becomes; takes a new block only if none is pending.

        Raises:
            InputError: the data is damaged, and all before the damage has been returned.
        """
        if self._failure is not None:
            raise self._failure
        if block:
            self._input, self._at = block, 0
        pieces: list[bytes] = []
        size = 0
        while self.pending and size < BLOCK_BYTES:
            if self._unit is None:
                self._at = self._start_of_unit(self._input, self._at)
                if self._at >= len(self._input):
                    break
                self._unit = self._new_unit()
                self._any = True
            piece = self._input[self._at : self._at + self._slice_bytes]
            try:
                decompressed = self._decompress(piece)
            except self._damage as error:
                self._failure = InputError(f"the {self._format_name} data is damaged ({error})")
                self._failure.__cause__ = error
                if not pieces:
                    raise self._failure from error
                break
            unit = self._unit
            self._at += len(piece) - len(unit.unconsumed_tail) - len(unit.unused_data)
            if unit.eof:
                self._unit = None
            pieces.append(decompressed)
            size += len(decompressed)
        return b"".join(pieces)

    def end(self) -> None:
        """Hear that the input has ended.

        Raises:
            InputError: it ended in the middle of a unit, or before the first.
        """
        if self._unit is not None or not self._any:
            raise InputError(f"the {self._format_name} data ends early")

    def _start_of_unit(self, data: bytes, at: int) -> int:
        return at

    @abstractmethod
    def _new_unit(self) -> _Unit: ...

    @abstractmethod
    def _decompress(self, piece: bytes) -> bytes: ...


class _Gzip(_Decoder):
    def __init__(self) -> None:
        super().__init__("gzip", _GZIP_SLICE_BYTES, zlib.error)

    def _start_of_unit(self, data: bytes, at: int) -> int:
        # Zeros after a member are padding, as tapes and some copies leave it.
        while data[at : at + 1] == b"\0" and self._any:
            at += 1
        return at

    def _new_unit(self) -> _Unit:
        self._member = zlib.decompressobj(wbits=31)
        return self._member

    def _decompress(self, piece: bytes) -> bytes:
        return self._member.decompress(piece, BLOCK_BYTES)


class _Zstd(_Decoder):
    def __init__(self) -> None:
        import zstandard  # only where it is needed: importing it takes a while

        super().__init__("zstd", _ZSTD_SLICE_BYTES, zstandard.ZstdError)
        self._context = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)

    def _new_unit(self) -> _Unit:
        self._frame = self._context.decompressobj(write_size=1 << 16)
        return self._frame

    def _decompress(self, piece: bytes) -> bytes:
        return self._frame.decompress(piece)


def _decoder_of(compression: Literal["gzip", "zstd"] | None) -> _Decoder | None:
    match compression:
        case "gzip":
            return _Gzip()
        case "zstd":
            return _Zstd()
        case None:
            return None


def _may_become_magic(start: bytes) -> bool:
    magics = (_GZIP_MAGIC, *_ZSTD_MAGICS)
    return any(magic.startswith(start) and magic != start for magic in magics)


def error_reason(error: OSError) -> str:
    """Return what the operating system says, without the file name."""
    return (error.strerror or str(error)).lower()
