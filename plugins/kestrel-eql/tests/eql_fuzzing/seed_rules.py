"""Rules that mutations begin with: one of each part of the language, in both dialects."""

from __future__ import annotations

import os
import tarfile
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

OWN: Final = (
    'process where event.type == "start" and process.name : ("nc", "ncat*") and not user.id == "0"',
    "sequence by host.id, process.entity_id with maxspan = 1m\n"
    '  [process where process.name == "curl"] by process.parent.pid as fetched\n'
    "  ![file where file.extension in~ (\"sh\", \"py\")] by process.pid // nothing written\n"
    "  [network where destination.port >= 1024 and not cidrMatch(destination.ip, "
    '"10.0.0.0/8", "fe80::/10")] by process.pid with runs=3\n'
    'until [process where event.type == "end"] by process.pid',
    "sample by host.id [any where ?a.b == null] by x [file where true] by y",
    "join by user.name [process where opcode = 1] [file where length(file_name) * 2 > -3] | head 5",
    'api where _arraysearch(call_stack, $frame, $frame.symbol regex~ """.*Virtual.*""" or '
    "$frame.pages == null)",
    "process where descendant of [process where process.name like~ ('a*', 'b?')] | unique a, b",
    'any where between(a, "x", "y", true) == "z" or substring(b, -3, 2) != concat(c, 1, null)',
    'file where file.size / 2 + 1 % 3 - -4 > 1.5e3 and "x" in (a, b, "c") // end',
    "process where process_name = 'a*' | filter pid > 4 | sort pid | unique_count user | tail 2",
    "sequence [process where pid == 1] as e0 [file where e0.name == name and a[0].b == $x] fork",
    'any where arraySearch(list, item, item.k == "v") and arrayCount(list, i, i == 1) < 2',
    'network where source.ip == "::1" and @timestamp > "2020-01-01T00:00:00Z" and `odd name` == 1',
    'any where number("0x1f", 16) == 31 and indexOf~(a, "b") >= 0 and string(1 == 1) : "t*"',
    "any where (a == 1) == (b != 2) and not (c or d) and startsWith~(e, \"f\") /* a comment */",
)  # fmt: skip


@cache
def seed_rules() -> tuple[str, ...]:
    """Return our own rules, and those of the corpus that the environment names."""
    folder = os.environ.get("KESTREL_CORPUS")
    found: list[str] = []
    if folder:
        for archive in sorted(Path(folder, "rules").glob("*.tar.gz")):
            found += _queries_in(archive)
        for file in sorted(Path(folder, "eql").glob("*/*.toml")):
            found += [case["query"] for case in tomllib.loads(file.read_text("utf-8"))["queries"]]
    return (*OWN * (1 + len(found) // 100), *found)


def _queries_in(archive: Path) -> list[str]:
    queries = []
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                rule = tomllib.loads(content.read().decode("utf-8")).get("rule", {})
                queries.append(str(rule.get("query", "")))
    return [query for query in queries if query]
