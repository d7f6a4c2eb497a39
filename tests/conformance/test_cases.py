"""Each case of the corpus: the right events, in the right order."""

from __future__ import annotations

import pytest

from conformance_runner.case_files import CaseRun
from conformance_runner.corpus import Corpus
from conformance_runner.data_sets import Events
from conformance_runner.events_choice import MissingData, events_of
from conformance_runner.searches import QueryCommand, problem_with, search_library


def events_for(run: CaseRun, corpus: Corpus) -> Events:
    """Return what the case is searched in; without it, the case fails."""
    if run.case.problem:
        pytest.fail(run.case.problem, pytrace=False)
    try:
        return events_of(run.file, corpus.data_folders(run.file))
    except MissingData as missing:
        pytest.fail(str(missing), pytrace=False)


def test_library(case_run: CaseRun, corpus: Corpus) -> None:
    events = events_for(case_run, corpus)
    answer = search_library(case_run.case, case_run.mode, case_run.file.suite, events)
    problem = problem_with(answer, case_run.case)
    assert not problem, problem


def test_command(case_run: CaseRun, corpus: Corpus, query_command: QueryCommand) -> None:
    """`kestrel query` finds the same."""
    events = events_for(case_run, corpus)
    answer = query_command.search(case_run.case, case_run.mode, case_run.file.suite, events)
    problem = problem_with(answer, case_run.case)
    assert not problem, problem
