"""The settings of a state store in Redis."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from kestrel_framework.errors import ConfigurationError

LARGEST_COMMIT_BYTES: Final = 64 * 1024 * 1024
_DEFAULT_PORT: Final = 6379
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_TIMEOUT: Final = 3600.0


@attrs.frozen
class Address:
    """Where a server is: a host and a port, or the path of a socket on this host."""

    host: str
    port: int
    socket_path: str
    database: int
    tls: bool

    @property
    def is_local(self) -> bool:
        """Whether nobody outside this host can listen."""
        if self.socket_path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.socket_path:
            return f"unix://{self.socket_path}?db={self.database}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}/{self.database}"


def _seconds(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= _LONGEST_TIMEOUT:
        problem = f"must be more than 0 and at most {_LONGEST_TIMEOUT:.0f} seconds, not {value}"
        raise ConfigurationError(problem, path=attribute.name)


@attrs.frozen(kw_only=True)
class RedisStateConfig:
    """Which Redis server keeps the state, under which namespace, and how to reach it."""

    namespace: str = attrs.field(
        metadata={
            "help": "Whose state it is: letters, digits, `_`, `.` and `-`. Stores with the same "
            "namespace on one server are the same store."
        },
    )
    url: str = attrs.field(
        default="redis://127.0.0.1:6379/0",
        metadata={
            "help": "The server: `redis://HOST:PORT/DB`, `rediss://HOST:PORT/DB` with TLS, or "
            "`unix:///PATH?db=DB`. No password belongs here."
        },
    )
    username: str | None = attrs.field(
        default=None, metadata={"help": "The user of the server's access list, if not `default`."}
    )
    password: str | None = attrs.field(
        default=None,
        repr=False,
        metadata={
            "help": "The password. Better in `password_file`; never on a command line, where "
            "every user of the host can read it.",
            "secret": True,
        },
    )
    password_file: Path | None = attrs.field(
        default=None,
        metadata={
            "help": "A file that holds the password, and that others can neither read nor "
            "write. It is read at each new connection, so that a password can be changed."
        },
    )
    allow_clear_password: bool = attrs.field(
        default=False,
        metadata={
            "help": "Send the password without TLS to another host: anybody between reads it."
        },
    )
    tls_ca_file: Path | None = attrs.field(
        default=None,
        metadata={
            "help": "Certificates that the server's must come from, instead of the system's."
        },
    )
    tls_certificate_file: Path | None = attrs.field(
        default=None, metadata={"help": "The certificate that the client shows to the server."}
    )
    tls_key_file: Path | None = attrs.field(
        default=None, metadata={"help": "The key of the client's certificate."}
    )
    tls_verify: bool = attrs.field(
        default=True,
        metadata={
            "help": "Check the server's certificate and its name. Without it, anybody between "
            "can play the server."
        },
    )
    connect_timeout: float = attrs.field(
        default=5.0,
        validator=_seconds,
        metadata={"help": "Seconds that connecting may take, with TLS and password."},
    )
    command_timeout: float = attrs.field(
        default=5.0,
        validator=_seconds,
        metadata={"help": "Seconds from sending a command to the end of its answer."},
    )
    max_value_bytes: int = attrs.field(
        default=16 * 1024 * 1024,
        metadata={"help": "The largest value that is written or read: at most 64 MiB."},
    )

    def __attrs_post_init__(self) -> None:
        if not _NAMESPACE.fullmatch(self.namespace):
            raise ConfigurationError(
                "must be 1 to 64 letters, digits, `_`, `.` and `-`, beginning with a letter or a "
                f"digit, not {self.namespace[:80]!r}",
                path="namespace",
            )
        if not 1 <= self.max_value_bytes <= LARGEST_COMMIT_BYTES:
            problem = f"must be from 1 to {LARGEST_COMMIT_BYTES}, not {self.max_value_bytes}"
            raise ConfigurationError(problem, path="max_value_bytes")
        address = self.address
        self._check_credentials(address)
        tls_files = (self.tls_ca_file, self.tls_certificate_file, self.tls_key_file)
        if not address.tls and (any(tls_files) or not self.tls_verify):
            raise ConfigurationError(
                "TLS is configured, and not used: write `rediss://` in `url`", path="url"
            )
        if (self.tls_key_file is None) is not (self.tls_certificate_file is None):
            raise ConfigurationError(
                "a certificate and its key go together", path="tls_certificate_file"
            )

    @property
    def address(self) -> Address:
        """Where the server is.

        Raises:
            ConfigurationError: `url` cannot be understood; it is not shown where it could hold
                a password.
        """
        return _address(self.url)

    @property
    def has_password(self) -> bool:
        """Whether there is something to authenticate with."""
        return self.password is not None or self.password_file is not None

    def _check_credentials(self, address: Address) -> None:
        if self.password is not None and self.password_file is not None:
            raise ConfigurationError(
                "give `password` or `password_file`, not both", path="password"
            )
        if self.password == "":
            raise ConfigurationError("is empty", path="password")
        if self.username is not None and not self.has_password:
            raise ConfigurationError("a user needs `password_file` or `password`", path="username")
        if self.has_password and not (address.tls or address.is_local or self.allow_clear_password):
            raise ConfigurationError(
                f"the password would go to {address.host} in clear: use `rediss://` in `url`, or "
                "set `allow_clear_password = true` if nobody can listen",
                path="url",
            )


def _address(url: str) -> Address:
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise ConfigurationError("is no URL of a server", path="url") from error
    if "@" in parts.netloc:
        raise ConfigurationError(
            "has a user or a password in it: they belong in `username` and `password_file`",
            path="url",
        )
    if parts.scheme == "unix":
        database = re.fullmatch(r"(?:db=(\d{1,5}))?", parts.query)
        if parts.netloc or not parts.path.startswith("/") or not database or parts.fragment:
            raise ConfigurationError("write `unix:///PATH?db=DB`", path="url")
        return Address("", 0, unquote(parts.path), int(database[1] or 0), tls=False)
    database = re.fullmatch(r"/?(\d{1,5})?", parts.path)
    if parts.scheme not in ("redis", "rediss") or not host or not database:
        raise ConfigurationError(
            "write `redis://HOST:PORT/DB`, `rediss://HOST:PORT/DB` or `unix:///PATH?db=DB`",
            path="url",
        )
    if parts.query or parts.fragment:
        raise ConfigurationError("options belong in keys of their own, not in the URL", path="url")
    tls = parts.scheme == "rediss"
    return Address(host, _DEFAULT_PORT if port is None else port, "", int(database[1] or 0), tls)
