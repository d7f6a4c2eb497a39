"""Measure how long compiling the public EQL rules takes, beside the `eql` package parsing them.

The package runs in a virtual environment of its own under build/, which is made when it is
missing, and in a process of its own. The result is a section of docs/reference/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import attrs

from benchmarks.children import measured_by, note, print_result
from benchmarks.peer import PEER, PeerMissingError, peer_python
from benchmarks.rule_sets import rule_paths
from kestrel_eql import EqlCompiler
from kestrel_framework.errors import RuleError
from kestrel_framework.rule import RuleSource
from kestrel_framework.rule_loading import iter_rule_files
from kestrel_framework.schema import SchemaRegistry

ROOT: Final = Path(__file__).parents[1]
REPORT: Final = ROOT / "docs" / "reference" / "benchmarks.md"
ROUNDS: Final = 5
_BEGIN: Final = "<!-- Compiling EQL: written by benchmarks/compile_rules.py. -->"
_END: Final = "<!-- End of compiling EQL. -->"
_METHOD: Final = f"""
- All rules are read first; what is measured is from the text of a rule to what the kernel runs:
  parsed, checked against the schema, lowered. The `eql` package parses each text to its syntax
  tree, with its checks of functions and types, without a schema. Loading the parser counts on
  both sides, importing on none.
- Times are CPU time. {ROUNDS} rounds, each with a fresh process for each side; shown are medians.
- The `eql` package (from PyPI) is set to accept as much as it can: endpoint syntax, missing events,
  samples, runs, unknown functions.
"""


@attrs.frozen
class Outcome:
    """What one process did with all texts: the CPU seconds of each, and whether it was accepted."""

    seconds: tuple[float, ...]
    accepted: tuple[bool, ...]

    def total(self, chosen: Sequence[bool]) -> float:
        """Return the seconds of the chosen texts together."""
        return sum(time for time, want in zip(self.seconds, chosen, strict=True) if want)


def sources() -> list[RuleSource]:
    """Return the EQL rules of the public archives."""
    compiler = EqlCompiler()
    files = iter_rule_files(rule_paths(), compiler.suffixes)
    found = [source for file in files for source in compiler.read(file)]
    return [source for source in found if source.language == compiler.language]


def compiled() -> Outcome:
    """Compile all rules, in this process."""
    rules, schema = sources(), SchemaRegistry.ecs()
    compiler = EqlCompiler()
    seconds, accepted = [], []
    for source in rules:
        started = time.process_time()
        try:
            compiler.compile(source, schema)
        except (RuleError, ExceptionGroup):
            accepted.append(False)
        else:
            accepted.append(True)
        seconds.append(time.process_time() - started)
    return Outcome(tuple(seconds), tuple(accepted))


def measured() -> tuple[dict[str, list[Outcome]], str]:
    """Return what each side did in each round, and why the peer is left out (or "").

    Raises:
        ChildError: a side failed.
    """
    texts = json.dumps([source.text for source in sources()]).encode()
    outcomes: dict[str, list[Outcome]] = {"kestrel": []}
    problem = peer = ""
    try:
        peer = peer_python()
        outcomes["peer"] = []
    except PeerMissingError as error:
        problem = str(error)
    with tempfile.TemporaryDirectory() as cache:
        environment = {"XDG_CACHE_HOME": cache}
        for number in range(ROUNDS + 1):
            note(f"compiling: round {number} of {ROUNDS}")
            own = measured_by("compile_rules", ["--child"], Outcome, environment=environment)
            if number == 0:
                continue  # it has made the tables of the parser, which are kept from then on
            outcomes["kestrel"].append(own)
            if peer:
                other = measured_by("peer_eql", [], Outcome, python=peer, given=texts)
                outcomes["peer"].append(other)
    return outcomes, problem


def section() -> str:
    """Measure, and return the section of the report."""
    load = os.getloadavg()[0]
    outcomes, problem = measured()
    titles = {
        "kestrel": "Kestrel",
        "peer": f"`{PEER.replace('==', ' ')}`",
    }
    first = {side: results[0] for side, results in outcomes.items()}
    accepted = {side: outcome.accepted for side, outcome in first.items()}
    both = [all(each) for each in zip(*accepted.values(), strict=True)]
    everything = [True] * len(both)

    def seconds(side: str, chosen: Sequence[bool]) -> float:
        return median(outcome.total(chosen) for outcome in outcomes[side])

    rows: dict[str, Callable[[str], str]] = {
        "rules accepted": lambda side: f"{sum(accepted[side]):,} of {len(both):,}",
        "seconds for all rules": lambda side: f"{seconds(side, everything):.2f}",
        "µs a rule": lambda side: f"{seconds(side, everything) / len(both) * 1e6:,.0f}",
    }
    if "peer" in outcomes:
        rows = {
            "**as fast as the package**, all rules": lambda side: (
                f"**{seconds('peer', everything) / seconds(side, everything):.1f} times**"
            ),
            f"**as fast as the package**, the {sum(both):,} rules that both accept": lambda side: (
                f"**{seconds('peer', both) / seconds(side, both):.1f} times**"
            ),
            **rows,
        }
    lines = [
        _BEGIN,
        "",
        "## Compiling EQL",
        "",
        "The public EQL rules, from their texts to what the kernel runs.",
        "",
        "| | " + " | ".join(titles[side] for side in outcomes) + " |",
        "|---|" + "--:|" * len(outcomes),
        *(
            f"| {name} | " + " | ".join(cell(side) for side in outcomes) + " |"
            for name, cell in rows.items()
        ),
        "",
        *([f"Left out: {problem}.", ""] if problem else []),
        f"Load of the machine when it began: {load:.1f}.",
        "",
        *_METHOD.strip().splitlines(),
        "",
        _END,
        "",
    ]
    return "\n".join(lines)


def with_section(page: str, text: str) -> str:
    """Return the page with the section in its place, or at the end."""
    before, begin, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(f"{_END}\n")
    return f"{before}{text}{after}" if begin else f"{page.rstrip()}\n\n{text}"


def main() -> None:
    """Measure and write the section; or, for a child, compile and print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", action="store_true")
    if parser.parse_args().child:
        print_result(compiled())
        return
    text = section()
    page = REPORT.read_text(encoding="utf-8") if REPORT.exists() else ""
    REPORT.write_text(with_section(page, text), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
