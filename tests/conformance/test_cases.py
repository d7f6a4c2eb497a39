"""Each case of the corpus: the right events, in the right order."""

from __future__ import annotations

import pytest

from conformance_runner.case_files import CaseRun
from conformance_runner.corpus import Corpus
from conformance_runner.data_sets import Events
from conformance_runner.events_choice import MissingData, events_of
from conformance_runner.searches import QueryCommand, problem_with, search_library


@pytest.fixture
def events(case_run: CaseRun, corpus: Corpus) -> Events:
    """What the case is searched in; without it, the case fails."""
    if case_run.case.problem:
        pytest.fail(case_run.case.problem, pytrace=False)
    try:
        return events_of(case_run.file, corpus.data_folders(case_run.file))
    except MissingData as missing:
        pytest.fail(str(missing), pytrace=False)


def test_library(case_run: CaseRun, events: Events) -> None:
    answer = search_library(case_run.case, case_run.mode, case_run.file.suite, events)
    problem = problem_with(answer, case_run.case)
    assert not problem, problem


def test_command(case_run: CaseRun, events: Events, query_command: QueryCommand) -> None:
    """`kestrel query` finds the same."""
    answer = query_command.search(case_run.case, case_run.mode, case_run.file.suite, events)
    problem = problem_with(answer, case_run.case)
    assert not problem, problem
