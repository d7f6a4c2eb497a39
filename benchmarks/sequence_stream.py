"""Three-step rules, and events that are steps of them: what following sequences costs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Final

RULES: Final = 100
KEYS: Final = 20_000
_START: Final = 1_700_000_000_000
_STEPS_PER_HUNDRED: Final = 40
_COMPLETING: Final = 0.02


def sequence_rule(number: int) -> str:
    """Return the EQL of one of the rules: it starts a tool, leaves a file, and calls home."""
    return (
        "sequence by process.entity_id with maxspan=1m\n"
        f'  [process where event.type == "start" and process.name == "tool-{number}"]\n'
        f'  [file where event.type == "creation" and file.extension == "x{number}"]\n'
        f"  [network where destination.port == {10_000 + number}]\n"
    )


def sequence_lines(count: int, *, seed: int = 11) -> Iterator[bytes]:
    """Yield `count` events, a millisecond apart; two in five are a step of one rule.

    Of the steps, about half are first ones, of any key; the others mostly come to keys where
    nothing waits for them, so that few sequences are complete.
    """
    source = random.Random(seed)
    started: list[tuple[int, int]] = []
    for number in range(count):
        if source.randrange(100) >= _STEPS_PER_HUNDRED:
            rule, key, step = -1, source.randrange(KEYS), source.randrange(3)
        elif started and source.random() < _COMPLETING:
            rule, key = started[source.randrange(max(0, len(started) - 1000), len(started))]
            step = source.choice((1, 2))
        else:
            rule, key = source.randrange(RULES), source.randrange(KEYS)
            step = source.choice((0, 0, 1, 2))
            if step == 0:
                started.append((rule, key))
        yield _line(number, rule, key, step)


def _line(number: int, rule: int, key: int, step: int) -> bytes:
    process: dict[str, object] = {"pid": key, "entity_id": f"p{key}", "name": "sh"}
    event: dict[str, object] = {
        "@timestamp": _START + number,
        "host": {"id": "generated", "os": {"type": "linux"}},
        "process": process,
    }
    if step == 0:
        event["event"] = {"category": ["process"], "type": ["start"], "action": "exec"}
        process["name"] = f"tool-{rule}" if rule >= 0 else "bash"
    elif step == 1:
        event["event"] = {"category": ["file"], "type": ["creation"], "action": "creation"}
        extension = f"x{rule}" if rule >= 0 else "log"
        event["file"] = {"path": f"/tmp/{number:x}.{extension}", "extension": extension}  # noqa: S108
    else:
        event["event"] = {"category": ["network"], "type": ["start"], "action": "connect"}
        port = 10_000 + rule if rule >= 0 else 443
        event["destination"] = {"ip": "10.1.2.3", "port": port}
    return json.dumps(event, separators=(",", ":")).encode()
