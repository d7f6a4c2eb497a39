"""What the conformance tests are: one for each case, mode, and way to search; and their table."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from conformance_runner.case_files import CaseRun
from conformance_runner.corpus import OPTION, VARIABLE, Corpus, find_corpus
from conformance_runner.searches import QueryCommand
from conformance_runner.table import Tally

_CORPUS: Final = pytest.StashKey[Corpus]()
_TALLY: Final = Tally()
_PROPERTY: Final = "conformance"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `case_run` every case."""
    if "case_run" not in metafunc.fixturenames:
        return
    corpus = _corpus_of(metafunc.config)
    if not corpus.files:
        skip = pytest.mark.skip(reason=corpus.reason)
        metafunc.parametrize("case_run", [pytest.param(None, marks=skip, id="no cases")])
        return
    runs = [
        CaseRun(file, case, mode)
        for file in corpus.files
        for case in file.cases
        for mode in case.modes
    ]
    metafunc.parametrize("case_run", runs, ids=_name)


def _name(run: CaseRun) -> str:
    return ":".join(filter(None, (run.file.label, run.case.name, run.mode.value)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note in each report which case it is about."""
    report = yield
    run = item.callspec.params.get("case_run") if hasattr(item, "callspec") else None
    if isinstance(run, CaseRun) and isinstance(item, pytest.Function):
        test = f"{item.originalname.removeprefix('test_')} {run.mode.value}".strip()
        report.user_properties.append((_PROPERTY, (run.file.label, run.case.name, test)))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count how each test of a case ended."""
    for name, value in report.user_properties:
        if name == _PROPERTY and (report.when == "call" or report.failed):
            assert isinstance(value, tuple)
            file, case, test = value
            _TALLY.note(file, case, test, passed=report.passed)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table of the cases, if any was run."""
    if _TALLY.is_empty:
        return
    terminalreporter.section("conformance")
    for line in _TALLY.lines(_corpus_of(config).files):
        terminalreporter.line(line)


def _corpus_of(config: pytest.Config) -> Corpus:
    """Return the cases of this run."""
    if _CORPUS not in config.stash:
        given = config.getoption(OPTION)
        try:
            found = find_corpus(given and Path(given).expanduser(), os.environ.get(VARIABLE))
        except ValueError as error:
            pytest.fail(str(error), pytrace=False)
        config.stash[_CORPUS] = found
    return config.stash[_CORPUS]


@pytest.fixture(scope="session")
def corpus(pytestconfig: pytest.Config) -> Corpus:
    return _corpus_of(pytestconfig)


@pytest.fixture(scope="session")
def query_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryCommand]:
    command = QueryCommand(tmp_path_factory.mktemp("query"))
    yield command
    command.close()
