"""The interfaces that plugins implement.

All are synchronous, and each docstring names the thread that calls. A published
Protocol never gains a method: an ability added later is a Protocol of its own
(`Supports...`), which an object has or has not.

Errors: an implementation raises a subclass of `KestrelError` for what it can
explain; any other exception is a fault of the plugin. Both are attributed to the
plugin and counted, and neither stops the engine except where a docstring says so.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

import attrs

from kestrel_framework._state_interfaces import Change as Change
from kestrel_framework._state_interfaces import KeyChanged as KeyChanged
from kestrel_framework._state_interfaces import Resynchronize as Resynchronize
from kestrel_framework._state_interfaces import StateChange as StateChange
from kestrel_framework._state_interfaces import StateOwnership as StateOwnership
from kestrel_framework._state_interfaces import StateStore as StateStore
from kestrel_framework._state_interfaces import StateWatch as StateWatch
from kestrel_framework._state_interfaces import SupportsOwnership as SupportsOwnership
from kestrel_framework._state_interfaces import SupportsWatch as SupportsWatch
from kestrel_framework._state_interfaces import Versioned as Versioned

if TYPE_CHECKING:
    # What an interface only names is not imported with it, so that a plugin is told quickly
    # what it can offer: `kestrel --help` imports every plugin.
    from kestrel_framework.action import ActionOutcome, ActionRequest
    from kestrel_framework.alert import Alert
    from kestrel_framework.event import EventBatch
    from kestrel_framework.rule import Condition, Rule, RuleSource
    from kestrel_framework.schema import FieldType, SchemaRegistry
    from kestrel_framework.values import Scalar

# --- what every plugin is given ----------------------------------------------


class Logger(Protocol):
    """Structured logging; `event` is a constant sentence, the rest goes into key words."""

    def debug(self, event: str, **details: object) -> object: ...
    def info(self, event: str, **details: object) -> object: ...
    def warning(self, event: str, **details: object) -> object: ...
    def error(self, event: str, **details: object) -> object: ...


class Metrics(Protocol):
    """Counters of one plugin instance. Safe to call from any thread."""

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter, which begins at 0. `name` is lower case with underscores."""


@attrs.frozen
class PluginContext:
    """What a factory gets besides its configuration.

    Attributes:
        name: The name of this instance in the configuration, such as `audit`.
        schema: The finished registry, with what all plugins added.
        logger: Bound to the plugin and the instance.
        metrics: Counters that `--stats` and observers show under the instance's name.
        clock: Nanoseconds since 1970. Never decides a verdict.
        state_directory: A private folder that outlives the run, or `None`
            where the engine keeps no state.
    """

    name: str
    schema: SchemaRegistry
    logger: Logger
    metrics: Metrics
    clock: Callable[[], int]
    state_directory: Path | None = None


@attrs.frozen
class NoConfiguration:
    """The configuration of what has nothing to configure."""


ConfigT = TypeVar("ConfigT")
ObjectT_co = TypeVar("ObjectT_co", covariant=True)


@attrs.frozen
class Offer(Generic[ConfigT, ObjectT_co]):
    """What a hook returns for each name: how to make the object.

    Attributes:
        factory: Called once for each configured instance, with its section of the
            configuration as an instance of `config`, and a context. It opens nothing.
            Rejects what types cannot express with `ConfigurationError`.
        config: An attrs class: its attributes are the allowed keys, their types
            are checked, their `metadata["help"]` is the reference.
    """

    factory: Callable[[ConfigT, PluginContext], ObjectT_co]
    config: type[ConfigT]


# --- sources -------------------------------------------------------------------


