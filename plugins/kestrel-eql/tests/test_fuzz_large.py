"""The largest texts that the compiler takes: each compiles and runs, or is refused, in time."""

from __future__ import annotations

import pytest
from eql_fuzzing.judge import DIALECTS, Judge
from eql_fuzzing.large_texts import LARGE_TEXTS


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", LARGE_TEXTS)
def test_a_large_text(name: str, dialect: str) -> None:
    schema = "ecs" if dialect == "elastic" else "without"
    Judge(thorough=False).text(LARGE_TEXTS[name](), dialect=dialect, schema=schema)
