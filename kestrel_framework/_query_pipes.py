"""The pipes that the results of a search pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework.errors import RuleError
from kestrel_framework.event import Document
from kestrel_framework.rule import Pipe, Rule
from kestrel_framework.values import Scalar


@attrs.frozen
class Result:
    """What a pipe passes on."""

    events: tuple[Document | None, ...]
    join_keys: tuple[Scalar | None, ...] = ()


Arguments = Sequence[object]


def piped(results: list[Result], pipes: Sequence[Pipe], rule: Rule) -> list[Result]:
    """Return what is left of `results` after the pipes, from left to right.

    Raises:
        RuleError: a pipe is unknown, or its arguments are not what it takes.
    """
    for pipe in pipes:
        stage = _STAGES.get(pipe.name)
        if stage is None:
            known = ", ".join(f"`{name}`" for name in sorted(_STAGES))
            problem = f"the pipe `{pipe.name}` is unknown to searches; there are {known}"
            raise RuleError(problem, rule.location, rule_id=rule.rule_id)
        try:
            results = stage(results, pipe.arguments)
        except ValueError as error:
            problem = f"the pipe `{pipe.name}` {error}"
            raise RuleError(problem, rule.location, rule_id=rule.rule_id) from error
    return results


def _head(results: list[Result], arguments: Arguments) -> list[Result]:
    return results[: _count_in(arguments)]


def _tail(results: list[Result], arguments: Arguments) -> list[Result]:
    return results[max(0, len(results) - _count_in(arguments)) :]


def _count_in(arguments: Arguments) -> int:
    match arguments:
        case [int(number)] if number >= 0:
            return number
        case _:
            raise ValueError("takes one whole number, such as `5`")


_STAGES: Final[Mapping[str, Callable[[list[Result], Arguments], list[Result]]]] = {
    "head": _head,
    "tail": _tail,
}
