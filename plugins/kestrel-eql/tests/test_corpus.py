"""How many of the public rules compile: measured, and held."""

from __future__ import annotations

import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework.errors import RuleError
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import errors_in
from kestrel_framework.schema import SchemaRegistry

CORPUS = os.environ.get("KESTREL_CORPUS", "")

pytestmark = pytest.mark.skipif(
    not CORPUS, reason="KESTREL_CORPUS names no folder with rules/*.tar.gz"
)


def rule_files(archive: str) -> Iterator[RuleFile]:
    with tarfile.open(Path(CORPUS) / "rules" / archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield RuleFile(member.name, content.read())


@pytest.mark.parametrize(
    ("archive", "compile_", "unsupported"),
    [
        ("elastic-detection.tar.gz", 545, {}),
        (
            "elastic-protections.tar.gz",
            645,
            {"`descendant of` is not supported yet": 22},
        ),
    ],
)
def test_public_rules_compile(archive: str, compile_: int, unsupported: dict[str, int]) -> None:
    compiler, schema = EqlCompiler(), SchemaRegistry.ecs()
    compiled = 0
    reasons: Counter[str] = Counter()
    for file in rule_files(archive):
        try:
            for source in compiler.read(file):
                compiler.compile(source, schema)
                compiled += 1
        except (RuleError, ExceptionGroup) as error:
            reasons.update({single.problem for single in errors_in(error)})
    assert reasons == unsupported
    assert compiled == compile_
