"""The events that are measured: real ones, where they are at hand, and generated ones."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import attrs

from benchmarks.generated_stream import generated_lines

GENERATED_EVENTS: Final = 60_000


@attrs.frozen
class Stream:
    """Events that are measured.

    Attributes:
        name: For the command line.
        title: For the report.
        lines: Gives the events, one JSON object each.
        missing: What has to be there, and is not; "" where everything is.
    """

    name: str
    title: str
    lines: Callable[[], Iterator[bytes]]
    missing: str = ""

    def first(self, number: int) -> list[bytes]:
        """Return the first `number` events, or all if there are fewer."""
        return list(islice(self.lines(), number))


def corpus() -> Path | None:
    """Return the folder of the third-party test data, if there is one here."""
    place = os.environ.get("KESTREL_CORPUS")
    return Path(place) if place else None


def streams() -> list[Stream]:
    """Return all streams, also those that are not at hand."""
    place = corpus()
    missing = "" if place else "KESTREL_CORPUS is not set"
    folder = place or Path()
    linux = ("k8s.ndjson.gz", "scap.ndjson.gz", "shellshock.ndjson")
    return [
        Stream(
            "windows",
            "real Windows events",
            lambda: _lines([folder / "windows" / "mordor_60k.ndjson.gz"]),
            missing,
        ),
        Stream(
            "linux",
            "real Linux events",
            lambda: _lines([folder / "linux" / name for name in linux]),
            missing,
        ),
        Stream("generated", "generated events", lambda: generated_lines(GENERATED_EVENTS)),
    ]


def stream(name: str) -> Stream:
    """Return the stream of that name."""
    return next(one for one in streams() if one.name == name)


def _lines(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            yield from (line.rstrip(b"\n") for line in file)
