"""Which files of cases there are, and where their events lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from conformance_runner.case_files import CaseFile, Suite, read_case_file

VARIABLE: Final = "KESTREL_CORPUS"
OPTION: Final = "--corpus"

_NO_CORPUS: Final = (
    f"neither {OPTION} nor the environment variable {VARIABLE} says where the test cases are"
)


@attrs.frozen
class Corpus:
    """The files of cases of a run.

    Attributes:
        files: The files, in order.
        reason: Why there are none, where there are none.
        fallback: The corpus that has the events of cases without any beside them.
    """

    files: tuple[CaseFile, ...] = ()
    reason: str = ""
    fallback: Path | None = None

    def data_folders(self, file: CaseFile) -> Sequence[Path]:
        """Return where a file's events may lie, the nearest place first."""
        places = [file.path.parent]
        if self.fallback is not None:
            places += [folder / file.suite.value for folder in _roots(self.fallback)]
        return [folder for place in places for folder in (place / "data", place)]


def find_corpus(given: Path | None, environment: str | None) -> Corpus:
    """Return the cases at a path.

    The path is a folder with `eql/elasticsearch` and `eql/endgame`, one of these folders, or
    one file.

    Args:
        given: What the command line names.
        environment: What the environment names; used where the command line names nothing.

    Raises:
        ValueError: the command line names something that exists and has no cases.
    """
    fallback = Path(environment) if environment else None
    path = given or fallback
    if path is None:
        return Corpus(reason=_NO_CORPUS)
    source = OPTION if given else VARIABLE
    if not path.exists():
        return Corpus(reason=f"{source} names {path}, which is not there")
    if path.is_file() and path.suffix != ".toml":
        raise ValueError(f"{source} names {path}; files of cases are called *.toml")
    files = [path] if path.is_file() else _files_in(path)
    if not files:
        problem = f"{source} names {path}, in which there is no file of cases (*.toml)"
        if given:
            raise ValueError(problem)
        return Corpus(reason=problem)
    return Corpus(tuple(map(read_case_file, files)), fallback=fallback)


def _files_in(folder: Path) -> list[Path]:
    """Return the case files of a corpus, of its `eql` folder, or of one suite's folder."""
    for root in _roots(folder):
        found = sorted(root.glob("*.toml"))
        for suite in Suite:
            found += sorted((root / suite.value).glob("*.toml"))
        if found:
            return found
    return []


def _roots(folder: Path) -> tuple[Path, Path]:
    return folder / "eql", folder
