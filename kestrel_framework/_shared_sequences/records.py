"""What members and partitions are called in the store, and what is written there."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from kestrel_framework.errors import StateError

FORMAT: Final = 1
"""Of the records; others are refused."""
MEMBER: Final = b"shared/member/"
PARTITION: Final = b"shared/partition/"
INBOX: Final = b"shared/inbox/"

_RecordT = TypeVar("_RecordT", "MemberRecord", "PartitionRecord")


class MemberRecord(msgspec.Struct, frozen=True):
    """What a member says of itself, with each commit.

    Attributes:
        format: `FORMAT`.
        partitions: How many partitions it knows; all members must agree.
        run: Names one run of the member.
        beat: Grows with each commit, so that others see that it lives.
        ended: Whether its sources have ended.
        watermark: It sends nothing older any more, in nanoseconds since 1970; None if it may.
        sent: How many messages it has sent to each partition.
    """

    format: int
    partitions: int
    run: str
    beat: int
    ended: bool
    watermark: int | None
    sent: list[int]


class PartitionRecord(msgspec.Struct, frozen=True):
    """What the owner of a partition says of it.

    Attributes:
        format: `FORMAT`.
        owner: The member that has it; empty where it was given up.
        run: The run of that member.
        taken: How many messages of each member its state has.
        state: Where its state is; see `StoredPieces`.
        finished: Whether nothing is to come, and nothing is under way.
    """

    format: int
    owner: str
    run: str
    taken: dict[str, int]
    state: bytes
    finished: bool


def encoded(record: MemberRecord | PartitionRecord) -> bytes:
    """Return a record as bytes."""
    return msgspec.msgpack.encode(record)


def decoded(data: bytes, kind: type[_RecordT], key: bytes) -> _RecordT:
    """Return what `encoded` was given.

    Raises:
        StateError: the bytes are damaged, or of another version.
    """
    try:
        record = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateError(f"`{key.decode(errors='replace')}` is damaged: {error}") from error
    if record.format != FORMAT:
        raise StateError(
            f"`{key.decode(errors='replace')}` has the unknown version {record.format}"
        )
    return record


def member_key(member: str) -> bytes:
    """Return where the record of a member is."""
    return MEMBER + member.encode()


def partition_key(number: int) -> bytes:
    """Return where the record of a partition is."""
    return b"%b%04d" % (PARTITION, number)


def message_key(partition: int, member: str, number: int) -> bytes:
    """Return where a message of a member to a partition is, until it is taken."""
    return b"%b%04d/%b/%012d" % (INBOX, partition, member.encode(), number)
