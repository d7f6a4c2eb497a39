"""State in SQLite keeps the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kestrel_framework._builtin.sqlite_state import SqliteStateStore
from kestrel_framework.testing import StateStoreContract


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


class TestSqliteStateStore(StateStoreContract):
    is_durable = True

    @pytest.fixture
    def store(self, folder: Path) -> Iterator[SqliteStateStore]:
        store = SqliteStateStore(folder)
        yield store
        store.close()

    @pytest.fixture
    def reopened(self, folder: Path) -> Callable[[], SqliteStateStore]:
        return lambda: SqliteStateStore(folder)
