"""Numbered inputs: the same number is the same input, whatever runs beside it."""

from __future__ import annotations

from random import Random
from typing import TypeAlias

import attrs

from eql_fuzzing.judge import DIALECTS, SCHEMAS, Judge
from eql_fuzzing.mutations import mutated, random_text
from eql_fuzzing.queries import QueryWriter
from eql_fuzzing.rule_files import rule_file
from eql_fuzzing.seed_rules import OWN, seed_rules
from kestrel_framework.interfaces import RuleFile

Content: TypeAlias = str | RuleFile


@attrs.frozen
class Input:
    """A text or a file, and what it is compiled with."""

    content: Content
    dialect: str
    schema: str


@attrs.frozen
class Outcome:
    """How many inputs compiled, and which went wrong."""

    compiled: int
    wrong: tuple[str, ...]


def numbered_input(number: int, longest: int) -> Input:
    """Return an input; mutations of texts have at most `longest` characters."""
    random = Random(number)
    dialect, schema = random.choice(DIALECTS), random.choice(tuple(SCHEMAS))
    chance = random.random()
    if chance < 0.04:
        return Input(random_text(random), dialect, schema)
    text = QueryWriter(random).query() if chance < 0.34 else random.choice(seed_rules())
    if chance > 0.14:
        text = mutated(random, text, OWN if chance < 0.4 else seed_rules(), longest)
    return Input(rule_file(random, text) if chance > 0.85 else text, dialect, schema)


def judged(numbers: range, longest: int, thorough_every: int) -> Outcome:
    """Judge the inputs with these numbers."""
    judge, thorough = Judge(thorough=False), Judge(thorough=True)
    compiled, wrong = 0, []
    for number in numbers:
        given = numbered_input(number, longest)
        one = judge if number % thorough_every else thorough
        try:
            if isinstance(given.content, RuleFile):
                compiled += one.file(given.content, schema=given.schema)
            else:
                compiled += one.text(given.content, dialect=given.dialect, schema=given.schema)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            wrong.append(_told(number, longest, error))
    return Outcome(compiled, tuple(wrong))


def _told(number: int, longest: int, error: Exception) -> str:
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
    what = f"{type(error).__name__}: {str(error)[:300]}"
    return f"numbered_input({number}, {longest}): {what} ({place})"
