"""How many of the public rules compile: measured, and held."""

from __future__ import annotations

import os
import tarfile
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
    ("archive", "rules"), [("elastic-detection.tar.gz", 545), ("elastic-protections.tar.gz", 667)]
)
def test_public_rules_compile(archive: str, rules: int) -> None:
    compiler, schema = EqlCompiler(), SchemaRegistry.ecs()
    compiled = 0
    problems: list[RuleError] = []
    for file in rule_files(archive):
        try:
            for source in compiler.read(file):
                compiler.compile(source, schema)
                compiled += 1
        except (RuleError, ExceptionGroup) as error:
            problems.extend(errors_in(error))
    assert problems == []
    assert compiled == rules