@runtime_checkable
class EventSource(Protocol):
    """Where events come from. All calls come from one thread, which is this source's own.

    `open` is called once, then `read` until it returns `None` or the engine stops,
    then `close`.
    """

    def open(self, position: str | None) -> None:
        """Get ready to read: after `position` if it is given, else from the beginning.

        Raises:
            InputError: the input cannot be read. The engine stops.
        """

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        """Return the next events, at most `max_events`, or `None` at the end for good.

        Waits up to `timeout` seconds for a first event, then returns an empty
        batch: the heartbeat of a live, quiet source. What cannot be decoded is
        handed over undecoded, and what is known lost is counted in the batch.

        Raises:
            InputError: the rest of the input cannot be read. The engine finishes what
                it has, and reports the error.
        """

    def acknowledge(self, position: str) -> None:
        """Hear that everything up to the batch with `position` is done and stored."""

    def close(self) -> None:
        """Release everything. Called once by the engine; a second call does nothing."""


@runtime_checkable
class SupportsProgress(Protocol):
    """A source that knows how far it is."""

    def progress(self) -> tuple[int, int] | None:
        """Return (done, total) in one unit of the source's choice, or None. From any thread."""


@runtime_checkable
class SupportsLiveness(Protocol):
    """A source that says whether it goes on by itself for ever.

    Sources that are not live are read one after the other, in the order of the
    configuration, so that the same inputs give the same alerts in the same order. Live
    sources, and those that do not say, are all read at once.
    """

    @property
    def live(self) -> bool:
        """Whether events keep coming while somebody makes them. The same all the time."""


# --- rule languages --------------------------------------------------------------


@attrs.frozen
class RuleFile:
    """A rule file as it lies in a folder or an archive; `path` is how messages name it."""

    path: str
    content: bytes = attrs.field(repr=False)

    def text(self) -> str:
        """Return the content as UTF-8, without a byte-order mark.

        Raises:
            UnicodeDecodeError: it is not UTF-8.
        """
        return self.content.decode("utf-8-sig")


@runtime_checkable
class RuleCompiler(Protocol):
    """A rule language. Called from the thread that loads rules, one call at a time.

    Attributes:
        language: Its name, as in `language = "eql"`.
        suffixes: Of the files it reads, such as `.eql`.
    """

    language: str
    suffixes: tuple[str, ...]

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        """Return the rules in a file, not compiled; none if the file holds no rule of this kind.

        A source may name another compiler's language.

        Raises:
            RuleError: the file cannot be understood; or an `ExceptionGroup` of them.
        """

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        """Return the compiled rule. Pure: the same source and schema give an equal rule.

        Raises:
            RuleError: the rule is wrong; an `ExceptionGroup` of all its errors where
                there are several. Never anything else, whatever the text.
        """


@runtime_checkable
class KeepableRuleCompiler(RuleCompiler, Protocol):
    """A compiler whose rules may be kept, in a private cache, to save compiling them next time.

    Attributes:
        fingerprint: Another text whenever the compiler could make something else of the same
            file and schema: its version or source, what it stands on, its settings. None where
            nothing may be kept.
    """

    fingerprint: str | None


# --- runtimes ----------------------------------------------------------------------


class Missing(enum.Enum):
    """The marker for a field that an event does not have: not 0, "" or false."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING

FieldEntry: TypeAlias = "Scalar | Mapping[str, object]"
"""A value of a field; an object only where the field has no type or the type `object`."""

FieldValue: TypeAlias = "FieldEntry | tuple[FieldEntry, ...] | Missing"
"""What a predicate sees of a field: one value, those of a list (also of one), or none.

Values are brought to the type of the field: a date is nanoseconds since 1970.
"""


@attrs.frozen
class Limits:
    """What one evaluation may use. `None` is unlimited.

    Attributes:
        seconds: Wall-clock time of one call for one event.
        memory_bytes: Memory of one loaded predicate.
        instructions: Instructions (fuel) of one call for one event.
    """

    seconds: float | None = 0.1
    memory_bytes: int | None = 64 * 1024 * 1024
    instructions: int | None = 10_000_000


@attrs.frozen
class Failure:
    """A predicate could not be evaluated: neither true nor false."""

    problem: str


Outcome: TypeAlias = bool | Failure


@runtime_checkable
class LoadedPredicate(Protocol):
    """A predicate ready to be asked. Called from the detector's thread."""

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        """Return one outcome a row, in order.

        A row has the values of the fields given to `load`, in that order.
        """


