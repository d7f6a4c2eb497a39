"""One owner at a time, whatever happens to the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from redis_servers import PATIENCE_SECONDS, Proxy, RedisServer, wait_until

from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change
from kestrel_redis_state import Lease, RedisStateStore

OpenStore = Callable[..., RedisStateStore]
Owning = Callable[..., "subprocess.Popen[str]"]

# Acquires, and writes until it is told that it may not.
OWNER = """
import sys
from kestrel_framework.errors import StateConflict
from kestrel_framework.interfaces import Change
from kestrel_redis_state import RedisStateConfig, RedisStateStore

store = RedisStateStore(RedisStateConfig(url=sys.argv[1], namespace="test"))
lease = store.own(sys.argv[2], float(sys.argv[3]))
print(lease.fence, flush=True)
number = 0
while True:
    number += 1
    try:
        store.commit([Change(b"owner", b"child"), Change(b"%d" % number, b"")], fence=lease.fence)
    except StateConflict:
        break
try:
    lease.renew()
except StateConflict:
    print("over", flush=True)
"""


@pytest.fixture
def owning(clean_server: RedisServer) -> Iterator[Owning]:
    """Starts processes that own the store."""
    children = []

    def start(owner: str, seconds: float) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", OWNER, clean_server.url, owner, str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def acquired(store: RedisStateStore, owner: str) -> Lease:
    """Acquire as soon as it is possible."""
    leases: list[Lease] = []

    def attempt() -> bool:
        try:
            leases.append(store.own(owner, 30))
        except StateConflict:
            return False
        return True

    wait_until(attempt)
    return leases[0]


def fence_of(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())


def test_an_owner_that_was_stopped_can_commit_nothing_when_it_wakes_up(
    clean_server: RedisServer, open_store: OpenStore, owning: Owning
) -> None:
    store = open_store(clean_server.url)
    child = owning("child", 0.3)
    fence = fence_of(child)
    wait_until(lambda: bool(store.get_many([b"owner"])))
    child.send_signal(signal.SIGSTOP)
    lease = acquired(store, "parent")
    assert lease.fence > fence
    # What the child had sent was carried out by now; what it sends later is refused.
    store.commit([Change(b"owner", b"parent")], fence=lease.fence)
    before = dict(store.scan(b""))
    child.send_signal(signal.SIGCONT)
    output, _ = child.communicate(timeout=PATIENCE_SECONDS)
    assert output == "over\n"
    assert dict(store.scan(b"")) == before
    lease.renew()
    lease.release()


def test_the_lease_of_a_killed_owner_runs_out(
    clean_server: RedisServer, open_store: OpenStore, owning: Owning
) -> None:
    store = open_store(clean_server.url)
    child = owning("child", 0.5)
    fence = fence_of(child)
    with pytest.raises(StateConflict, match="`child` has it"):
        store.own("parent", 30)
    child.kill()
    child.wait()
    lease = acquired(store, "parent")
    assert lease.fence > fence
    store.commit([Change(b"owner", b"parent")], fence=lease.fence)
    lease.release()


def test_an_owner_that_starts_again_fences_its_former_self_off(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    first = store.own("host", 30)
    second = store.own("host", 30)
    assert second.fence > first.fence
    with pytest.raises(StateConflict):
        store.commit([Change(b"a", b"1")], fence=first.fence)
    with pytest.raises(StateConflict):
        first.renew()
    assert first.seconds_left == 0
    first.release()  # is nothing of the second one's
    second.renew()
    assert 0 < second.seconds_left <= 30
    store.commit([Change(b"a", b"1")], fence=second.fence)


def test_a_released_store_is_free_at_once(clean_server: RedisServer, open_store: OpenStore) -> None:
    store, other = open_store(clean_server.url), open_store(clean_server.url)
    first = store.own("first", 3600)
    with pytest.raises(StateConflict):
        other.own("second", 1)
    first.release()
    first.release()
    second = other.own("second", 3600)
    assert second.fence > first.fence
    with pytest.raises(StateConflict):
        first.renew()
    with pytest.raises(StateConflict):
        store.commit([], fence=first.fence)


def test_a_lease_that_ran_out_can_be_renewed_while_nobody_took_it(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    lease = store.own("host", 0.001)
    wait_until(lambda: lease.seconds_left == 0)
    lease.renew()
    store.commit([Change(b"a", b"1")], fence=lease.fence)


def test_a_clock_that_was_set_back_makes_nobody_wait_for_long(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    former = store.own("former", 0.2)
    with clean_server.client() as client:
        until = int(client.hget("kestrel:{test}:control", "owned until") or 0)
        client.hset("kestrel:{test}:control", "owned until", until + 3_600_000_000)
    assert acquired(open_store(clean_server.url), "next").fence > former.fence


def test_the_name_of_an_owner_cannot_disturb_a_terminal(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    lease = store.own("host", 30)
    with clean_server.client() as client:
        client.hset("kestrel:{test}:control", "owner", b"a\n\x1b[31m\xff" + bytes(1000))
    for call in (lambda: store.own("other", 30), lease.renew):
        with pytest.raises(StateConflict) as raised:
            call()
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 600


def test_fences_grow_over_those_of_commits(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    store.commit([], fence=41)
    assert store.own("host", 30).fence == 42


def test_a_lease_outlives_an_outage(
    clean_server: RedisServer, proxy_of: Callable[[RedisServer], Proxy], open_store: OpenStore
) -> None:
    proxy = proxy_of(clean_server)
    lease = open_store(proxy.url).own("host", 30)
    proxy.cut()
    lease.renew()
    proxy.answer = lambda data: b""
    with pytest.raises(StateError) as raised:
        lease.renew()
    assert raised.value.transient
    proxy.answer = lambda data: data
    lease.renew()
    lease.release()


@pytest.mark.parametrize(
    ("owner", "seconds"), [("", 1), ("x" * 257, 1), ("x", 0), ("x", -1), ("x", 86_401)]
)
def test_what_is_no_lease_is_refused(open_store: OpenStore, owner: str, seconds: float) -> None:
    with pytest.raises(StateError):
        open_store("redis://127.0.0.1:1/0").own(owner, seconds)


def test_a_damaged_fence_is_refused(clean_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(clean_server.url)
    store.commit([Change(b"a", b"1")], fence=1)
    with clean_server.client() as client:
        client.hset("kestrel:{test}:control", "fence", "many")
    for call in (
        lambda: store.own("host", 30),
        lambda: store.commit([Change(b"a", b"2")], fence=2),
    ):
        with pytest.raises(StateError, match="does not fit"):
            call()
    with clean_server.client() as client:
        stored = client.hget("kestrel:{test}:values", "a")
    assert isinstance(stored, bytes)
    assert stored.endswith(b":1")


def test_a_forked_process_does_not_use_its_parents_connection(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    lease = store.own("host", 30)
    watch = store.watch(b"")
    watch.next(2)
    with clean_server.client() as client:
        before = int(client.info("stats")["total_connections_received"])
        child = os.fork()
        if child == 0:
            try:
                lease.renew()
                watch.next(0.01)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        lease.renew()
        watch.next(0.01)
        assert int(client.info("stats")["total_connections_received"]) == before + 2
    watch.close()
