"""The runner itself, on small corpora of its own: what it runs, and that its table is honest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from conformance_runner.case_files import Case, CaseMode, Suite, read_case_file
from conformance_runner.corpus import find_corpus
from conformance_runner.events_choice import MissingData, events_of

FOLDER = Path(__file__).parent
EVENTS = [
    {"event_type": "process", "timestamp": 116444736010000000 + number * 10_000_000,
     "serial_event_id": number, "process_name": name, "user_name": user}
    for number, (name, user) in enumerate(
        [("sh", "ann"), ("SH", "bob"), ("curl", "ann"), ("wget", "bob")], start=1
    )
]  # fmt: skip
SAMPLES = [
    {"event_type": "login", "id": 1, "host": "a", "uptime": 5},
    {"event_type": "logout", "id": 2, "host": "a"},
    {"event_type": "logout", "id": 3, "host": "a"},
]

ELASTICSEARCH = """
[[queries]]
name = "equal"
query = 'process where process_name == "sh"'
expected_event_ids = [1]

[[queries]]
name = "date"
query = 'process where @timestamp > "1970-01-01T00:00:03Z" | head 5'
size = 1
expected_event_ids = [3]

[[queries]]
name = "pair"
query = 'sequence by user_name with maxspan=1m [process where true] [process where true]'
expected_event_ids = [1, 3, 2, 4]
join_keys = ["ann", "bob"]

[[queries]]
name = "missing"
query = 'sequence with maxspan=1m [process where process_name == "wget"] ![any where false]'
expected_event_ids = [4, -1]
"""
ENDGAME = """
[[queries]]
note = "either way"
query = 'process where user_name = "bob" and serial_event_id > 2'
expected_event_ids = [4]

[[queries]]
case_sensitive = true
query = 'process where process_name = "sh"'
expected_event_ids = [1]

[[queries]]
case_insensitive = true
query = 'process where process_name = "sh"'
expected_event_ids = [1, 2]
"""
SAMPLE = """
[[queries]]
name = "either logout"
query = 'sample by host [login where uptime > 1] [logout where true]'
expected_event_ids = [[1, 2], [1, 3]]
join_keys = ["a"]
"""


def write(path: Path, content: str | Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus that is laid out as the public one; all of its cases pass."""
    root = tmp_path / "corpus"
    write(root / "eql/elasticsearch/data/test_data.json", EVENTS)
    for number in (1, 2, 3):
        write(root / f"eql/elasticsearch/data/sample{number}.json", SAMPLES if number == 1 else [])
    write(root / "eql/elasticsearch/test_queries.toml", ELASTICSEARCH)
    write(root / "eql/elasticsearch/test_sample.toml", SAMPLE)
    write(root / "eql/endgame/test_data.json", EVENTS)
    write(root / "eql/endgame/test_queries.toml", ENDGAME)
    return root


@attrs.frozen
class Run:
    """What a run of the conformance tests printed, and how it ended."""

    code: int
    text: str

    @property
    def table(self) -> dict[str, tuple[int, ...]]:
        """Cases, passed, failed and not run, of each file and of all."""
        rows = re.findall(r"^(\S+)  +(\d+)  +(\d+)  +(\d+)  +(\d+)$", self.text, re.MULTILINE)
        return {name: tuple(map(int, numbers)) for name, *numbers in rows}


def run(*arguments: object, environment: Path | None = None) -> Run:
    variables = {name: value for name, value in os.environ.items() if name != "KESTREL_CORPUS"}
    if environment is not None:
        variables["KESTREL_CORPUS"] = str(environment)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no",
         str(FOLDER / "test_cases.py"), *map(str, arguments)],
        cwd=FOLDER.parents[1], env=variables, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    return Run(done.returncode, done.stdout + done.stderr)


ALL = {
    "elasticsearch/test_queries.toml": (4, 4, 0, 0),
    "elasticsearch/test_sample.toml": (1, 1, 0, 0),
    "endgame/test_queries.toml": (3, 3, 0, 0),
    "all": (8, 8, 0, 0),
}


def test_a_corpus_that_passes(corpus: Path) -> None:
    done = run("--corpus", corpus)
    assert done.table == ALL, done.text
    assert done.code == 0
    assert "18 passed" in done.text  # 5 of elastic, and 2 + 1 + 1 of endgame; each searched twice


