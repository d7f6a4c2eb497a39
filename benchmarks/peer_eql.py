"""Parse rules with the `eql` package; run by `compile_rules.py` in the package's own environment.

Takes a JSON list of rule texts from standard input. Writes, as JSON, the version of the package
and for each text the seconds that it took, and whether it was accepted. The package is set to
accept as much as it can.
"""

from __future__ import annotations

import json
import sys
import time

import eql
from eql import parser


def main() -> None:
    """Parse the texts of standard input."""
    texts = json.load(sys.stdin)
    seconds, accepted = [], []
    with (
        parser.elastic_endpoint_syntax,
        parser.allow_negation,
        parser.allow_sample,
        parser.allow_runs,
        parser.ignore_missing_functions,
    ):
        for text in texts:
            started = time.process_time()
            try:
                eql.parse_query(text)
            except (eql.EqlError, RecursionError):
                accepted.append(False)
            else:
                accepted.append(True)
            seconds.append(time.process_time() - started)
    json.dump({"version": eql.__version__, "seconds": seconds, "accepted": accepted}, sys.stdout)


if __name__ == "__main__":
    main()
