"""What is asked of workers and what they answer, as bytes.

A worker handles hostile input, and may not be what it was any more: what it says is checked, and
nothing in it is run. It does not send documents: the main process has the batch.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Final

import attrs
import msgspec

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Match, MatchedBatch, Problem
from kestrel_framework.event import EventBatch

_Number = Annotated[int, msgspec.Meta(ge=0)]


class AnswerError(Exception):
    """The bytes are no answer that could be right."""


class _Request(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Payloads to match, and a number to answer under."""

    number: int
    payloads: list[bytes]


class _Problem(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A `Problem`, but for its origin; the line counts in the payloads sent, from 1."""

    cause: str
    message: str
    line: _Number | None
    skipped: bool


class _Column(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What events have at a path; null where they have nothing, which `unset` says."""

    values: list[Any]
    unset: list[_Number]


class _Found(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A `MatchedBatch`; its processes and matches as columns."""

    places: list[_Number]
    times: list[int | None]
    tiebreakers: list[int | float | str | None]
    problems: list[_Problem]
    processes: list[_Column]
    matched: list[_Number]
    target_sets: list[tuple[_Number, ...]]
    target_set_of: list[_Number]


class _Answer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What was found; None where matching failed, or what was found cannot be sent."""

    number: int
    found: _Found | None


@attrs.frozen
class PartialAnswer:
    """What a worker says of a part of a batch.

    Attributes:
        number: That of the request.
        found: None where the batch is to be matched by the main process.
    """

    number: int
    found: _Found | None


def encode_request(number: int, payloads: Sequence[bytes]) -> bytes:
    """Return what a worker is asked.

    Raises:
        TypeError: a payload is no bytes.
    """
    return _encoder.encode(_Request(number, list(payloads)))


def decode_request(message: bytes) -> tuple[int, list[bytes]]:
    """Return the number and the payloads of a request."""
    request = _requests.decode(message)
    return request.number, request.payloads


def encode_answer(number: int, matched: MatchedBatch | None) -> bytes:
    """Return what a worker answers; None stands for a batch that could not be matched."""
    if matched is not None:
        try:
            return _encoder.encode(_Answer(number, _found(matched)))
        except (OverflowError, TypeError, ValueError):
            pass  # such as an integer beyond 64 bits: the main process can do without encoding
    return _encoder.encode(_Answer(number, None))


def decode_answer(message: bytes) -> PartialAnswer:
    """Return an answer of the right form; `check` says whether it can be right.

    Raises:
        AnswerError: it has not.
    """
    try:
        answer = _answers.decode(message)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise AnswerError(f"the answer is damaged: {error}") from error
    return PartialAnswer(answer.number, answer.found)


def check(answer: PartialAnswer, events: int, matcher: EventMatcher) -> None:
    """Check an answer about `events` payloads against what `matcher` could have said.

    Raises:
        AnswerError: no matcher of these rules says so.
    """
    found = answer.found
    if found is None:
        return
    count = len(found.places)
    sound = (
        _is_ascending(found.places, events)
        and len(found.times) == count
        and len(found.tiebreakers) in ((count,) if matcher.reads_tiebreakers else (0,))
        and len(found.processes) == (len(matcher.paths) if count else 0)
        and all(len(column.values) == count for column in found.processes)
        and all(_is_ascending(column.unset, count) for column in found.processes)
        and _is_ascending(found.matched, count)
        and len(found.target_set_of) == len(found.matched)
        and (not found.matched or max(found.target_set_of) < len(found.target_sets))
        and all(_is_ascending(each, matcher.target_count) for each in found.target_sets)
        and all(found.target_sets)
        and all(problem.line is None or problem.line <= events for problem in found.problems)
    )
    if not sound:
        raise AnswerError("the answer does not fit the batch")


def joined(parts: Iterable[tuple[int, PartialAnswer]], batch: EventBatch) -> MatchedBatch:
    """Return what answers about parts of a batch, each with its first place, say together.

    Args:
        parts: In order; each with something found.
        batch: As the detector numbers it.
    """
    whole = MatchedBatch()
    for first, part in parts:
        found = part.found
        assert found is not None
        events = len(whole.places)
        whole.places += [place + first for place in found.places] if first else found.places
        whole.times += found.times
        whole.tiebreakers += found.tiebreakers
        whole.processes += _rows(found.processes)
        line = (batch.first_offset or 0) + first
        whole.problems += [
            Problem(
                problem.cause,
                problem.message,
                batch.origin,
                None if problem.line is None else line + problem.line,
                problem.skipped,
            )
            for problem in found.problems
        ]
        sets = found.target_sets
        whole.matches += [
            Match(index + events, sets[number])
            for index, number in zip(found.matched, found.target_set_of, strict=True)
        ]
    return whole


def _found(matched: MatchedBatch) -> _Found:
    numbers: dict[tuple[int, ...], int] = {}
    target_set_of = [numbers.setdefault(match.targets, len(numbers)) for match in matched.matches]
    return _Found(
        list(matched.places),
        list(matched.times),
        list(matched.tiebreakers),
        [_Problem(each.cause, each.message, each.line, each.skipped) for each in matched.problems],
        [_column(values) for values in zip(*matched.processes, strict=True)],
        [match.index for match in matched.matches],
        list(numbers),
        target_set_of,
    )


def _column(values: Sequence[object]) -> _Column:
    unset = [index for index, value in enumerate(values) if value is msgspec.UNSET]
    if not unset:
        return _Column(list(values), [])
    return _Column([None if value is msgspec.UNSET else value for value in values], unset)


def _rows(columns: Sequence[_Column]) -> Iterator[tuple[object, ...]]:
    for column in columns:
        for index in column.unset:
            column.values[index] = msgspec.UNSET
    return zip(*[column.values for column in columns], strict=True)


def _is_ascending(numbers: Sequence[int], end: int) -> bool:
    """Say whether numbers ascend, without repeating, below `end`."""
    return not numbers or (numbers[-1] < end and all(map(operator.lt, numbers, numbers[1:])))


_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(_Request)
_answers: Final = msgspec.msgpack.Decoder(_Answer)
