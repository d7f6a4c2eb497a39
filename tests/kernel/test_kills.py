"""An engine that is killed, at any boundary, finds and writes exactly what another one does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import forked_work
import pytest

from kestrel_framework._builtin import sqlite_state
from kestrel_framework.config import StateConfig
from kill_runs import Death, Keeping, alerts_of, beside, killed, run, runs_with_kills, stream
from kill_runs import undisturbed as run_undisturbed

SQLITE: Final = Keeping(
    lambda folder: StateConfig(directory=folder / "state"),
    ((sqlite_state.SqliteStateStore, "commit"), (sqlite_state, "_apply")),
)


def test_a_killed_engine_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    tally = runs_with_kills(SQLITE, tmp_path, seed=1, runs=6)
    assert tally.kills >= 6
    assert tally.differences == 0


@pytest.mark.parametrize("write", [1, 2, 3, 5, 8])
def test_a_line_that_was_cut_off_is_written_again(tmp_path: Path, write: int) -> None:
    undisturbed = tmp_path / "undisturbed"
    run_undisturbed(SQLITE, undisturbed, stream(0))
    folder = beside(undisturbed, "killed")
    assert killed(SQLITE, folder, Death(amid=write))
    assert not alerts_of(folder).endswith(b"\n")
    forked_work.in_child(lambda: run(SQLITE, folder, Death()))
    assert alerts_of(folder) == alerts_of(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_hundreds_of_kills_make_no_difference(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = runs_with_kills(SQLITE, tmp_path, seed, runs=40)
    with capsys.disabled():
        print(f"\nSQLite, seed {seed}: {tally}")
    assert tally.kills >= 40
    assert tally.differences == 0
