"""How the cases of each file fared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from conformance_runner.case_files import CaseFile

_HEADINGS: Final = ("file", "cases", "passed", "failed", "not run")
_LONGEST: Final = 70


@attrs.define
class Tally:
    """Which tests of which cases passed, and which did not."""

    _passed: set[tuple[str, str]] = attrs.field(factory=set, init=False)
    _failed: dict[tuple[str, str], list[str]] = attrs.field(factory=dict, init=False)

    @property
    def is_empty(self) -> bool:
        return not (self._passed or self._failed)

    def note(self, file: str, case: str, test: str, *, passed: bool) -> None:
        """Note how a test of a case ended; a case passes if all its tests do."""
        if passed:
            self._passed.add((file, case))
        else:
            self._failed.setdefault((file, case), []).append(test)

    def lines(self, files: Sequence[CaseFile]) -> list[str]:
        """Return the table: a line for each file, one for all, and the cases that failed."""
        rows = [(file.label, *self._counts(file)) for file in files]
        total = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
        return [*_aligned([_HEADINGS, *rows, ("all", *total)]), *self._failures(files)]

    def _counts(self, file: CaseFile) -> tuple[int, int, int, int]:
        keys = {(file.label, case.name) for case in file.cases}
        failed = keys & self._failed.keys()
        passed = (keys & self._passed) - failed
        return len(keys), len(passed), len(failed), len(keys) - len(passed) - len(failed)

    def _failures(self, files: Sequence[CaseFile]) -> list[str]:
        lines = []
        for file in files:
            for case in file.cases:
                tests = self._failed.get((file.label, case.name))
                if tests:
                    what = " ".join((case.problem or case.query).split())
                    what = what if len(what) <= _LONGEST else f"{what[:_LONGEST]}..."
                    lines.append(f"failed: {file.label}: {case.name} ({', '.join(tests)}): {what}")
        return lines


def _aligned(rows: Iterable[Sequence[object]]) -> list[str]:
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in texts
    ]
