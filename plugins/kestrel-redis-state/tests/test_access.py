"""Passwords, access lists and TLS, with servers that ask for them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest
from redis_servers import RedisServer

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change
from kestrel_framework.testing import StateStoreContract
from kestrel_redis_state import RedisStateStore

OpenStore = Callable[..., RedisStateStore]
OwnServer = Callable[..., RedisServer]

USER = (
    "user kestrel-edge on >PASSWORD resetkeys ~kestrel:{edge}:* resetchannels -@all "
    "+select +evalsha +eval +xread +type +time +exists +del +hget +hset +hmget "
    "+hlen +hdel +hgetall +zadd +zrem +zcard +zrange +xadd"
)
EDGE = {"namespace": "edge", "username": "kestrel-edge", "password": "PASSWORD"}


def assert_works(store: RedisStateStore) -> None:
    version = store.commit([Change(b"works", b"1")])[b"works"]
    assert store.get_many([b"works"])[b"works"].version == version


# --- users ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restricted_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that knows the user of the README, and nobody else but its operator."""
    server = RedisServer(tmp_path_factory.mktemp("redis") / "restricted", "--appendfsync", "no")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", *USER.split()[1:])
        client.execute_command("ACL", "SETUSER", "operator", "on", ">secret", "~*", "+@all")
        client.execute_command("ACL", "SETUSER", "default", "off")
    yield server
    server.stop()


@pytest.fixture
def emptied(restricted_server: RedisServer) -> RedisServer:
    """The server without data, and without a record of what it refused."""
    with restricted_server.client(username="operator", password="secret") as client:
        client.flushall()
        client.acl_log_reset()
    return restricted_server


class TestRestrictedUser(StateStoreContract):
    is_durable = True
    supports_watch = True
    supports_ownership = True

    @pytest.fixture
    def store(self, emptied: RedisServer, open_store: OpenStore) -> RedisStateStore:
        return open_store(emptied.url, **EDGE)

    @pytest.fixture
    def reopened(
        self, emptied: RedisServer, open_store: OpenStore
    ) -> Callable[[], RedisStateStore]:
        return lambda: open_store(emptied.url, **EDGE)


def test_the_user_of_the_readme_is_the_one_that_is_tested() -> None:
    assert USER in metadata("kestrel-redis-state").json["description"]


def test_nothing_is_asked_for_that_the_user_may_not(
    emptied: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(emptied.url, **EDGE)
    lease = store.own("host", 30)
    store.commit([Change(b"a", b"1"), Change(b"b", None)], {b"a": None}, fence=lease.fence)
    watch = store.watch(b"")
    watch.next(2)
    watch.next(0.01)
    watch.close()
    lease.renew()
    lease.release()
    another = open_store(emptied.url, **EDGE)
    assert_works(another)
    with emptied.client(username="operator", password="secret") as client:
        assert client.acl_log() == []


def test_another_namespace_is_forbidden(emptied: RedisServer, open_store: OpenStore) -> None:
    for namespace in ("other", "edge2", "edg"):
        with pytest.raises(StateError, match="access list") as raised:
            open_store(emptied.url, **EDGE | {"namespace": namespace}).get_many([b"a"])
        assert not raised.value.transient


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"password": "wrong"}, "does not know this user"),
        ({"username": "nobody"}, "does not know this user"),
        ({"username": None}, "set `username`"),
        ({"username": None, "password": None}, "wants a password"),
    ],
)
def test_who_is_not_known_is_told(
    emptied: RedisServer, open_store: OpenStore, settings: dict[str, str | None], said: str
) -> None:
    store = open_store(emptied.url, **EDGE | settings)
    for call in (lambda: store.get_many([b"a"]), lambda: store.watch(b"").next(1)):
        with pytest.raises(StateError, match=said) as raised:
            call()
        assert not raised.value.transient
        assert "wrong" not in str(raised.value)


def test_a_password_that_nobody_asked_for_is_told(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    with pytest.raises(StateError, match="or no password"):
        open_store(clean_server.url, password="secret").get_many([b"a"])


def test_a_changed_password_is_read_again(
    own_server: OwnServer, open_store: OpenStore, tmp_path: Path
) -> None:
    server = own_server("--requirepass", "first")
    file = tmp_path / "password"
    file.write_text("first\n")
    file.chmod(0o600)
    store = open_store(server.url, password_file=file)
    assert_works(store)
    with server.client(password="first") as client:
        client.config_set("requirepass", "second")
        client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(StateError, match="does not know this user"):
        store.get_many([b"a"])
    file.write_text("second\n")
    assert_works(store)


def test_a_socket_on_this_host_works(
    own_server: OwnServer, open_store: OpenStore, tmp_path: Path
) -> None:
    own_server("--unixsocket", str(tmp_path / "socket"))
    assert_works(open_store(f"unix://{tmp_path}/socket?db=2"))
    with pytest.raises(StateError, match="cannot be reached") as raised:
        open_store(f"unix://{tmp_path}/nothing").get_many([b"a"])
    assert raised.value.transient


# --- TLS -------------------------------------------------------------------------------------


def openssl(*arguments: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("`openssl` is not installed")
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `server`, `client` and `named` (for another host), each its own authority."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, host in (
        ("server", "IP:127.0.0.1"),
        ("client", "DNS:client"),
        ("named", "DNS:elsewhere.example"),
    ):
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={host}"),
            *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")),
        )
    return folder


def tls_options(folder: Path, name: str, *, clients: str = "no") -> tuple[str, ...]:
    return (
        *("--tls-cert-file", str(folder / f"{name}.pem")),
        *("--tls-key-file", str(folder / f"{name}.key")),
        *("--tls-ca-cert-file", str(folder / "client.pem"), "--tls-auth-clients", clients),
    )


def test_certificates_are_checked(
    own_server: OwnServer, open_store: OpenStore, certificates: Path
) -> None:
    server = own_server(*tls_options(certificates, "server"), tls=True)
    assert_works(open_store(server.url, tls_ca_file=certificates / "server.pem"))
    for settings in (
        {},
        {"tls_ca_file": certificates / "client.pem"},
        {"tls_ca_file": certificates / "missing.pem"},
    ):
        with pytest.raises(StateError, match="cannot be reached") as raised:
            open_store(server.url, **settings).get_many([b"a"])
        assert not raised.value.transient
    assert_works(open_store(server.url, tls_verify=False))


def test_names_are_checked(
    own_server: OwnServer, open_store: OpenStore, certificates: Path
) -> None:
    server = own_server(*tls_options(certificates, "named"), tls=True)
    with pytest.raises(StateError, match="cannot be reached") as raised:
        open_store(server.url, tls_ca_file=certificates / "named.pem").get_many([b"a"])
    assert not raised.value.transient


def test_the_client_shows_its_certificate(
    own_server: OwnServer, open_store: OpenStore, certificates: Path
) -> None:
    server = own_server(*tls_options(certificates, "server", clients="yes"), tls=True)
    authority = {"tls_ca_file": certificates / "server.pem"}
    assert_works(
        open_store(
            server.url,
            tls_certificate_file=certificates / "client.pem",
            tls_key_file=certificates / "client.key",
            **authority,
        )
    )
    with pytest.raises(StateError):
        open_store(server.url, **authority).get_many([b"a"])


def test_a_server_without_tls_is_no_server(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    url = clean_server.url.replace("redis:", "rediss:")
    with pytest.raises(StateError, match="cannot be reached"):
        open_store(url, connect_timeout=1.0).get_many([b"a"])
