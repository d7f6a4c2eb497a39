"""Progress on stderr, where stderr is a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from kestrel_framework.cli.messages import stderr_is_terminal


class Progress(Protocol):
    """Told how far the work is."""

    def __call__(self, done: int, total: int | None) -> None:
        """Hear that `done` of `total` units are done; `None` is not known."""


@contextmanager
def progress(what: str, unit: str = "") -> Iterator[Progress]:
    """Show a bar with rate and time left until the block ends; nothing off a terminal.

    Args:
        what: What is going on, before the bar.
        unit: What is counted, such as "files"; without it, bytes.
    """
    if not stderr_is_terminal():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    class RateColumn(ProgressColumn):
        """Units a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:,.0f} {unit}/s")

    measures: list[ProgressColumn] = (
        [MofNCompleteColumn(), RateColumn()] if unit else [DownloadColumn(), TransferSpeedColumn()]
    )
    columns = [TextColumn("{task.description}"), BarColumn(), *measures, TimeRemainingColumn()]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
