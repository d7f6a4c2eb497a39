"""Rule files: `.eql` with and without front matter, and TOML as Elastic publishes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_eql import EqlCompiler
from kestrel_eql.toml_text import MAX_FILE_BYTES
from kestrel_framework.errors import RuleError
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import RuleSeverity, RuleSource, Technique, errors_in
from kestrel_framework.schema import SchemaRegistry

FRONT_MATTER = '''
/*
id = "shell-from-web"
name = "A shell from a web server"
version = 3
description = """
What it says."""
author = "The Kestrel authors"
severity = "high"
risk_score = 73
tags = ["linux", "web"]
references = ["https://example.org/a"]
false_positives = ["an admin page"]
threat = ["T1059.004", "T1505"]
actions = ["log"]
license = "Apache-2.0"
dialect = "endgame"
*/

process where name = "sh"
'''

DETECTION = '''
[metadata]
creation_date = 2024-05-01
maturity = "production"

[rule]
author = ["One", "Two"]
description = """
query = "not here"
[rule]
"""
language = "eql"
name = "A name" # [rule]
risk_score = 47
rule_id = "11111111-2222-3333-4444-555555555555"
severity = "low"
note = \'\'\'
query = \'\' \'
\'\'\'
index = ["logs-*", "other-*"]
query = \'\'\'
process where a == 1 and
  b = 2
\'\'\'

[[rule.threat]]
framework = "MITRE ATT&CK"
[[rule.threat.technique]]
id = "T1059"
name = "Command and Scripting Interpreter"
reference = "https://example.org/T1059"
[[rule.threat.technique.subtechnique]]
id = "T1059.004"
name = "Unix Shell"
reference = "https://example.org/T1059/004"
[rule.threat.tactic]
id = "TA0002"
name = "Execution"

[[rule.threat]]
framework = "MITRE ATT&CK"
[rule.threat.tactic]
id = "TA0005"
name = "Defense Evasion"
reference = "https://example.org/TA0005"
'''

ENDPOINT = '''
[rule]
description = "d"
id = "an-id"
name = "An endpoint rule"
os_list = ["linux"]
reference = ["https://example.org/r"]
version = "1.0.2"
query = """
process where name : "C:\\\\\\\\*"
"""

[[actions]]
action = "kill_process"
field = "process.entity_id"
state = 0

[[actions]]
action = "kill_process"
field = "process.parent.entity_id"

[[threat]]
[threat.tactic]
id = "TA0001"
name = "Initial Access"

[internal]
min_endpoint_version = "7.15.0"
'''


def read(path: str, text: str | bytes) -> list[RuleSource]:
    content = text.encode() if isinstance(text, str) else text
    return list(EqlCompiler().read(RuleFile(path, content)))


def read_one(path: str, text: str | bytes) -> RuleSource:
    (source,) = read(path, text)
    return source


def problems(path: str, text: str | bytes) -> list[RuleError]:
    with pytest.raises((RuleError, ExceptionGroup)) as raised:
        read(path, text)
    assert isinstance(raised.value, (RuleError, ExceptionGroup))
    return list(errors_in(raised.value))


def places(errors: list[RuleError]) -> list[str]:
    return [str(error.location) for error in errors]


# --- .eql ---------------------------------------------------------------------


def test_bare_eql_has_the_name_of_its_file() -> None:
    source = read_one("pack/linux/reverse_shell.eql", "any where true\n")
    assert source.metadata.rule_id == "reverse_shell"
    assert source.language == "eql"
    assert str(source.location) == "pack/linux/reverse_shell.eql:1:1"


def test_front_matter() -> None:
    source = read_one("shell.eql", FRONT_MATTER)
    metadata = source.metadata
    assert metadata.rule_id == "shell-from-web"
    assert metadata.name == "A shell from a web server"
    assert metadata.version == "3"
    assert metadata.description == "What it says."
    assert metadata.authors == ("The Kestrel authors",)
    assert metadata.severity is RuleSeverity.HIGH
    assert metadata.risk_score == 73
    assert metadata.tags == ("linux", "web")
    assert metadata.references == ("https://example.org/a",)
    assert metadata.false_positives == ("an admin page",)
    assert metadata.threat == (
        Technique(technique_id="T1059.004"),
        Technique(technique_id="T1505"),
    )
    assert metadata.actions == ("log",)
    assert metadata.license == "Apache-2.0"
    assert source.options == {"dialect": "endgame"}
    assert source.text.startswith("process where")
    assert str(source.location) == "shell.eql:20:1"


def test_front_matter_with_whole_threats() -> None:
    source = read_one(
        "r.eql",
        '/*\nauthors = ["A", "B"]\n[[threat]]\ntactic_id = "TA1"\ntactic = "T"\n'
        'technique_id = "T1"\ntechnique = "N"\nreference = "https://a.b"\n*/ any where true',
    )
    assert source.metadata.threat == (Technique("TA1", "T", "T1", "N", "https://a.b"),)
    assert source.metadata.authors == ("A", "B")
    assert source.metadata.rule_id == "r"
    assert str(source.location) == "r.eql:9:4"


def test_a_rule_with_errors_points_into_its_file() -> None:
    compiler = EqlCompiler()
    source = read_one("r.eql", '/*\nid = "x"\n*/ any where a =\n 1 and b ==')
    with pytest.raises(RuleError) as raised:
        compiler.compile(source, SchemaRegistry())
    assert str(raised.value.location) == "r.eql:4:12"
    assert raised.value.context == {"rule": "x"}
    source = read_one("r.eql", '/*\nid = "x"\n*/ any where a = 1')
    with pytest.raises(RuleError) as raised:
        compiler.compile(source, SchemaRegistry())
    assert raised.value.location is not None
    assert str(raised.value.location) == "r.eql:3:16"
    assert raised.value.location.caret() == "*/ any where a = 1\n" + " " * 15 + "^"


def test_an_ordinary_leading_comment_is_no_front_matter() -> None:
    source = read_one("r.eql", "/* This rule finds things:\n   a == b, say */\nany where true")
    assert source.metadata.rule_id == "r"
    assert str(source.location) == "r.eql:1:1"


@pytest.mark.parametrize(
    ("front", "sentence", "place"),
    [
        ('id = "x"\nseverty = "low"', "unknown key `severty`; did you mean `severity`?", "3"),
        ('severity = "hihg"', "one of low, medium, high, critical, not `hihg`", "2"),
        ("risk_score = 101", "`risk_score` must be a whole number from 0 to 100", "2"),
        ("risk_score = true", "not true or false", "2"),
        ("\nname = 5", "`name` must be a text, not a whole number", "3"),
        ("tags = [1]", "`tags` must be a list of texts, not a list", "2"),
        ('tags = "a"', "`tags` must be a list of texts, not a text", "2"),
        ("version = 1.5", "must be a text or a whole number, not a number", "2"),
        ("version = 2024-01-01", "not a date or time", "2"),
        ('id = " "', "`id` must not be empty", "2"),
        ('author = "a"\nauthors = ["b"]', "not both", "2"),
        ('[[threat]]\ntacticid = "x"', "unknown key `tacticid`", "3"),
        ("threat = 5", "`threat` must be a list of tables", "2"),
        ('threat = ["T1", 2]', "`threat` must be a list of texts", "2"),
        ("id = ", "this is not TOML", "2"),
        ('id = "x"\nid = "y"', "this is not TOML: cannot overwrite a value", "3"),
    ],
)
def test_front_matter_errors(front: str, sentence: str, place: str) -> None:
    (error,) = problems("r.eql", f"/*\n{front}\n*/\nany where true")
    assert sentence in error.problem
    assert error.location is not None
    assert str(error.location.line) == place


def test_all_errors_of_front_matter_at_once() -> None:
    errors = problems("r.eql", "/*\nname = 5\nseverty = 1\nrisk_score = -1\n*/any where true")
    assert sorted(places(errors)) == ["r.eql:2:1", "r.eql:3:1", "r.eql:4:1"]


def test_a_comment_that_never_ends() -> None:
    (error,) = problems("r.eql", "\n /*\nid = 1")
    assert "never closed" in error.problem
    assert str(error.location) == "r.eql:2:2"


# --- TOML ------------------------------------------------------------------------


def test_detection_rule() -> None:
    source = read_one("rules/x.toml", DETECTION)
    metadata = source.metadata
    assert metadata.rule_id == "11111111-2222-3333-4444-555555555555"
    assert metadata.name == "A name"
    assert metadata.authors == ("One", "Two")
    assert metadata.severity is RuleSeverity.LOW
    assert metadata.risk_score == 47
    execution = ("TA0002", "Execution")
    assert metadata.threat == (
        Technique(
            *execution, "T1059", "Command and Scripting Interpreter", "https://example.org/T1059"
        ),
        Technique(*execution, "T1059.004", "Unix Shell", "https://example.org/T1059/004"),
        Technique("TA0005", "Defense Evasion", reference="https://example.org/TA0005"),
    )
    assert metadata.extra["index"] == ["logs-*", "other-*"]
    assert metadata.extra["metadata"] == {"creation_date": "2024-05-01", "maturity": "production"}
    assert source.language == "eql"
    assert source.text == "process where a == 1 and\n  b = 2\n"


def test_errors_in_the_query_point_into_the_toml_file() -> None:
    source = read_one("x.toml", DETECTION)
    with pytest.raises(RuleError) as raised:
        EqlCompiler().compile(source, SchemaRegistry())
    line = DETECTION.split("\n").index("  b = 2") + 1
    assert str(raised.value.location) == f"x.toml:{line}:5"


def test_a_query_on_one_line() -> None:
    text = '[rule]\nid = "i"\n  query   =   "any where a = 1"  # why\n'
    with pytest.raises(RuleError) as raised:
        EqlCompiler().compile(read_one("x.toml", text), SchemaRegistry())
    location = raised.value.location
    assert location is not None
    assert str(location) == "x.toml:3:28"
    assert location.caret().split("\n")[1].index("^") == 27
    assert location.caret()[27] == "="


def test_endpoint_rule() -> None:
    source = read_one("x.toml", ENDPOINT)
    metadata = source.metadata
    assert (metadata.rule_id, metadata.version) == ("an-id", "1.0.2")
    assert metadata.references == ("https://example.org/r",)
    assert metadata.actions == ("kill_process",)
    assert metadata.threat == (Technique("TA0001", "Initial Access"),)
    assert metadata.extra["os_list"] == ["linux"]
    assert metadata.extra["internal"] == {"min_endpoint_version": "7.15.0"}
    assert EqlCompiler().compile(source, SchemaRegistry()).kind == "event"


def test_windows_line_ends() -> None:
    source = read_one("x.toml", DETECTION.replace("\n", "\r\n"))
    assert source == read_one("x.toml", DETECTION)
    assert read_one("x.eql", FRONT_MATTER.replace("\n", "\r\n")) == read_one("x.eql", FRONT_MATTER)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert read_one("x.eql", b"\xef\xbb\xbfany where true").text == "any where true"


@pytest.mark.parametrize(
    ("rule", "language"),
    [
        ('language = "kuery"\nquery = "a: 1"\ntype = "query"', "kuery"),
        ('language = "esql"\nquery = "from x"\ntype = "esql"', "esql"),
        ('language = "lucene"\nquery = "a:1"', "lucene"),
        ('type = "machine_learning"\nanomaly_threshold = 50', "machine_learning"),
    ],
)
def test_a_rule_of_another_language_names_it(rule: str, language: str) -> None:
    assert read_one("x.toml", f'[rule]\nrule_id = "i"\n{rule}\n').language == language


@pytest.mark.parametrize("text", ["", "[tool.ruff]\nline-length = 1\n", 'rule = "text"\n'])
def test_toml_that_is_no_rule(text: str) -> None:
    assert read("pyproject.toml", text) == []


@pytest.mark.parametrize(
    ("text", "sentence", "place"),
    [
        ('[rule]\nquery = "any where true"', "the rule has no `rule_id`", "x.toml:1:1"),
        ('[rule]\nrule_id = "i"', "the rule has no `query`", "x.toml:1:1"),
        ('[rule]\nrule_id = 5\nquery="a"', "`rule_id` must be a text", "x.toml:2:1"),
        ('[rule]\nid = "i"\nquery = []', "`query` must be a text, not a list", "x.toml:3:1"),
        ('actions = 1\n[rule]\nid = "i"\nquery = "a"', "`actions` must be a list", "x.toml:1:1"),
        ('[rule]\nid = "i\nquery = "a"', "this is not TOML", "x.toml:2:8"),
        ('[rule]\nquery = """a', "this is not TOML", "x.toml:2:13"),
        ("[rule", "this is not TOML", "x.toml:1:6"),
    ],
)
def test_toml_errors(text: str, sentence: str, place: str) -> None:
    error = problems("x.toml", text)[0]
    assert sentence in error.problem
    assert str(error.location) == place


