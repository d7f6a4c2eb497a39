"""`kestrel bench`: what it prints, what it leaves alone, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]


@pytest.mark.parametrize("profile", [(), ("--profile",)])
def test_json_says_what_was_measured(
    kestrel: Any, events: Path, rule: Path, profile: tuple[str, ...]
) -> None:
    arguments = ("--rules", rule, "--input", events, "--repeat", "2", "--format", "json")
    done = kestrel("bench", *arguments, *profile)
    assert done.code == 0
    (found,) = done.objects
    assert (found["rules"], found["events"], found["alerts"]) == (1, 3, 2)
    assert found["alerts_by_rule"] == {"nc": 2}
    assert found["skipped"] == 0
    assert found["event_bytes"] == sum(map(len, events.read_bytes().splitlines()))
    assert found["events_per_second"] > 0
    times = found["microseconds"]
    assert 0 < times["warm_least"] <= times["warm"] <= times["warm_greatest"]
    for percentiles in found["single_event_microseconds"].values():
        assert 0 < percentiles["p50"] <= percentiles["p99"] <= percentiles["p99_9"]
    assert 0 < found["resident_bytes"] <= found["most_resident_bytes"]
    assert ("profile" in found) == bool(profile)


def test_the_stages_of_a_profile_add_up(kestrel: Any, events: Path, rule: Path) -> None:
    arguments = ("--rules", rule, "--input", events, "--profile", "--format", "json")
    profile = kestrel("bench", *arguments).objects[0]["profile"]
    for times in profile["microseconds"].values():
        stages = set(times) - {"whole", "output"}
        assert stages == {"decode", "fields", "residuals", "lineage", "sequences", "rest"}
        assert sum(times[name] for name in stages) == pytest.approx(times["whole"], abs=0.01)
    assert profile["values_looked_up"] > 0
    assert profile["warm_values_looked_up"] == 0


def test_people_get_text(kestrel: Any, events: Path, rule: Path) -> None:
    done = kestrel("bench", "--rules", rule, "--input", events, "--repeat", "1", "--profile")
    assert done.code == 0
    assert "1 rule, 3 events of" in done.out
    assert "alerts            2 in each pass" in done.out
    assert "decode" in done.out
    assert "misses" in done.out


def test_several_inputs_of_every_kind_are_read_and_bad_events_counted(
    kestrel: Any, write: Write, events: Path, rule: Path
) -> None:
    listed = write("list.json", f"[{','.join(events.read_text().splitlines())}]")
    bad = write("bad.ndjson", f"no json\n\n{events.read_text()}")
    arguments = ("--rules", rule, "--input", events, listed, bad, "--format", "json")
    (found,) = kestrel("bench", *arguments).objects
    assert (found["events"], found["skipped"], found["alerts"]) == (9, 1, 6)


def test_sequences_are_followed_anew_in_each_pass(kestrel: Any, write: Write, events: Path) -> None:
    text = (
        'sequence by host.id with maxspan=1m [process where process.name == "nc"] '
        '[process where process.name == "nc"]'
    )
    rule = write("rules/twice.eql", text)
    arguments = ("--rules", rule, "--input", events, "--repeat", "3", "--format", "json")
    assert kestrel("bench", *arguments).objects[0]["alerts"] == 1


def test_nothing_is_written_and_no_action_taken(
    kestrel: Any, write: Write, events: Path, rule: Path, tmp_path: Path
) -> None:
    configuration = write(
        "kestrel.toml",
        f'[outputs.file]\ntype = "jsonl"\npath = "{tmp_path}/alerts.ndjson"\n'
        '[actions.log]\ntype = "log"\n',
    )
    arguments = ("--rules", rule, "--input", events, "--config", configuration)
    assert kestrel("bench", *arguments).code == 0
    assert not (tmp_path / "alerts.ndjson").exists()


def test_rules_can_come_from_the_configuration(
    kestrel: Any, write: Write, events: Path, rule: Path
) -> None:
    configuration = write("kestrel.toml", f'[rules]\npaths = ["{rule}"]\n')
    done = kestrel("bench", "--config", configuration, "--input", events, "--format", "json")
    assert done.objects[0]["alerts"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--input", "events.ndjson"), 2, "there are no rules: give --rules PATH"),
        (("--rules", "rules/nc.eql"), 2, "--input"),
        (("--rules", "rules/nc.eql", "--input", "empty.ndjson"), 3, "there are no events in empty"),
        (("--rules", "rules/nc.eql", "--input", "nowhere"), 3, "nowhere: "),
        (("--rules", "rules/bad.eql", "--input", "events.ndjson"), 1, "no rule is left to run"),
        (("--rules", "rules/nc.eql", "--input", "no.ndjson"), 3, "can be read"),
        (
            ("--rules", "rules/nc.eql", "--input", "events.ndjson", "--repeat", "0"),
            2,
            "--repeat",
        ),
    ],
)
def test_what_cannot_be_measured_is_said(
    kestrel: Any,
    write: Write,
    events: Path,
    rule: Path,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    write("empty.ndjson", "\n\n")
    write("no.ndjson", "not json\n[1]\n")
    write("rules/bad.eql", "process where process.name ==\n")
    done = kestrel("bench", *arguments)
    assert done.code == code
    assert message in done.err
    assert done.out == ""
