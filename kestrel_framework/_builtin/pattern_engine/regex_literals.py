"""A literal that every match of a regular expression contains, where that is easily seen."""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""
      (?P<repetition> [*+?]\?? | \{\d+(?:,\d*)?\}\?? )
    | (?P<literal> [A-Za-z0-9 !"\#%&',\-/:;<=>@_`~\]}] | \\[!-/:-@\[-`{-~ ] )
    | (?P<opening> \((?:\?:|\?P<\w+>|(?!\?)) )
    | (?P<closing> \) )
    | (?P<alternative> \| )
    | (?P<other> [.^$] | \\[dDwWsSbBAznrtfv] | [^\x00-\x7f]
        | \[\^?+(?:\\.|[^\\\[\]])+\] )
    """,
    re.VERBOSE | re.DOTALL,
)


def necessary_literal(pattern: str) -> str:
    """Return ASCII text that is in every text that the expression matches, or "".

    The longest between what is not plain. An expression that holds anything unusual has none:
    what is returned must be right, not the best there is.
    """
    found = ""
    current = ""
    depth = 0
    position = 0
    while position < len(pattern):
        token = _TOKEN.match(pattern, position)
        if token is None or (token["alternative"] and not depth):
            return ""
        position = token.end()
        if depth or not token["literal"]:
            if not depth and token["repetition"] and not token["repetition"].startswith("+"):
                current = current[:-1]
            found, current = max(found, current, key=len), ""
        else:
            current += token["literal"][-1]
        depth += bool(token["opening"]) - bool(token["closing"])
    return max(found, current, key=len)
