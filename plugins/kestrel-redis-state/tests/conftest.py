"""Servers for the tests; they can import what they share, wherever this folder is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # for the module `redis_servers`

from redis_servers import Proxy, RedisServer

from kestrel_redis_state import RedisStateConfig, RedisStateStore


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that no test stops or fills."""
    server = RedisServer(tmp_path_factory.mktemp("redis") / "shared", "--appendfsync", "no")
    yield server
    server.stop()


@pytest.fixture
def clean_server(shared_server: RedisServer) -> RedisServer:
    """The shared server, empty."""
    with shared_server.client() as client:
        client.flushall()
    return shared_server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers that the test can do anything to."""
    servers: list[RedisServer] = []

    def start(*options: str, tls: bool = False) -> RedisServer:
        servers.append(RedisServer(tmp_path / f"server{len(servers)}", *options, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def proxy_of() -> Iterator[Callable[[RedisServer], Proxy]]:
    """Stands proxies before servers."""
    proxies: list[Proxy] = []

    def make(server: RedisServer) -> Proxy:
        proxies.append(Proxy(server.port))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def open_store() -> Iterator[Callable[..., RedisStateStore]]:
    """Makes stores that have little patience, and closes them."""
    stores: list[RedisStateStore] = []

    def make(url: str, namespace: str = "test", **settings: Any) -> RedisStateStore:
        settings = {"command_timeout": 2.0, "connect_timeout": 2.0} | settings
        stores.append(RedisStateStore(RedisStateConfig(url=url, namespace=namespace, **settings)))
        return stores[-1]

    yield make
    for store in stores:
        store.close()
