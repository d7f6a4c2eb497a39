"""Archives of rule files for tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path


def archive(path: Path, members: Sequence[tuple[tarfile.TarInfo | str, bytes]]) -> Path:
    """Write a `.tar.gz` with these members."""
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path
