"""`kestrel run`: exit codes, purity of standard output, signals, pipes, bad input."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

Write = Callable[[str, str], Path]


def test_alerts_are_json_lines_and_nothing_else_is_on_stdout(
    kestrel: Any, events: Path, rule: Path
) -> None:
    done = kestrel("run", "--rules", rule, "--input", events, "--format", "json")
    assert done.code == 0
    assert [alert["@timestamp"] for alert in done.objects] == [
        "2026-01-01T00:00:01.000Z",
        "2026-01-01T00:00:03.000Z",
    ]
    assert all(alert["rule"]["id"] == "nc" for alert in done.objects)
    assert "3 events, 2 alerts" in done.err


def test_output_dash_is_standard_output(kestrel: Any, events: Path, rule: Path) -> None:
    one = kestrel("run", "--rules", rule, "--input", events, "--output", "-")
    both = kestrel("run", "--rules", rule, "--input", events, "--output", "-", "--format", "json")
    assert (one.code, both.code) == (0, 0)
    assert len(one.objects) == 2
    assert one.out == both.out


def test_people_get_text(kestrel: Any, events: Path, rule: Path) -> None:
    done = kestrel("run", "--rules", rule, "--input", events)
    assert done.code == 0
    assert "process.name=nc" in done.out
    assert "\x1b" not in done.out


def test_every_kind_of_input_gives_the_same_bytes(
    kestrel: Any, tmp_path: Path, events: Path, rule: Path
) -> None:
    text = events.read_bytes()
    (tmp_path / "e.gz").write_bytes(gzip.compress(text))
    (tmp_path / "e.zst").write_bytes(zstandard.compress(text))
    options = ("--rules", rule, "--set", "engine.batch_size=1", "--format", "json")
    outputs = [
        [(alert["@timestamp"], alert["rule"]) for alert in done.objects]
        for done in (
            kestrel("run", *options, "--input", events),
            kestrel("run", *options, "--input", tmp_path / "e.gz"),
            kestrel("run", *options, "--input", tmp_path / "e.zst"),
            kestrel("run", *options, "--input", "-", input=text.decode()),
        )
    ]
    assert len(outputs[0]) == 2
    assert all(output == outputs[0] for output in outputs)


def test_several_values_may_follow_one_option(
    kestrel: Any, write: Write, events: Path, rule: Path
) -> None:
    other = write("other/sh.eql", 'process where process.name == "sh"')
    more = write("more.ndjson", events.read_text("utf-8").splitlines()[1] + "\n")
    done = kestrel(
        "run", "--rules", rule, other, "--input", events, more, "--format", "json", "--strict"
    )
    again = kestrel(
        "run", "--rules", rule, "--rules", other, "--input", events, "--input", more,
        "--output", "-",
    )  # fmt: skip
    assert [alert["rule"]["id"] for alert in done.objects] == ["nc", "sh", "nc", "sh"]
    assert done.out == again.out


def test_a_sequence_is_found_and_a_file_is_written(
    kestrel: Any, write: Write, events: Path, tmp_path: Path
) -> None:
    rules = write(
        "s.eql",
        "sequence by host.id with maxspan=1m\n"
        '[process where process.name == "sh"]\n[process where process.name == "nc"]\n',
    )
    output = tmp_path / "alerts.ndjson"
    done = kestrel("run", "--rules", rules, "--input", events, "--output", f"jsonl:{output}")
    assert (done.code, done.out) == (0, "")
    (alert,) = map(json.loads, output.read_text("utf-8").splitlines())
    assert alert["kestrel"]["join_keys"] == ["h"]
    assert len(alert["kestrel"]["evidence"]) == 2


def test_statistics_are_one_object(
    kestrel: Any, write: Write, events: Path, rule: Path, tmp_path: Path
) -> None:
    write("rules/bad.eql", "process where")
    stats = tmp_path / "stats.json"
    done = kestrel("run", "--rules", rule.parent, "--input", events, "--stats", stats)
    assert done.code == 0
    statistics = json.loads(stats.read_text("utf-8"))
    assert statistics["events"] == 3
    assert statistics["alerts"] == 2
    assert statistics["alerts_by_rule"] == {"nc": 2}
    assert statistics["rules"] == {"loaded": 1, "rejected": 1}
    assert (statistics["lost"], statistics["errors"]) == (0, 0)
    for name in ("seconds", "events_per_second", "rss_bytes"):
        assert statistics[name] > 0


def test_what_limits_made_it_forget_is_told(kestrel: Any, write: Write, tmp_path: Path) -> None:
    steps = '[process where process.name == "curl"] [process where process.name == "sh"]'
    rule = write("rules/steps.eql", f"sequence by process.args with maxspan=1m {steps}")
    many = {
        "@timestamp": "2026-01-01T00:00:00Z",
        "event": {"category": "process"},
        "process": {"name": "curl", "args": [f"argument {number}" for number in range(300)]},
    }
    events = write("events.ndjson", json.dumps(many))
    done = kestrel("run", "--rules", rule, "--input", events, "--stats", "stats.json")
    assert done.code == 0
    assert "warning: 44 join keys left out: alerts of sequences may be missing" in done.err
    statistics = json.loads((tmp_path / "stats.json").read_text("utf-8"))
    assert statistics["partial_matches"] == {
        "live": 0,
        "ended": {"expired": 256},
        "keys_left_out": 44,
    }


class TestBadRules:
    def test_a_bad_rule_is_told_and_the_others_run(
        self, kestrel: Any, write: Write, events: Path, rule: Path
    ) -> None:
        bad = write("rules/bad.eql", "process where process.name =")
        done = kestrel("run", "--rules", rule.parent, "--input", events, "--format", "json")
        assert done.code == 0
        assert len(done.objects) == 2
        assert f"{bad}:1:" in done.err
        assert "1 rules run" in done.err

    def test_strict_does_not_start(
        self, kestrel: Any, write: Write, events: Path, rule: Path
    ) -> None:
        write("rules/bad.eql", "process where process.name =")
        done = kestrel(
            "run", "--rules", rule.parent, "--input", events, "--format", "json", "--strict"
        )
        assert (done.code, done.out) == (1, "")
        assert "bad.eql:1:" in done.err

    def test_with_no_rule_left_there_is_nothing_to_run(
        self, kestrel: Any, write: Write, events: Path
    ) -> None:
        done = kestrel("run", "--rules", write("bad.eql", "?"), "--input", events)
        assert done.code == 1
        assert "no rule is left to run" in done.err


class TestBadInput:
    def test_bad_lines_are_told_with_their_place_and_the_others_are_read(
        self, kestrel: Any, tmp_path: Path, events: Path, rule: Path
    ) -> None:
        good = events.read_bytes().splitlines()
        lines = [good[0], b"{", b"[1]", b"\xff", b"", b'{"a": 1}', good[2][:30], good[2]]
        (tmp_path / "mixed.ndjson").write_bytes(b"\n".join(lines) + b"\n")
        done = kestrel(
            "run", "--rules", rule, "--input", "mixed.ndjson", "--format", "json",
            "--stats", "stats.json",
        )  # fmt: skip
        assert done.code == 0
        assert len(done.objects) == 2
        for line in (2, 3, 4, 6, 7):
            assert f"mixed.ndjson:{line}: " in done.err
        assert "4 skipped" in done.err
        statistics = json.loads((tmp_path / "stats.json").read_text("utf-8"))
        assert statistics["skipped"] == 4
        assert statistics["events"] == 3

    def test_a_flood_of_bad_lines_does_not_flood_stderr(
        self, kestrel: Any, write: Write, rule: Path
    ) -> None:
        done = kestrel("run", "--rules", rule, "--input", write("bad", "x\n" * 5_000))
        assert done.code == 0
        assert done.err.count("bad:") < 200
        assert "5000 skipped (malformed_json 5000)" in done.err

    def test_an_input_that_is_not_there(self, kestrel: Any, rule: Path) -> None:
        done = kestrel("run", "--rules", rule, "--input", "nowhere", "--format", "json")
        assert (done.code, done.out) == (3, "")
        assert "nowhere: cannot be read" in done.err

    def test_a_damaged_archive_keeps_what_was_read(
        self, kestrel: Any, tmp_path: Path, events: Path, rule: Path
    ) -> None:
        (tmp_path / "cut.gz").write_bytes(gzip.compress(events.read_bytes())[:-4])
        done = kestrel("run", "--rules", rule, "--input", "cut.gz", "--format", "json")
        assert done.code == 3
        assert "cut.gz" in done.err


class TestBadOutput:
    def test_a_full_disk(self, kestrel: Any, events: Path, rule: Path) -> None:
        done = kestrel(
            "run", "--rules", rule, "--input", events, "--output", "jsonl:/dev/full",
            "--set", "engine.close_timeout=0.5",
        )  # fmt: skip
        assert done.code == 3
        assert "/dev/full: cannot be written: no space left on device" in done.err.lower()

    def test_standard_output_on_a_full_disk(self, kestrel: Any, events: Path, rule: Path) -> None:
        with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
            process = kestrel.start(
                "run", "--rules", rule, "--input", events, "--output", "-",
                "--set", "engine.close_timeout=0.5",
                stdout=full,
            )  # fmt: skip
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 3
        assert "no space left" in errors.lower()

    def test_a_folder_that_is_not_there(self, kestrel: Any, events: Path, rule: Path) -> None:
        done = kestrel("run", "--rules", rule, "--input", events, "--output", "jsonl:no/where")
        assert done.code == 3
        assert "no/where: cannot be written" in done.err

    def test_statistics_that_cannot_be_written(
        self, kestrel: Any, events: Path, rule: Path
    ) -> None:
        done = kestrel("run", "--rules", rule, "--input", events, "--stats", "no/where")
        assert done.code == 3

    def test_a_reader_that_goes_away_ends_it_quietly(
        self, kestrel: Any, tmp_path: Path, events: Path, rule: Path
    ) -> None:
        (tmp_path / "many").write_bytes(events.read_bytes() * 20_000)
        process = kestrel.start("run", "--rules", rule, "--input", "many", "--format", "json")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())
        process.stdout.close()
        code, errors = process.wait(30), process.stderr.read()
        assert code == 0, errors
        assert "roken pipe" not in errors


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_what_was_read_is_finished_and_delivered(
        self, kestrel: Any, events: Path, rule: Path, tmp_path: Path, number: signal.Signals
    ) -> None:
        process = kestrel.start(
            "run", "--rules", rule, "--source", "jsonl", "--set", f"sources.jsonl.path={events}",
            "--set", "sources.jsonl.follow=true", "--output", "-", "--stats", "stats.json",
        )  # fmt: skip
        assert json.loads(process.stdout.readline())["rule"]["id"] == "nc"
        process.send_signal(number)
        rest = process.stdout.read()
        assert process.wait(20) == 0
        assert len(rest.splitlines()) == 1
        assert json.loads((tmp_path / "stats.json").read_text("utf-8"))["alerts"] == 2

    def test_a_signal_that_comes_twice_at_once_is_one_request(
        self, kestrel: Any, events: Path, rule: Path, tmp_path: Path
    ) -> None:
        process = kestrel.start(
            "run", "--rules", rule, "--source", "jsonl", "--set", f"sources.jsonl.path={events}",
            "--set", "sources.jsonl.follow=true", "--output", "-", "--stats", "stats.json",
        )  # fmt: skip
        assert process.stdout.readline()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
        process.stdout.read()
        assert process.wait(20) == 0
        assert json.loads((tmp_path / "stats.json").read_text("utf-8"))["alerts"] == 2

    def test_a_pipe_that_stays_open_can_be_interrupted(self, kestrel: Any, rule: Path) -> None:
        process = kestrel.start(
            "run", "--rules", rule, "--input", "-", "--output", "-", stdin=subprocess.PIPE
        )
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["run", "--frobnicate"], "No such option"),
            (["run", "--rules", "r"], "nothing to read: give --input FILE or --source TYPE"),
            (["run", "--input", "e", "--output", "alerts"], "expected `jsonl:FILE` or `-`"),
            (["run", "--input", "e", "--runtime", "lua"], "there is no runtime `lua`"),
            (["run", "--source", "jsnol"], "did you mean `jsonl`?"),
            (["run", "--input", "e", "--set", "engine.batch_siz=1"], "did you mean `batch_size`?"),
            (["run", "--input", "e", "--set", "engine"], "expected `section.key=value`"),
            (["run", "--input", "e", "--config", "none.toml"], "none.toml: cannot be read"),
            (["frobnicate"], "there is no command `frobnicate`; there are `bench`, `check`"),
        ],
    )
    def test_wrong_usage(self, kestrel: Any, arguments: list[str], sentence: str) -> None:
        done = kestrel(*arguments)
        assert (done.code, done.out) == (2, "")
        assert sentence in done.err

    def test_a_wrong_configuration_tells_everything(
        self, kestrel: Any, write: Write, events: Path
    ) -> None:
        write("kestrel.toml", "[engine]\nbatch_size = 'many'\n[outputs.a]\n[surprise]\n")
        done = kestrel("run", "--config", "kestrel.toml", "--input", events)
        assert (done.code, done.out) == (2, "")
        for key in ("engine.batch_size", "outputs.a.type", "surprise"):
            assert f"kestrel: {key}: " in done.err

    def test_a_configuration_file_is_enough(
        self, kestrel: Any, write: Write, events: Path, rule: Path
    ) -> None:
        write(
            "kestrel.toml",
            f'[rules]\npaths = ["{rule}"]\n'
            f'[sources.audit]\ntype = "jsonl"\npath = "{events}"\n'
            '[outputs.alerts]\ntype = "jsonl"\npath = "alerts.ndjson"\n',
        )
        kestrel.environment["KESTREL_CONFIG"] = "kestrel.toml"
        kestrel.environment["KESTREL_ENGINE__BATCH_SIZE"] = "1"
        done = kestrel("run")
        assert (done.code, done.out) == (0, "")
        assert len((kestrel.folder / "alerts.ndjson").read_text("utf-8").splitlines()) == 2

    def test_a_folder_for_the_state_promises_nothing_that_is_not_kept(
        self, kestrel: Any, events: Path, rule: Path
    ) -> None:
        options = ("--rules", rule, "--input", events, "--state", "state")
        done = kestrel("run", *options, "--set", "state.type=memory")
        assert done.code == 0
        assert "the state store `memory` keeps nothing in state" in done.err
        assert "keeps nothing" not in kestrel("run", *options).err

    def test_hostile_texts_do_not_steer_the_terminal(
        self, kestrel: Any, write: Write, rule: Path
    ) -> None:
        done = kestrel(
            "run", "--rules", rule, write("bad\x1b[31m.eql", "?"), "--input", "\x1b]0;title\x07"
        )
        assert done.code == 3
        assert "\x1b" not in done.err
        assert "\x07" not in done.err


@pytest.mark.parametrize(
    "command", ["--version", "--help", "run --help", "plugins", "check nowhere"]
)
def test_it_is_a_program(kestrel: Any, command: str) -> None:
    process = kestrel.start(*command.split())
    out, errors = process.communicate(timeout=30)
    assert process.returncode == (1 if "nowhere" in command else 0), errors
    assert out


def test_the_program_starts_quickly(kestrel: Any) -> None:
    before = os.times()
    kestrel.start("--version").communicate(timeout=30)
    after = os.times()
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 0.5
