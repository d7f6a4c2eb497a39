"""What people read on stderr: errors with their place and a caret, notes, counted problems."""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter
from typing import Final, Protocol

from kestrel_framework.errors import KestrelError, RuleError
from kestrel_framework.rule import LoadReport

_SHOWN_PER_CAUSE: Final = 5
_SHOWN_ERRORS: Final = 20
_LONGEST_LINE: Final = 160
_BUG: Final = "this is a fault in Kestrel; please report it with the lines above"


class InputProblem(Protocol):
    """Something odd about the input: why, and a sentence with its place."""

    @property
    def cause(self) -> str: ...


def printable(text: str) -> str:
    """Return `text` without what could steer a terminal: names in events and paths are anyone's."""
    return "".join(
        char if char == "\n" or char == "\t" or (char.isprintable()) else f"\\x{ord(char):02x}"
        for char in text
    )


def note(text: str) -> None:
    """Print a line on stderr."""
    try:
        sys.stderr.write(printable(text).encode("utf-8", "backslashreplace").decode() + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody listens any more


def print_error(error: BaseException) -> None:
    """Print an error, or each error of a group, on stderr."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            print_error(inner)
    elif isinstance(error, RuleError):
        note(rule_error_text(error, "error"))
    elif isinstance(error, KestrelError):
        for line in str(error).splitlines() or [type(error).__name__]:
            note(f"kestrel: {line}")
    elif isinstance(error, OSError):
        note(f"kestrel: {error.filename or 'input or output'}: {error.strerror or error}")
    else:
        note("".join(traceback.format_exception(error)).rstrip())
        note(f"kestrel: {type(error).__name__}: {error}; {_BUG}")


def rule_error_text(error: RuleError, kind: str) -> str:
    """Return `path:line:column: error: sentence`, with the line and a caret under it."""
    place = f"{error.location}: " if error.location else ""
    lines = [f"{place}{kind}: {error.problem}"]
    if error.location is not None and (caret := _short_caret(error)):
        lines += [f"    {line}" for line in caret.split("\n")]
    return "\n".join(lines)


def note_rule_errors(report: LoadReport) -> None:
    """Say what is wrong with rules that are left out: the first errors, and how many there are."""
    for error in report.errors[:_SHOWN_ERRORS]:
        note(rule_error_text(error, "error"))
    if report.errors:
        left_out = f"{len(report.errors)} errors" if len(report.errors) > 1 else "an error"
        note(f"kestrel: rules with errors are left out ({left_out}); `kestrel check` shows all")


def _short_caret(error: RuleError) -> str:
    """Return the line and the caret, cut to the part around the caret."""
    location = error.location
    caret = location.caret() if location else ""
    if not caret:
        return ""
    line, under = caret.split("\n")[0], caret.split("\n")[-1]
    if len(line) <= _LONGEST_LINE:
        return caret
    start = max(0, len(under) - _LONGEST_LINE // 2)
    return f"{line[start : start + _LONGEST_LINE]}\n{under[start:]}"


class ProblemPrinter:
    """Prints the first problems of each cause on stderr, and counts the others."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def __call__(self, problem: InputProblem) -> None:
        """Hear of one problem."""
        self._counts[problem.cause] += 1
        if self._counts[problem.cause] <= _SHOWN_PER_CAUSE:
            note(f"kestrel: {problem}")

    @property
    def total(self) -> int:
        """How many problems there were."""
        return self._counts.total()

    def summarise(self) -> None:
        """Say how many more there were of each cause than were printed."""
        for cause, count in sorted(self._counts.items()):
            if count > _SHOWN_PER_CAUSE:
                note(f"kestrel: {cause}: {count - _SHOWN_PER_CAUSE} more, {count} in all")


def stderr_is_terminal() -> bool:
    """Say whether people look at stderr, so that colour and progress have a meaning."""
    try:
        return os.isatty(sys.stderr.fileno()) and os.environ.get("TERM") != "dumb"
    except (OSError, ValueError):
        return False