def test_a_corpus_a_suite_or_a_file(corpus: Path, tmp_path: Path) -> None:
    def labels(given: Path | None, environment: Path) -> list[str]:
        return [file.label for file in find_corpus(given, str(environment)).files]

    everything = [name for name in ALL if name != "all"]
    assert labels(None, corpus) == labels(corpus, tmp_path) == everything
    assert labels(corpus / "eql", tmp_path) == everything
    assert labels(corpus / "eql/endgame", tmp_path) == everything[-1:]
    assert labels(corpus / "eql/endgame/test_queries.toml", tmp_path) == everything[-1:]


def test_a_file_whose_events_lie_in_the_corpus_of_the_environment(
    corpus: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "more/rest.toml", ENDGAME)
    done = run(f"--corpus={file}", environment=corpus)
    assert done.table == {"more/rest.toml": (3, 3, 0, 0), "all": (3, 3, 0, 0)}, done.text
    assert done.code == 0


def test_what_fails_is_in_the_table(corpus: Path) -> None:
    write(
        corpus / "eql/elasticsearch/test_queries.toml",
        ELASTICSEARCH
        + """
[[queries]]
name = "wrong ids"
query = 'process where process_name == "sh"'
expected_event_ids = [2]

[[queries]]
name = "wrong keys"
query = 'sequence by user_name with maxspan=1m [process where true] [process where true]'
expected_event_ids = [1, 3, 2, 4]
join_keys = ["bob", "ann"]

[[queries]]
name = "no EQL"
query = 'process wher true'
expected_event_ids = []

[[queries]]
name = "unknown field"
query = 'process where proces_name == "sh"'
expected_event_ids = []

[[queries]]
name = "odd key"
query = 'process where false'
expected_event_ids = []
order = "any"
""",
    )
    write(
        corpus / "eql/endgame/test_queries.toml",
        ENDGAME.replace("expected_event_ids = [4]", "expected_event_ids = [4, 5]"),
    )
    write(corpus / "eql/endgame/broken.toml", "[[queries]\n")
    write(corpus / "eql/endgame/other.toml", "[rule]\nname = 1\n")
    done = run("--corpus", corpus)
    assert done.code == 1
    assert done.table["elasticsearch/test_queries.toml"] == (9, 4, 5, 0), done.text
    assert done.table["endgame/test_queries.toml"] == (3, 2, 1, 0)
    assert done.table["endgame/broken.toml"] == (1, 0, 1, 0)
    assert done.table["endgame/other.toml"] == (1, 0, 1, 0)
    assert done.table["all"] == (15, 7, 8, 0)
    for name in ("wrong ids", "wrong keys", "no EQL", "unknown field", "odd key"):
        assert f"failed: elasticsearch/test_queries.toml: {name} (library, command)" in done.text
    assert "unknown key `order` in a case of elasticsearch" in done.text
    assert "(library sensitive, library insensitive, command" in done.text


def test_what_was_not_run_did_not_pass(corpus: Path) -> None:
    done = run("--corpus", corpus, "-k", "equal or sample")
    assert done.table["elasticsearch/test_queries.toml"] == (4, 1, 0, 3), done.text
    assert done.table["endgame/test_queries.toml"] == (3, 0, 0, 3)


def test_what_is_not_there_is_skipped_with_a_reason(tmp_path: Path) -> None:
    absent = run("--corpus", tmp_path / "absent", environment=tmp_path)
    assert absent.code == 0
    assert f"--corpus names {tmp_path / 'absent'}, which is not there" in absent.text
    assert "2 skipped" in absent.text
    unset = run()
    assert "neither --corpus nor the environment variable KESTREL_CORPUS says" in unset.text
    assert "2 skipped" in unset.text
    empty = run(environment=tmp_path)
    assert f"KESTREL_CORPUS names {tmp_path}, in which there is no file of cases" in empty.text
    assert "2 skipped" in empty.text


def test_a_path_without_cases_is_an_error(tmp_path: Path) -> None:
    done = run("--corpus", tmp_path)
    assert done.code not in (0, 5)
    assert f"--corpus names {tmp_path}, in which there is no file of cases" in done.text
    other = write(tmp_path / "cases.json", "[]")
    with pytest.raises(ValueError, match="files of cases are called"):
        find_corpus(other, None)


# --- reading ----------------------------------------------------------------