# --- an attacker's files --------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".eql", ".toml"])
def test_a_huge_file_is_refused(suffix: str) -> None:
    (error,) = problems(f"x{suffix}", b"#" * (MAX_FILE_BYTES + 1))
    assert "the limit is" in error.problem


@pytest.mark.parametrize("suffix", [".eql", ".toml"])
def test_a_file_that_is_not_utf_8_is_refused(suffix: str) -> None:
    (error,) = problems(f"x{suffix}", b"a\nb\n\xff\xfe")
    assert error.problem == "the file is not UTF-8"
    assert str(error.location) == f"x{suffix}:3"


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "a = " + "[" * 1_000 + "]" * 1_000,
        "a = " + "{b=" * 1_000 + "1" + "}" * 1_000,
        ".".join(["a"] * 100_000) + " = 1",
        "[" + ".".join(["a"] * 100_000) + "]",
        "[rule]\nx = {" + ".".join(["a"] * 100_000) + " = 1}",
        "a = " + "9" * 100_000,
        "a = " + "[" * 200_000 + '"""',
        "\n".join(f"[{'.'.join('ab'[bit == '1'] for bit in f'{n:016b}')}]" for n in range(5_000)),
        "[[a]]\n" * 50_000,
        '"' * 300_000,
        "'" * 300_001,
        "a" * 500_000,
        "= " * 200_000,
        "a = " + "{" * 300_000,
        "#\n" * 200_000 + "a",
        "\0" * 1_000,
    ],
    ids=range(17),
)
def test_hostile_toml_ends_in_an_error_or_a_reading(text: str) -> None:
    for path, content in (("x.toml", text), ("x.eql", f"/*\nid = 'x'\n{text}\n*/any where true")):
        begin = time.process_time()
        reads_or_explains(path, content.encode())
        assert time.process_time() - begin < 40


