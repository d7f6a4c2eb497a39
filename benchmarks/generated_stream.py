"""A stream of events that needs no test data: the same bytes on every machine."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Final

_START: Final = 1_700_000_000_000
_PROGRAMS: Final = (
    "bash", "sh", "python3", "sshd", "cron", "nginx", "node", "java", "postgres", "redis-server",
    "curl", "tar", "gzip", "find", "grep", "sed", "awk", "git", "make", "gcc", "ld", "cat", "ls",
)  # fmt: skip
_FOLDERS: Final = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/app/bin", "/home/dev/bin")
_WORDS: Final = (
    "build", "report", "index", "cache", "session", "backup", "release", "config", "data", "log",
    "user", "image", "worker", "queue", "daily", "static", "module", "test", "deploy", "metrics",
)  # fmt: skip
_USERS: Final = (
    {"id": "0", "name": "root"},
    {"id": "33", "name": "www-data"},
    {"id": "1000", "name": "dev"},
    {"id": "1001", "name": "ci"},
)


def generated_lines(count: int, *, seed: int = 7) -> Iterator[bytes]:
    """Yield `count` events of a busy Linux host as JSON lines.

    Two in five have a command line or path that never occurs again, since what is seen for the
    first time costs most. Half are process starts, the rest files, connections and ends.
    """
    source = random.Random(seed)
    for number in range(count):
        event = _process(source, number)
        kind = source.random()
        if kind < 0.3:
            event["event"] = {"category": ["file"], "type": ["creation"], "action": "creation"}
            event["file"] = _file(source, number)
        elif kind < 0.4:
            event["event"] = {"category": ["network"], "type": ["start"], "action": "connect"}
            event["destination"] = {
                "ip": f"10.{source.randrange(256)}.{source.randrange(256)}.{source.randrange(256)}",
                "port": source.choice((22, 53, 80, 443, 5432, 6379, 8080)),
            }
            event["network"] = {"transport": "tcp", "direction": "egress"}
        elif kind < 0.5:
            event["event"] = {"category": ["process"], "type": ["end"], "action": "end"}
        yield json.dumps(event, separators=(",", ":")).encode()


def _process(source: random.Random, number: int) -> dict[str, object]:
    name, parent = source.choice(_PROGRAMS), source.choice(_PROGRAMS)
    rare = source.random() < 0.4
    words = source.sample(_WORDS, 3)
    user = source.choice(_USERS)
    arguments = [name, f"--{words[0]}", words[1] + (f"-{number:x}" if rare else "")]
    return {
        "@timestamp": _START + number * 2,
        "event": {"category": ["process"], "type": ["start"], "action": "exec"},
        "host": {"id": "generated", "os": {"type": "linux"}},
        "process": {
            "pid": 1000 + number % 60_000,
            "entity_id": f"p{number}",
            "name": name,
            "executable": f"{source.choice(_FOLDERS)}/{name}",
            "args": arguments,
            "args_count": len(arguments),
            "command_line": " ".join(arguments),
            "real_user": user,
            "working_directory": f"/home/{words[2]}",
            "parent": {
                "pid": 1000 + source.randrange(60_000),
                "entity_id": f"p{source.randrange(max(1, number))}",
                "name": parent,
                "executable": f"/usr/bin/{parent}",
            },
        },
        "user": user,
    }


def _file(source: random.Random, number: int) -> dict[str, object]:
    words = source.sample(_WORDS, 2)
    rare = source.random() < 0.4
    name = f"{words[1]}{f'-{number:x}' if rare else ''}.{source.choice(('txt', 'log', 'so', 'py'))}"
    folder = f"{source.choice(('/var/lib', '/home/dev', '/srv', '/var/cache'))}/{words[0]}"
    return {"path": f"{folder}/{name}", "name": name, "extension": name.rpartition(".")[2]}
