"""Three-step rules, and events that are steps of them: what following sequences costs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Final, TypeAlias

RULES: Final = 100
HOSTS: Final = 2000
_USERS: Final = 5
_PROCESSES_OF_HOST: Final = 50
_START: Final = 1_700_000_000_000
_MILLISECONDS_APART: Final = 2
_STEPS_PER_HUNDRED: Final = 40
_CONTINUING: Final = 0.05
_LAST_STARTED: Final = 5000
_KEYS: Final = ("host.id", "host.id, user.name", "host.id, process.entity_id")

_Key: TypeAlias = tuple[int, int, int]
"""A host, a user and a process by their numbers."""


def sequence_rule(number: int) -> str:
    """Return the EQL of one of the rules: it starts a tool, leaves a file, and calls home."""
    return (
        f"sequence by {_KEYS[number % len(_KEYS)]} with maxspan=5m\n"
        f'  [process where event.type == "start" and process.name == "tool-{number}"]\n'
        f'  [file where event.type == "creation" and file.extension == "x{number}"]\n'
        f"  [network where destination.port == {10_000 + number}]\n"
    )


def sequence_lines(count: int, *, seed: int = 11) -> Iterator[bytes]:
    """Yield `count` events; two in five are a step of one rule, half of them a first one.

    Few of the others come to keys where something waits for them, and few sequences are complete.
    """
    source = random.Random(seed)
    started: list[tuple[int, _Key]] = []
    for number in range(count):
        rule, key, step = source.randrange(RULES), _any_key(source), source.choice((0, 0, 1, 2))
        if source.randrange(100) >= _STEPS_PER_HUNDRED:
            rule = -1
        elif started and source.random() < _CONTINUING:
            rule, key = started[-1 - source.randrange(min(len(started), _LAST_STARTED))]
            step = source.choice((1, 2))
        elif step == 0:
            started.append((rule, key))
        yield _line(number, rule, key, step)


def _any_key(source: random.Random) -> _Key:
    return (
        source.randrange(HOSTS),
        source.randrange(_USERS),
        source.randrange(_PROCESSES_OF_HOST),
    )


def _line(number: int, rule: int, key: _Key, step: int) -> bytes:
    host, user, own = key
    process: dict[str, object] = {"pid": own, "entity_id": f"{host}-{own}", "name": "sh"}
    event: dict[str, object] = {
        "@timestamp": _START + number * _MILLISECONDS_APART,
        "host": {"id": f"host-{host}", "os": {"type": "linux"}},
        "process": process,
        "user": {"name": f"user-{user}"},
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
