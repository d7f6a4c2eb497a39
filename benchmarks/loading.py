"""Measure loading rule files, up to a detector that takes events; or write the files for it."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

import attrs

from benchmarks.children import print_result
from benchmarks.rule_sets import first_rule_files
from kestrel_eql import EqlCompiler
from kestrel_framework import Detector, load_rules
from kestrel_framework._measuring import most_resident_bytes

_NAME: Final = "rule-{number:04}.toml"


@attrs.frozen
class Loading:
    """What one process measured; times in seconds, memory in bytes.

    Attributes:
        rules: How many rules there are.
        load: CPU time from the files to the rules.
        build: CPU time from the rules to the detector.
        wall: The time of both together by the clock on the wall.
        most_resident: The most memory that the process had.
    """

    rules: int
    load: float
    build: float
    wall: float
    most_resident: int


def measured(folder: Path) -> Loading:
    """Load the rules in a folder; importing is not part of it."""
    began = time.perf_counter()
    started = time.process_time()
    report = load_rules(folder, compilers=[EqlCompiler(cache=True)])
    loaded = time.process_time()
    detector = Detector(report)
    built = time.process_time()
    return Loading(
        rules=len(detector.rules),
        load=loaded - started,
        build=built - loaded,
        wall=time.perf_counter() - began,
        most_resident=most_resident_bytes(),
    )


def write_files(number: int, folder: Path) -> int:
    """Write the files of the first rules into a folder, and return how many there are."""
    files = first_rule_files(number)
    for count, file in enumerate(files):
        suffix = Path(file.path).suffix
        (folder / _NAME.format(number=count)).with_suffix(suffix).write_bytes(file.content)
    return len(files)


def main() -> None:
    """Measure, or write, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", type=int, metavar="RULES", help="write this many files first")
    chosen = parser.parse_args()
    if chosen.write is not None:
        print_result(write_files(chosen.write, chosen.folder))
    else:
        print_result(measured(chosen.folder))


if __name__ == "__main__":
    main()
