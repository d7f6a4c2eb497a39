"""What runs inside the server: each script is one atomic step."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

import attrs

_READ_ONLY = frozenset({"read", "scan"})


@attrs.frozen
class Script:
    """One Lua script, complete.

    Attributes:
        name: Of its file.
        text: What is sent where the server does not know it yet.
        digest: What it is called by.
    """

    name: str
    text: bytes
    digest: bytes


@cache
def script(name: str) -> Script:
    """Return the script of a file of this folder, with what all scripts share before it.

    The first line makes the server refuse a script before it begins, and never in its
    middle, where memory is short or the server only a replica.
    """
    folder = files(__package__)
    flags = " flags=no-writes" if name in _READ_ONLY else ""
    parts = (folder.joinpath(f"{part}.lua").read_text("ascii") for part in ("common", name))
    text = "\n".join([f"#!lua{flags}", *parts]).encode("ascii")
    digest = hashlib.sha1(text, usedforsecurity=False).hexdigest().encode("ascii")
    return Script(name, text, digest)