def case_of(tmp_path: Path, text: str, suite: Suite = Suite.ELASTICSEARCH) -> Case:
    file = read_case_file(write(tmp_path / suite.value / "f.toml", f"[[queries]]\n{text}"))
    assert file.suite is suite
    (case,) = file.cases
    return case


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("expected_event_ids = []", "`query` is not a text"),
        ("query = 'a'", "`expected_event_ids` is not a list"),
        ("query = 'a'\nexpected_event_ids = ['1']", "something else than whole numbers"),
        ("query = 'a'\nexpected_event_ids = [[1], 2]", "something else than whole numbers"),
        ("query = 'a'\nexpected_event_ids = [true]", "something else than whole numbers"),
        ("query = 'a'\nexpected_event_ids = []\njoin_keys = [1]", "not a list of texts"),
        ("query = 'a'\nexpected_event_ids = []\nsize = -1", "`size` is not a whole number from 0"),
        ("query = 'a'\nexpected_event_ids = []\nsize = '1'", "`size` is not a whole number"),
        ("query = 'a'\nexpected_event_ids = []\nmax_samples_per_key = 0", "number from 1"),
        ("query = 'a'\nexpected_event_ids = []\ncase_sensitive = true", "unknown key"),
    ],
)
def test_a_case_that_is_not_understood_fails(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in case_of(tmp_path, text).problem


def test_the_modes_of_a_case(tmp_path: Path) -> None:
    both = (CaseMode.SENSITIVE, CaseMode.INSENSITIVE)
    for flags, modes in [
        ("", both),
        ("case_sensitive = true", both[:1]),
        ("case_insensitive = true", both[1:]),
        ("case_sensitive = true\ncase_insensitive = true", both),
        ("case_sensitive = false", both),
    ]:
        text = f"query = 'a'\nexpected_event_ids = []\n{flags}"
        assert case_of(tmp_path, text, Suite.ENDGAME).modes == modes
    odd = "query = 'a'\nexpected_event_ids = []\ncase_sensitive = 1"
    assert "is not true or false" in case_of(tmp_path, odd, Suite.ENDGAME).problem


def test_names_do_not_depend_on_the_position(tmp_path: Path) -> None:
    one = "[[queries]]\nquery = 'a'\nexpected_event_ids = []\n"
    other = "[[queries]]\nquery = 'b'\nexpected_event_ids = []\n"
    first = read_case_file(write(tmp_path / "endgame/first.toml", one + other + one)).cases
    second = read_case_file(write(tmp_path / "endgame/second.toml", other + one)).cases
    assert [case.name for case in second] == [first[1].name, first[0].name]
    assert first[2].name == f"{first[0].name}#2"


# --- which suite, which events ----------------------------------------------


def test_the_suite_of_a_file_in_an_unknown_folder(tmp_path: Path) -> None:
    assert read_case_file(write(tmp_path / "a/x.toml", ELASTICSEARCH)).suite is Suite.ELASTICSEARCH
    assert read_case_file(write(tmp_path / "a/y.toml", ENDGAME)).suite is Suite.ENDGAME
    write(tmp_path / "b/test_data.json", EVENTS)
    named = ENDGAME.replace("[[queries]]", "[[queries]]\nname = 'n'")
    assert read_case_file(write(tmp_path / "b/z.toml", named)).suite is Suite.ENDGAME
    write(tmp_path / "c/data/extra.json", [])
    nameless = SAMPLE.replace('name = "either logout"', "")
    assert read_case_file(write(tmp_path / "c/z.toml", nameless)).suite is Suite.ELASTICSEARCH


def data_files_of(path: Path, environment: Path) -> tuple[str, ...]:
    found = find_corpus(path, str(environment))
    (file,) = found.files
    return events_of(file, found.data_folders(file)).data_set.files


def test_the_events_of_a_file(corpus: Path, tmp_path: Path) -> None:
    samples = ("sample1.json", "sample2.json", "sample3.json")
    rest = write(tmp_path / "held/test_sample_rest.toml", SAMPLE)
    assert data_files_of(rest, corpus) == samples
    assert data_files_of(write(tmp_path / "held/unheard-of.toml", SAMPLE), corpus) == samples
    plain = write(tmp_path / "held/unknown.toml", ELASTICSEARCH)
    assert data_files_of(plain, corpus) == ("test_data.json",)
    extra = write(tmp_path / "held/test_extra.toml", SAMPLE)
    with pytest.raises(MissingData, match=r"extra\.json: lies in none of"):
        data_files_of(extra, corpus)


def test_events_beside_the_cases_come_first(corpus: Path, tmp_path: Path) -> None:
    write(tmp_path / "held/data/test_data.json", EVENTS[:2])
    path = write(tmp_path / "held/test_queries.toml", ELASTICSEARCH)
    found = find_corpus(path, str(corpus))
    (file,) = found.files
    assert len(events_of(file, found.data_folders(file)).documents) == 2
