"""Servers that answer with nonsense, without end, or not at all."""

from __future__ import annotations

import itertools
import resource
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_servers import Proxy, RedisServer

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change
from kestrel_redis_state import RedisStateConfig, RedisStateStore

OpenStore = Callable[..., RedisStateStore]

Answering = Callable[[Callable[[], Iterable[bytes]]], str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Starts servers that send what they like to each client, and says their URL."""
    listeners: list[socket.socket] = []
    ended = threading.Event()

    def start(pieces: Callable[[], Iterable[bytes]]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve(client: socket.socket) -> None:
            with client, suppress(OSError):
                for piece in pieces():
                    if ended.is_set():
                        break
                    client.sendall(piece)
                ended.wait()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"redis://127.0.0.1:{listener.getsockname()[1]}/0"

    yield start
    ended.set()
    for listener in listeners:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: [],
        lambda: [b"+OK\r\n"] * 9 + [b"*2\r\n$4\r\ndone\r\n"],
        lambda: itertools.repeat(b"+OK\r\n"),
        lambda: itertools.chain([b"$100000000\r\n"], itertools.repeat(b"x")),
        lambda: itertools.repeat(b"*1\r\n"),
        lambda: [b"*99999999999999\r\n"],
        lambda: [b"SSH-2.0-OpenSSH_9.2\r\n"],
        lambda: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    ],
)
def test_nothing_of_it_is_believed(
    answering: Answering, pieces: Callable[[], Iterable[bytes]]
) -> None:
    config = RedisStateConfig(
        namespace="n", url=answering(pieces), command_timeout=0.2, connect_timeout=0.2
    )
    store = RedisStateStore(config)
    watch = store.watch(b"")
    for call in (
        lambda: store.get_many([b"a"]),
        lambda: list(store.scan(b"")),
        lambda: store.commit([Change(b"a", b"1")]),
        lambda: store.own("host", 1),
    ):
        with pytest.raises(StateError):
            call()
    with suppress(StateError):
        assert not watch.next(0.1)
    watch.close()
    store.close()


def test_an_endless_answer_is_not_kept(answering: Answering) -> None:
    block = bytes(1 << 20)
    store = RedisStateStore(
        RedisStateConfig(
            namespace="n",
            url=answering(lambda: itertools.chain([b"$9000000000\r\n"], itertools.repeat(block))),
            max_value_bytes=1,
            connect_timeout=20.0,
            command_timeout=20.0,
        )
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StateError, match="is larger than"):
        store.get_many([b"a"])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 128 * 1024, "kilobytes, of an answer of nine million"
    store.close()


HEADS = [b"+", b"-", b":", b"$", b"*", b"*1\r\n$4\r\ndone\r\n", b"*3\r\n$4\r\ndone\r\n$1\r\n1\r\n"]
replies = st.lists(
    st.sampled_from(
        [
            *(b"done conflict fenced lost rewound damaged late forgotten format owned".split()),
            b"wrong type",
            b"",
            b"1",
            b"-1",
            b"1700000000000000",
            b"9" * 30,
            b"1:v",
            b"\xff",
            None,
            7,
        ]
    ),
    max_size=6,
)


def encoded(parts: list[bytes | int | None]) -> bytes:
    pieces = [b"*%d\r\n" % len(parts)]
    for part in parts:
        if part is None:
            pieces.append(b"$-1\r\n")
        elif isinstance(part, int):
            pieces.append(b":%d\r\n" % part)
        else:
            pieces.append(b"$%d\r\n%s\r\n" % (len(part), part))
    return b"".join(pieces)


@given(
    answer=st.one_of(
        replies.map(encoded),
        st.tuples(st.sampled_from(HEADS), st.binary(max_size=12)).map(b"".join),
    )
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_odd_answers_are_errors_or_answers(shared_server: RedisServer, answer: bytes) -> None:
    """None makes anything but a `StateError`; afterwards, another object works."""
    proxy = Proxy(shared_server.port)
    config = RedisStateConfig(
        namespace="odd", url=proxy.url, command_timeout=0.03, connect_timeout=0.03
    )
    store = RedisStateStore(config)
    calls: list[Callable[[], object]] = [
        lambda: store.get_many([b"a", b"b"]),
        lambda: next(store.scan(b""), None),
        lambda: store.commit([Change(b"a", b"1")], {b"b": None}, fence=0),
        lambda: store.own("host", 1),
    ]
    with suppress(StateError):
        store.get_many([])
    proxy.answer = lambda data: answer
    for call in calls:
        with suppress(StateError):
            call()
    store.close()
    proxy.close()


def test_an_answer_that_nobody_asked_for_is_no_answer(
    clean_server: RedisServer, proxy_of: Callable[[RedisServer], Proxy], open_store: OpenStore
) -> None:
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url)
    store.commit([Change(b"a", b"1")])
    forged = encoded([b"done", b"9" * 16, b"1", b"1:forged"])

    def twice(data: bytes) -> bytes:
        proxy.answer = lambda later: later
        return data + forged

    proxy.answer = twice
    assert store.get_many([b"a"])[b"a"].value == b"1"
    assert store.get_many([b"a"])[b"a"].value == b"1"
