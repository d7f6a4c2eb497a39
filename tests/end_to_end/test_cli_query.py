"""`kestrel query`: its options, inputs and results."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

Write = Callable[[str, str], Path]
NC = 'process where process.name == "nc"'


@pytest.fixture
def odd(write: Write) -> Path:
    """Events that name their time, type and order in their own way, out of order."""
    rows = [
        {
            "when": 3,
            "what": "process",
            "rank": 2,
            "n": 3,
            "v": "1.10.0",
            "d": "02-01-2026",
            "f": None,
        },
        {
            "when": 3,
            "what": "process",
            "rank": 1,
            "n": 2,
            "v": "1.9.0",
            "d": "2026-01-03",
            "f": "x",
        },
        {
            "when": 1,
            "what": "process",
            "rank": 9,
            "n": 1,
            "v": "1.2.0",
            "d": "01-01-2026",
            "f": "NULL",
        },
    ]
    return write("odd.json", json.dumps(rows, indent=2))


ODD = (
    "--timestamp-field", "when", "--timestamp-unit", "s", "--category-field", "what",
    "--tiebreaker-field", "rank", "--format", "json",
)  # fmt: skip


def numbers(done: Any) -> list[list[int | None]]:
    assert done.code == 0, done.err
    return [[event and event.get("n") for event in one["events"]] for one in done.objects]


def test_results_are_objects_with_events_and_join_keys(kestrel: Any, events: Path) -> None:
    done = kestrel("query", "--input", events, "--format", "json", NC)
    assert done.code == 0
    assert [list(one) for one in done.objects] == [["events", "join_keys"]] * 2
    assert done.objects[0]["events"][0]["process"] == {"name": "nc", "pid": 1}
    assert done.objects[0]["join_keys"] == []


def test_the_query_may_stand_anywhere(kestrel: Any, events: Path, write: Write) -> None:
    more = write("more", events.read_text("utf-8"))
    first = kestrel("query", NC, "--input", events, more, "--format", "json")
    between = kestrel("query", "--format", "json", "--input", events, more, NC)
    last = kestrel("query", "--input", events, "--input", more, "--format", "json", "--", NC)
    assert len(first.objects) == 4
    assert first.out == between.out == last.out


@pytest.mark.parametrize("form", ["plain", "gz", "zst", "list", "stdin"])
def test_every_form_of_input(kestrel: Any, events: Path, tmp_path: Path, form: str) -> None:
    text = events.read_text("utf-8")
    path = tmp_path / f"input.{form}"
    match form:
        case "gz":
            path.write_bytes(gzip.compress(text.encode()))
        case "zst":
            path.write_bytes(zstandard.compress(text.encode()))
        case "list":
            path.write_text(json.dumps([json.loads(line) for line in text.splitlines()]), "utf-8")
        case _:
            path.write_text(text, "utf-8")
    if form == "stdin":
        done = kestrel("query", "--input", "-", "--format", "json", NC, input=text)
    else:
        done = kestrel("query", "--input", path, "--format", "json", NC)
    assert len(done.objects) == 2


def test_events_are_sorted_by_time_and_tiebreaker(kestrel: Any, odd: Path) -> None:
    assert numbers(kestrel("query", "--input", odd, *ODD, "process where true")) == [[1], [2], [3]]


def test_a_sequence_has_its_keys_and_null_for_what_did_not_come(kestrel: Any, events: Path) -> None:
    query = (
        'sequence by host.id with maxspan=1m [process where process.name == "nc"]'
        " ![file where true]"
    )
    done = kestrel("query", "--input", events, "--format", "json", query)
    assert done.code == 0, done.err
    assert done.objects[0]["join_keys"] == ["h"]
    assert done.objects[0]["events"][1] is None


def test_size_is_ten_unless_said(kestrel: Any, events: Path, write: Write) -> None:
    many = write("many", events.read_text("utf-8") * 10)
    assert len(kestrel("query", "--input", many, "--format", "json", NC).objects) == 10
    three = kestrel("query", "--size", "3", "--input", many, "--format", "json", NC)
    assert len(three.objects) == 3
    assert kestrel("query", "--size", "-1", "--input", many, NC).code == 2


def test_samples_per_key(kestrel: Any, events: Path) -> None:
    query = 'sample by host.id [process where process.name == "nc"] [process where true]'
    options = ("--input", events, "--format", "json")
    assert len(kestrel("query", *options, query).objects) == 1
    assert len(kestrel("query", *options, "--max-samples-per-key", "2", query).objects) == 2


def test_keys_are_printed_as_rules_write_them(kestrel: Any, write: Write) -> None:
    path = write("e", '{"b": true, "n": 1.5}\n{"b": true, "n": 1.5}\n')
    done = kestrel("query", "--input", path, "sample by b, ?no, n [any where true] [any where b]")
    assert done.out.startswith("#1  by true, null, 1.5\n")


class TestCase:
    @pytest.mark.parametrize(
        ("options", "found"),
        [
            ([], 0),
            (["--case-sensitive"], 0),
            (["--case-insensitive"], 2),
            (["--dialect", "endgame"], 2),
            (["--dialect", "endgame", "--case-sensitive"], 0),
        ],
    )
    def test_who_decides(self, kestrel: Any, events: Path, options: list[str], found: int) -> None:
        query = 'process where process.name == "NC"'
        done = kestrel("query", *options, "--input", events, "--format", "json", query)
        assert len(done.objects) == found


class TestFields:
    def test_documents_are_cut_down(self, kestrel: Any, events: Path) -> None:
        done = kestrel(
            "query", "--fields", "process.name, host", "--input", events, "--format", "json", NC
        )
        assert done.objects[0]["events"] == [{"process": {"name": "nc"}, "host": {"id": "h"}}]

    def test_lists_of_objects_keep_their_shape(self, kestrel: Any, write: Write) -> None:
        row = {"a": [{"b": 1, "c": 2}, {"b": [3, 4]}, {"c": 5}], "n": None, "d.e": 1}
        path = write("e", json.dumps(row))
        done = kestrel(
            "query",
            "--fields",
            "a.b,n,d.e,x",
            "--input",
            path,
            "--format",
            "json",
            "any where true",
        )
        (document,) = done.objects[0]["events"]
        assert document == {"a": [{"b": 1}, {"b": [3, 4]}, {}], "n": None, "d": {"e": 1}}


class TestSchema:
    SCHEMA = {
        "fields": {
            "v": {"type": "version"},
            "d": {"type": "date", "format": ["dd-MM-yyyy", "yyyy-MM-dd"]},
            "f": {"type": "keyword", "null_value": "NULL"},
            "number": {"type": "alias", "path": "n"},
        }
    }

    @pytest.mark.parametrize(
        ("condition", "found"),
        [
            ('v > "1.5"', [[2], [3]]),
            ('d >= "2026-01-02"', [[2], [3]]),
            ('f == "NULL"', [[1], [3]]),
            ("number == 2", [[2]]),
        ],
    )
    def test_fields_are_what_it_says(
        self, kestrel: Any, odd: Path, write: Write, condition: str, found: list[list[int]]
    ) -> None:
        schema = write("schema.json", json.dumps(self.SCHEMA))
        done = kestrel(
            "query", "--schema", schema, "--input", odd, *ODD, f"process where {condition}"
        )
        assert numbers(done) == found

    def test_the_fields_that_have_a_meaning_may_be_aliases(
        self, kestrel: Any, odd: Path, write: Write
    ) -> None:
        aliases = {"event.sequence": "rank", "event.category": "what", "@timestamp": "when"}
        fields = {name: {"type": "alias", "path": path} for name, path in aliases.items()}
        schema = write("schema.json", json.dumps({"fields": fields}))
        done = kestrel(
            "query", "--schema", schema, "--input", odd, "--timestamp-unit", "s",
            "--tiebreaker-field", "event.sequence", "--format", "json", "process where true",
        )  # fmt: skip
        assert numbers(done) == [[1], [2], [3]]

    def test_fields_may_be_aliases(self, kestrel: Any, odd: Path, write: Write) -> None:
        schema = write("schema.json", json.dumps(self.SCHEMA))
        done = kestrel(
            "query", "--schema", schema, "--fields", "number", "--input", odd, *ODD,
            "process where number == 2",
        )  # fmt: skip
        assert done.objects[0]["events"] == [{"n": 2}]

    def test_dates_among_the_keys(self, kestrel: Any, write: Write) -> None:
        schema = write("schema.json", json.dumps(self.SCHEMA))
        rows = [{"@timestamp": n, "d": d} for n, d in enumerate(["01-02-2026", "2026-02-01"])]
        run = ("query", "--schema", schema, "--input", write("e", json.dumps(rows)))
        steps = "by d [any where true] [any where true]"
        (sequence,) = kestrel(*run, "--format", "json", f"sequence {steps}").objects
        assert sequence["join_keys"] == ["2026-02-01T00:00:00.000Z"]
        (sample,) = kestrel(*run, "--format", "json", f"sample {steps}").objects
        assert sample["join_keys"] == [1_769_904_000_000]

    def test_what_it_does_not_name_keeps_its_type(self, kestrel: Any, write: Write) -> None:
        path = write("e", '{"process": {"pid": "x", "name": 7}}\n')
        query = 'any where process.pid == "x" and process.name == 7'
        assert len(kestrel("query", "--input", path, "--format", "json", query).objects) == 1

    def test_strict_refuses_other_fields(self, kestrel: Any, odd: Path, write: Write) -> None:
        schema = write("schema.json", json.dumps(self.SCHEMA | {"strict": True}))
        done = kestrel("query", "--schema", schema, "--input", odd, *ODD, "process where w == 1")
        assert (done.code, done.out) == (1, "")
        assert "unknown field `w`" in done.err

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("{", "is not valid JSON"),
            ("[]", "expected an object"),
            ('{"field": {}}', "unknown key `field`"),
            ('{"fields": {"a": {"type": "strange"}}}', "fields.a: `type` is one of"),
            ('{"fields": {"a": {"type": "alias"}}}', "an alias has the `path`"),
            ('{"fields": {"a": {"type": "date", "format": 3}}}', "`format` is a text or a list"),
            ('{"fields": {"a": {"type": "alias", "path": "a"}}}', "an alias of itself"),
            ('{"strict": 1}', "strict: expected true or false"),
        ],
    )
    def test_a_bad_schema(
        self, kestrel: Any, events: Path, write: Write, text: str, sentence: str
    ) -> None:
        done = kestrel("query", "--schema", write("s.json", text), "--input", events, NC)
        assert (done.code, done.out) == (2, "")
        assert sentence in done.err


class TestErrors:
    def test_a_bad_query_shows_where(self, kestrel: Any, events: Path) -> None:
        done = kestrel("query", "--input", events, "process where process.name ==")
        assert (done.code, done.out) == (1, "")
        assert "query:1:" in done.err
        assert "^" in done.err

    def test_bad_lines_are_told_and_left_out(
        self, kestrel: Any, write: Write, events: Path
    ) -> None:
        path = write("mixed", "{\n" + events.read_text("utf-8") + "7\n" * 8)
        done = kestrel("query", "--input", path, "--format", "json", NC)
        assert (done.code, len(done.objects)) == (0, 2)
        assert f"{path}:1: " in done.err
        assert "not_an_object: 3 more, 8 in all" in done.err

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [(None, "cannot be read"), ("[1, 2", "begins like a JSON list, and is none")],
    )
    def test_an_input_that_cannot_be_read(
        self, kestrel: Any, tmp_path: Path, content: str | None, sentence: str
    ) -> None:
        if content is not None:
            (tmp_path / "input").write_text(content, "utf-8")
        done = kestrel("query", "--input", "input", "--format", "json", NC)
        assert (done.code, done.out) == (3, "")
        assert sentence in done.err

    def test_a_language_that_is_not_installed(self, kestrel: Any, events: Path) -> None:
        done = kestrel("query", "--language", "sigma", "--input", events, NC)
        assert done.code == 2
        assert "there is no rule language `sigma`" in done.err
        assert "kestrel-sigma" in done.err

    def test_nothing_found_is_fine(self, kestrel: Any, events: Path) -> None:
        done = kestrel("query", "--input", events, "--format", "json", "process where false")
        assert (done.code, done.out) == (0, "")

    def test_a_reader_that_goes_away_ends_it_quietly(
        self, kestrel: Any, write: Write, events: Path
    ) -> None:
        many = write("many", events.read_text("utf-8") * 5_000)
        process = kestrel.start("query", "--size", "10000", "--input", many, "--format", "json", NC)
        assert json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.wait(30) == 0
        assert "Error" not in process.stderr.read()


def test_people_get_text_that_cannot_steer_their_terminal(kestrel: Any, write: Write) -> None:
    path = write("e", json.dumps({"a": "\x1b[31mred", "b": {"c": [1]}}))
    done = kestrel("query", "--input", path, "any where true")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "b.c=[1]" in done.out
