"""What a plugin's object is given besides its configuration."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from kestrel_framework._plugins.kernel_log import kernel_logger
from kestrel_framework.interfaces import PluginContext
from kestrel_framework.schema import SchemaRegistry


class InstanceCounters:
    """The counters of one instance; the kernel's side of `Metrics`. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += amount

    def read(self) -> Mapping[str, int]:
        """Return all counters as they are now, sorted by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))


def instance_context(
    plugin: str,
    instance: str,
    schema: SchemaRegistry,
    counters: InstanceCounters,
    state_directory: Path | None = None,
) -> PluginContext:
    """Return the context of one instance; its folder is made when the instance needs it."""
    return PluginContext(
        name=instance,
        schema=schema,
        logger=kernel_logger(plugin=plugin, instance=instance),
        metrics=counters,
        clock=time.time_ns,
        state_directory=state_directory,
    )