def reads_or_explains(path: str, content: bytes) -> None:
    try:
        sources = EqlCompiler().read(RuleFile(path, content))
    except (RuleError, ExceptionGroup) as error:
        for single in errors_in(error):
            assert isinstance(single, RuleError)
            assert single.location is not None
    else:
        assert all(isinstance(source, RuleSource) for source in sources)


@settings(max_examples=150, deadline=2_000)
@given(st.binary(max_size=300), st.sampled_from(["x.eql", "x.toml"]))
def test_any_bytes(content: bytes, path: str) -> None:
    reads_or_explains(path, content)
    reads_or_explains(path, b"/*\nid = 1\n" + content)


@settings(max_examples=200, deadline=2_000)
@given(
    st.sampled_from([("x.eql", FRONT_MATTER), ("x.toml", DETECTION), ("x.toml", ENDPOINT)]),
    st.integers(0, 900),
    st.integers(0, 30),
    st.text(max_size=3) | st.sampled_from(['"', "'''", '"""', "[", "]", "=", "\n", "{", "#", "*/"]),
)
def test_mutated_files(file: tuple[str, str], at: int, cut: int, put: str) -> None:
    path, text = file
    reads_or_explains(path, (text[:at] + put + text[at + cut :]).encode("utf-8", "surrogatepass"))


def test_reading_touches_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: object, **keywords: object) -> Callable[..., object]:
        raise AssertionError("a compiler reads what it is given")

    monkeypatch.setattr(Path, "read_text", forbidden)
    monkeypatch.setattr("builtins.open", forbidden)
    assert read("../../etc/passwd.eql", "any where true")
