"""Folders for what can be made again, such as compiled rules: nobody else can write to them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path


def private_cache_folder(name: str) -> Path | None:
    """Return the folder, made if need be; `None` where it would not be private.

    It lies under `XDG_CACHE_HOME` (or `~/.cache`): a real directory that belongs to this
    user, with mode 0700, in folders that nobody else can replace it in. What is in it can
    vanish at any time, and be damaged; never unpickle it.

    Args:
        name: The name of the folder: that of the package whose it is, such as `kestrel-framework`.
    """
    if not hasattr(os, "getuid"):
        return None
    configured = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(configured) if configured else Path.home() / ".cache"
        if not base.is_absolute():
            return None
        folder = base / name
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
        private = (
            stat.S_ISDIR(status.st_mode)
            and status.st_uid == os.getuid()
            and stat.S_IMODE(status.st_mode) == 0o700
        )
        trusted = private and all(keeps_its_entries(each) for each in folder.resolve().parents)
    except (OSError, RuntimeError, ValueError):
        return None
    return folder if trusted else None


def source_digest(package: str, suffixes: Sequence[str] = (".py",)) -> str:
    """Return a digest of the source files of a package, without those of packages inside it.

    It belongs in the key of what that package makes: after any change, it is made again.
    Ask for it when the package is imported; later, the files can be those of an update.
    """
    digest = hashlib.sha256()
    for file in sorted(files(package).iterdir(), key=lambda file: file.name):
        if file.name.endswith(tuple(suffixes)):
            content = file.read_bytes()
            digest.update(f"{package}/{file.name}:{len(content)}\n".encode() + content)
    return digest.hexdigest()


def keeps_its_entries(folder: Path) -> bool:
    """Say whether nobody but root, this user and their group can replace what is in a folder.

    Raises:
        OSError: the folder cannot be looked at.
    """
    status = folder.stat()
    mode = stat.S_IMODE(status.st_mode)
    others_write = mode & stat.S_IWOTH or (mode & stat.S_IWGRP and status.st_gid != os.getgid())
    return status.st_uid in (0, os.getuid()) and not (others_write and not mode & stat.S_ISVTX)