@runtime_checkable
class PredicateEvaluator(Protocol):
    """A runtime for predicates. Called from the thread that loads rules, one call at a time.

    Where rules change, predicates loaded before may be asked meanwhile, in another thread.
    """

    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> LoadedPredicate:
        """Return `condition` ready to be asked about rows of `fields`, in that order.

        Raises:
            RuleError: this runtime cannot evaluate the condition.
            ResourceLimitError: it is larger than a limit allows.
        """


# --- outputs and actions --------------------------------------------------------------


@runtime_checkable
class OutputHandler(Protocol):
    """Where alerts go. All calls come from one thread, which is this output's own.

    `open`, then `write` and `flush` as alerts come, then `close`. Delivery is at least
    once: after a failure the same alerts may be written again, under the same ids.
    """

    def open(self) -> None:
        """Get ready to write.

        Raises:
            OutputError: it cannot be written to. The engine does not start.
        """

    def write(self, alerts: Sequence[Alert]) -> None:
        """Write alerts, in order. May keep them in memory until `flush`.

        Raises:
            OutputError: not written; what is `transient` may be tried again.
        """

    def flush(self) -> None:
        """Hand everything written so far to where it belongs.

        Raises:
            OutputError: what was written since the last flush may be lost.
        """

    def close(self) -> None:
        """Release everything. Called once by the engine; a second call does nothing."""


@runtime_checkable
class ActionExecutor(Protocol):
    """Does something about an alert. Called from the action thread.

    The kernel has already decided that the action may run: permission, rate
    limit and dry run are not this object's business, except that a request with
    `dry_run` must change nothing.
    """

    def execute(self, request: ActionRequest) -> ActionOutcome:
        """Do what is asked, once for each request id, and say honestly what came of it."""


# --- patterns ------------------------------------------------------------------


class PatternKind(enum.Enum):
    """How a pattern is written."""

    WILDCARD = "wildcard"
    """`*` is any text, `?` any one character, line ends included; nothing else is special."""
    REGEX = "regex"
    """In the syntax of `kestrel_framework.values.compile_regex`."""


@attrs.frozen(cache_hash=True)
class Pattern:
    """What a whole text is matched against.

    Attributes:
        kind: How it is written.
        text: The pattern.
        fold: Whether case makes no difference, as for `values.fold_case`. Only regular
            expressions have it; a wildcard is folded, like the texts it is asked about,
            before an engine sees it.
    """

    kind: PatternKind
    text: str
    fold: bool = False


@runtime_checkable
class PatternDatabase(Protocol):
    """Many patterns, compiled together."""

    def matches(self, text: str) -> Sequence[int]:
        """Return the places of the patterns that match `text` from end to end.

        Each place once, in any order.

        Called: from the detector's thread, for texts it has not seen lately. They may be
        long, and hold anything, line ends, null characters and lone surrogates too. Must
        return in time linear in the text.
        """


@attrs.frozen
class CompiledPatterns:
    """What an engine makes of some patterns.

    Attributes:
        database: Answers for all of them but the refused ones.
        refused: The places of patterns that the engine cannot take; the kernel tests each of
            them by itself, so that an engine need not know everything.
    """

    database: PatternDatabase
    refused: frozenset[int] = frozenset()


@runtime_checkable
class PatternEngine(Protocol):
    """Finds which of thousands of patterns match a text, in one pass.

    Every engine gives the same answers as `values.compile_wildcard` and `values.compile_regex`.
    """

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        """Return the patterns compiled together; their places are their numbers.

        Called: while a detector is made, or rules are prepared for it; once for each field and
        form of its values. Databases compiled before may be asked meanwhile, in another
        thread. May keep what it compiled on disk.

        Raises:
            PluginError: the engine does not work here.
        """
