"""Where to go on in a file, as a token that outlives the run."""

from __future__ import annotations

import json

import msgspec

from kestrel_framework.errors import InputError


class LinePosition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The place after some line of a file.

    Attributes:
        file: Its path.
        inode: Its number in the file system, by which a renamed file is found again.
        stream: The name of its stream.
        line: How many lines lie before the place.
        offset: How many bytes lie before the place, decompressed.
        seen: What the names of streams must not repeat.
    """

    file: str
    inode: int
    stream: str
    line: int
    offset: int
    seen: dict[str, int]

    @classmethod
    def from_token(cls, token: str) -> LinePosition:
        """Read what `to_token` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            position = msgspec.convert(json.loads(token), cls)
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise InputError(f"the stored position is damaged ({error})") from error
        if min(position.line, position.offset) < 0:
            raise InputError("the stored position is damaged (a number is negative)")
        return position

    def to_token(self) -> str:
        # Unlike msgspec, json can write file names that are not UTF-8.
        return json.dumps(msgspec.to_builtins(self))
