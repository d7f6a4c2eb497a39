"""What a configuration may say, and what it never shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kestrel_framework.config import typed_section
from kestrel_framework.errors import ConfigurationError, StateError
from kestrel_redis_state import RedisStateConfig
from kestrel_redis_state.password_file import read_password

SECRET = "tr0ub4dor"


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "state.namespace"),
        ({"namespace": ""}, "state.namespace"),
        ({"namespace": "a}b"}, "state.namespace"),
        ({"namespace": "a*"}, "state.namespace"),
        ({"namespace": "é"}, "state.namespace"),
        ({"namespace": "a\n"}, "state.namespace"),
        ({"namespace": "a" * 65}, "state.namespace"),
        ({"url": "http://127.0.0.1/"}, "state.url"),
        ({"url": "redis://"}, "state.url"),
        ({"url": "redis://h:port/"}, "state.url"),
        ({"url": "redis://h:99999/"}, "state.url"),
        ({"url": "redis://h/database"}, "state.url"),
        ({"url": "redis://h/0?ssl_cert_reqs=none"}, "state.url"),
        ({"url": "unix://relative"}, "state.url"),
        ({"url": f"redis://user:{SECRET}@127.0.0.1/0"}, "state.url"),
        ({"url": "redis://192.0.2.1/0", "password": SECRET}, "state.url"),
        ({"url": "redis://localhost.example/0", "password": SECRET}, "state.url"),
        ({"url": "redis://127.0.0.1.example/0", "password_file": "f"}, "state.url"),
        ({"password": SECRET, "password_file": "f"}, "state.password"),
        ({"password": ""}, "state.password"),
        ({"password": 7}, "state.password"),
        ({"username": "u"}, "state.username"),
        ({"tls_ca_file": "ca.pem"}, "state.url"),
        ({"tls_verify": False}, "state.url"),
        ({"url": "rediss://h/", "tls_key_file": "k"}, "state.tls_certificate_file"),
        ({"connect_timeout": 0.0}, "state.connect_timeout"),
        ({"command_timeout": -1.0}, "state.command_timeout"),
        ({"command_timeout": 1e9}, "state.command_timeout"),
        ({"max_value_bytes": 0}, "state.max_value_bytes"),
        ({"max_value_bytes": 2**40}, "state.max_value_bytes"),
        ({"hostname": "h"}, "state.hostname"),
    ],
)
def test_what_is_wrong_is_named(settings: dict[str, Any], path: str) -> None:
    given = settings if settings in ({},) else {"namespace": "n"} | settings
    with pytest.raises(ConfigurationError) as raised:
        typed_section(RedisStateConfig, given, "state")
    assert path in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "text", "local"),
    [
        ("redis://127.0.0.1", "redis://127.0.0.1:6379/0", True),
        ("redis://127.8.9.1:7/3", "redis://127.8.9.1:7/3", True),
        ("redis://[::1]:7/3", "redis://[::1]:7/3", True),
        ("redis://localhost/", "redis://localhost:6379/0", True),
        ("rediss://state.example/1", "rediss://state.example:6379/1", False),
        ("unix:///run/redis.sock?db=4", "unix:///run/redis.sock?db=4", True),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0", True),
    ],
)
def test_addresses_are_understood(url: str, text: str, local: bool) -> None:
    address = RedisStateConfig(namespace="n", url=url).address
    assert str(address) == text
    assert address.is_local is local


def test_a_password_goes_where_nobody_listens() -> None:
    for url in ("redis://127.0.0.1", "redis://[::1]", "unix:///s", "rediss://192.0.2.1"):
        RedisStateConfig(namespace="n", url=url, password=SECRET)
    RedisStateConfig(
        namespace="n", url="redis://192.0.2.1", password=SECRET, allow_clear_password=True
    )


def test_the_password_is_never_shown() -> None:
    config = RedisStateConfig(namespace="n", password=SECRET)
    assert SECRET not in repr(config)
    assert SECRET not in str(config.address)


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("content", [b"pass word", b"pass word\n", b"pass word\r\n"])
def test_a_password_is_one_line(tmp_path: Path, content: bytes) -> None:
    assert read_password(private(tmp_path / "p", content)) == "pass word"


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb", b"\xff", b"x" * 4097, b"x" * 10_000])
def test_what_is_no_password_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(StateError, match=str(tmp_path)):
        read_password(private(tmp_path / "p", content))


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o601, 0o777])
def test_a_password_that_others_can_get_at_is_refused(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "p", b"secret")
    file.chmod(mode)
    with pytest.raises(StateError, match="chmod 600"):
        read_password(file)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "loop", "missing", "."):
        with pytest.raises(StateError):
            read_password(tmp_path / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_link_to_the_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    file = private(tmp_path / "theirs", b"secret")
    os.chown(file, 65534, 65534)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(StateError, match="somebody else"):
        read_password(tmp_path / "link")
