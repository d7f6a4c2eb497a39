"""Which container a process is in, read off the paths of its control groups."""

from __future__ import annotations

import re
from typing import Final

_CONTAINER_ID: Final = re.compile(r"[0-9a-f]{64}(?![0-9A-Za-z])")


def container_id(control_groups: str) -> str | None:
    """Return the id of the container that `/proc/<pid>/cgroup` speaks of, or None.

    Docker, containerd, CRI-O, podman and Kubernetes all name the innermost group of
    a container after its id of 64 hexadecimal digits, with a prefix such as `docker-`
    and a suffix such as `.scope` on systemd hosts. The deepest path part that has such an
    id is taken, since a container can run in another one; a shorter number is no id.
    """
    for line in control_groups.splitlines():
        path = line.split(":", 2)[-1]
        for part in reversed(path.split("/")):
            found = _CONTAINER_ID.search(part)
            if found and _is_named(part, found.start()):
                return found[0]
    return None


def _is_named(part: str, start: int) -> bool:
    """Say whether an id at `start` stands alone or after a runtime's name and a separator."""
    return start == 0 or part[start - 1] in "-:"
