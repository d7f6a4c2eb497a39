"""A password that is read from a file of its own."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from kestrel_framework.errors import StateError

_LONGEST_PASSWORD: Final = 4096


def read_password(path: Path) -> str:
    """Return the first and only line of a file that others can neither read nor write.

    Raises:
        StateError: there is no such file, or no usable password in it; or it is not private.
    """
    try:
        # A pipe that somebody put there must not stop us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(f"{path}: cannot be read: {error.strerror or error}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise StateError(f"{path}: is no file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_uid not in (0, os.geteuid()):
            raise StateError(f"{path}: belongs to somebody else; it must be this user's, or root's")
        if stat.S_IMODE(status.st_mode) & (stat.S_IRWXO | stat.S_IWGRP):
            raise StateError(f"{path}: others can read or change it; `chmod 600 {path}`")
        content = file.read(_LONGEST_PASSWORD + 2)
    try:
        password = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise StateError(f"{path}: is not UTF-8") from error
    if not password or "\n" in password or len(content) > _LONGEST_PASSWORD:
        raise StateError(
            f"{path}: must hold one line, the password, of at most {_LONGEST_PASSWORD} bytes"
        )
    return password
