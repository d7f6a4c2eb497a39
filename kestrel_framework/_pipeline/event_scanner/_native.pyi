from collections.abc import Callable
from typing import Generic, TypeVar

_NodeT = TypeVar("_NodeT")
_VerdictT = TypeVar("_VerdictT")

class Step(Generic[_NodeT, _VerdictT]):
    """A node as a scanner knows it: the fields it looks at, or the verdict at the end."""

    fields: tuple[int, ...]
    def __new__(
        cls, node: _NodeT, fields: tuple[int, ...], verdict: _VerdictT = ..., /
    ) -> Step[_NodeT, _VerdictT]: ...
    @property
    def node(self) -> _NodeT: ...

class Scanner(Generic[_NodeT, _VerdictT]):
    """Scans events, one at a time; returns None for what it leaves to others."""

    def __new__(
        cls,
        *,
        levels: tuple[tuple[bool, tuple[tuple[bytes, int, int], ...]], ...],
        root: Step[_NodeT, _VerdictT],
        time_field: int,
        wanted: tuple[int, ...],
        plain: tuple[int, ...],
        absent_value: object,
        absent_states: tuple[object, ...],
        look_up: Callable[[int, bytes], tuple[object, object] | None],
        follow: Callable[[Step[_NodeT, _VerdictT], tuple[object, ...]], Step[_NodeT, _VerdictT]],
        read_time: Callable[[bytes], int | None],
        most_bytes: int,
        seed: int,
    ) -> Scanner[_NodeT, _VerdictT]: ...
    def scan(self, payload: bytes, /) -> tuple[_VerdictT, int, tuple[object, ...]] | None: ...
    def learn(
        self, levels: tuple[tuple[bool, tuple[tuple[bytes, int, int], ...]], ...], /
    ) -> None: ...
