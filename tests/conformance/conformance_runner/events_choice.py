"""Which events the cases of a file are searched in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conformance_runner.case_files import Case, CaseFile, CaseMode, Suite
from conformance_runner.data_sets import (
    ENDGAME,
    EXTRA,
    MISSING_EVENTS,
    SAMPLE,
    SAMPLE_MULTI,
    TEST_DATA,
    DataSet,
    Events,
    load,
)
from conformance_runner.searches import MISSING, compiled
from kestrel_framework.errors import RuleError
from kestrel_framework.rule import ANY_EVENT

_BY_FILE_NAME: Final[Sequence[tuple[str, DataSet]]] = (
    ("sample_multi", SAMPLE_MULTI),
    ("sample", SAMPLE),
    ("missing_events", MISSING_EVENTS),
    ("extra", EXTRA),
    ("test_queries", TEST_DATA),
)
"""Which events a file's cases need, by a part of its name."""
_OF_ELASTICSEARCH: Final = (TEST_DATA, EXTRA, MISSING_EVENTS, SAMPLE, SAMPLE_MULTI)


class MissingData(Exception):  # noqa: N818 - a case says so, and fails
    """The events of a file of cases lie nowhere."""


def events_of(file: CaseFile, folders: Sequence[Path]) -> Events:
    """Return the events that the cases of a file are searched in.

    The name of the file says which events these are; or else what its cases ask for.

    Args:
        file: The file of cases.
        folders: Where the events may lie; the first place that has them counts.

    Raises:
        MissingData: no folder has them.
    """
    candidates = _data_sets(file)
    places = [
        (folder, data_set) for data_set in candidates for folder in _having(data_set, folders)
    ]
    if not places:
        names = ", or ".join(" and ".join(data_set.files) for data_set in candidates)
        raise MissingData(f"{names}: lies in none of {', '.join(map(str, folders))}")
    loaded = [load(folder, data_set) for folder, data_set in places]
    if len(loaded) == 1:
        return loaded[0]
    return max(loaded, key=lambda events: sum(_fits(case, events) for case in file.cases))


def _data_sets(file: CaseFile) -> Sequence[DataSet]:
    """Return what the events of a file's cases can be."""
    if file.suite is Suite.ENDGAME:
        return (ENDGAME,)
    name = file.path.stem.lower().replace("-", "_")
    for part, data_set in _BY_FILE_NAME:
        if part in name:
            return (data_set,)
    return _OF_ELASTICSEARCH


def _having(data_set: DataSet, folders: Sequence[Path]) -> Sequence[Path]:
    """Return the first folder that has all events of a set, if one does."""
    for folder in folders:
        if all((folder / name).is_file() for name in data_set.files):
            return (folder,)
    return ()


def _fits(case: Case, events: Events) -> bool:
    """Return whether the fields, the categories and the ids of a case are those of the events."""
    try:
        rule = compiled(case, CaseMode.OF_THE_DIALECT, Suite.ELASTICSEARCH, events.schema)
    except (RuleError, ExceptionGroup):
        return False
    types = {name for step in rule.steps for name in step.event_types} - ANY_EVENT
    expected = {number for answer in case.answers for number in answer} - {MISSING}
    return types <= events.categories and expected <= events.ids
