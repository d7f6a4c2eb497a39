"""What can go wrong, and what an engine can know about it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType

import attrs


class ErrorKind(enum.Enum):
    """The part of the system that an error concerns."""

    CONFIGURATION = "configuration"
    RULE = "rule"
    PLUGIN = "plugin"
    STATE = "state"
    RESOURCE = "resource"
    INPUT = "input"
    OUTPUT = "output"


class Severity(enum.IntEnum):
    """How much an error matters. It belongs to the instance, not to its kind."""

    WARNING = 1
    ERROR = 2
    CRITICAL = 3


@attrs.frozen
class SourceLocation:
    """A place in a text file.

    `line` and `column` count from 1, as editors show them; `None` means that
    the problem concerns the whole file (or the whole line). `text` is the
    line itself, without its line end, for the caret.
    """

    path: str
    line: int | None = None
    column: int | None = None
    text: str | None = None

    @classmethod
    def in_text(cls, path: str | PurePath, text: str, offset: int) -> SourceLocation:
        """Return the location of the character at `offset` (from 0) of `text`."""
        offset = max(0, min(offset, len(text)))
        start = text.rfind("\n", 0, offset) + 1
        end = text.find("\n", offset)
        line_text = text[start:] if end < 0 else text[start:end]
        line = text.count("\n", 0, offset) + 1
        return cls(str(path), line, offset - start + 1, line_text.rstrip("\r"))

    def __str__(self) -> str:
        parts = [self.path, self.line, self.column]
        return ":".join(str(part) for part in parts if part is not None)

    def caret(self) -> str:
        """Return the line and a caret under the column, or "" where unknown."""
        if self.text is None or self.column is None:
            return ""
        lead = "".join("\t" if c == "\t" else " " for c in self.text[: self.column - 1])
        return f"{self.text}\n{lead}^"


class KestrelError(Exception):
    """The base of everything Kestrel raises on purpose.

    Attributes:
        kind: What the error concerns.
        problem: The sentence for people, without location or plugin name.
        severity: How much it matters.
        transient: Whether the same call may succeed later. Only idempotent
            calls are ever retried.
        context: Names of what was involved: rule, plugin, operation, event.
    """

    kind = ErrorKind.PLUGIN

    def __init__(
        self,
        problem: str,
        *,
        severity: Severity = Severity.ERROR,
        transient: bool = False,
        context: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.severity = severity
        self.transient = transient
        self.context: Mapping[str, object] = MappingProxyType(dict(context or {}))

    def __str__(self) -> str:
        return self.problem

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle: a rule carries its warnings wherever a detector goes."""
        return _restored, (type(self), self.args, {**self.__dict__, "context": dict(self.context)})


def _restored(
    kind: type[KestrelError], arguments: tuple[object, ...], state: dict[str, object]
) -> KestrelError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    error.context = MappingProxyType(dict(error.context))
    return error


class ConfigurationError(KestrelError):
    """A setting is unknown, has the wrong type, or contradicts another.

    `path` is the dotted path of the key (`sources.audit.path`), or "". An error
    that stands for several has them in `errors`, and their sentences as its problem.
    """

    kind = ErrorKind.CONFIGURATION

    def __init__(
        self,
        problem: str,
        *,
        path: str = "",
        severity: Severity = Severity.ERROR,
        errors: Sequence[ConfigurationError] = (),
    ) -> None:
        super().__init__(problem, severity=severity, context={"path": path} if path else None)
        self.path = path
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class RuleError(KestrelError):
    """A rule, or a text in a rule language, is wrong at a place.

    Compilers raise an `ExceptionGroup` of these where a rule has several.
    """

    kind = ErrorKind.RULE

    def __init__(
        self,
        problem: str,
        location: SourceLocation | None = None,
        *,
        severity: Severity = Severity.ERROR,
        rule_id: str | None = None,
    ) -> None:
        super().__init__(problem, severity=severity, context={"rule": rule_id} if rule_id else None)
        self.location = location

    def __str__(self) -> str:
        return f"{self.location}: {self.problem}" if self.location else self.problem


class PluginError(KestrelError):
    """A plugin could not be loaded, or failed while it was called."""

    kind = ErrorKind.PLUGIN

    def __init__(
        self,
        plugin: str,
        problem: str,
        *,
        severity: Severity = Severity.ERROR,
        transient: bool = False,
        operation: str | None = None,
    ) -> None:
        context = {"plugin": plugin} | ({"operation": operation} if operation else {})
        super().__init__(problem, severity=severity, transient=transient, context=context)
        self.plugin = plugin

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {self.problem}"


class IncompatiblePluginError(PluginError):
    """A plugin was written for a version of the interfaces that is not here."""


class StateError(KestrelError):
    """A state store could not read or write, or what it holds is damaged."""

    kind = ErrorKind.STATE


class StateConflict(StateError):
    """Somebody else changed the state first, or a newer owner fenced us off.

    `keys` are the keys whose version was not the expected one.
    """

    def __init__(self, problem: str, keys: tuple[bytes, ...] = ()) -> None:
        super().__init__(problem, transient=True)
        self.keys = keys


class ResourceLimitError(KestrelError):
    """A stated limit (size, depth, time, number) was reached."""

    kind = ErrorKind.RESOURCE


class InputError(KestrelError):
    """An input cannot be read at all; nothing of it is taken as read."""

    kind = ErrorKind.INPUT


class OutputError(KestrelError):
    """An output cannot be written; what it was given is not delivered."""

    kind = ErrorKind.OUTPUT
