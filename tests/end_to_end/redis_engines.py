"""Engines that keep their state in a real Redis, in processes of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from redis_servers import RedisServer

from kestrel_framework.config import StateConfig
from kestrel_redis_state import RedisStateStore, plugin
from kestrel_redis_state.bounded_parser import BoundedParser
from kill_runs import Keeping


def namespace_of(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()[:32]


def kept_in(server: RedisServer, url: str | None = None, **settings: object) -> Keeping:
    """Return what engines keep in a server, in a namespace for each folder."""

    def state(folder: Path) -> StateConfig:
        options = {
            "url": url or server.url,
            "namespace": namespace_of(folder),
            "command_timeout": 2.0,
            "connect_timeout": 2.0,
        }
        return StateConfig(type="redis", options=options, **settings)  # type: ignore[arg-type]

    # Before an answer is read, the server has the command, or is about to.
    boundaries = ((RedisStateStore, "commit"), (BoundedParser, "read_response"))
    return Keeping(state, boundaries, (plugin,))


def owner_of(server: RedisServer, folder: Path) -> str | None:
    with server.client() as client:
        owner = client.hget(f"kestrel:{{{namespace_of(folder)}}}:control", "owner")
    return owner.decode() if isinstance(owner, bytes) else None


def stored_of(server: RedisServer, folder: Path) -> Mapping[bytes, bytes | None]:
    """Return everything that the server has for a folder."""
    with server.client() as client:
        pattern = f"kestrel:{{{namespace_of(folder)}}}:*"
        return {name: client.dump(name) for name in client.scan_iter(pattern)}


def alert_ids(lines: bytes) -> list[str]:
    return [json.loads(line)["kestrel"]["alert_id"] for line in lines.splitlines()]
