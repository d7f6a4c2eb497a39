"""`kestrel eql parse` and `kestrel eql format`: streams, files and exit codes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
UGLY = 'process where name=="x"and(pid>1)\n'
NICE = 'process where name == "x" and (pid > 1)\n'
FRONT_MATTER = '/*\nid = "a"   \nname="A"\n*/'
TOML = """\
# a comment   \n\
[rule]
rule_id = "r"
query = QUOTES
process   where name : "C:\\\\Windows\\\\*"
QUOTES
name = "N"
"""


# --- parse ------------------------------------------------------------------------------


def test_json_is_one_object_with_a_place_for_each_node(kestrel: Any) -> None:
    done = kestrel("eql", "parse", "--format", "json", "any where a.b[0] == ?c\n| head 5")
    assert (done.code, done.err) == (0, "")
    assert done.objects == [
        {
            "path": "query",
            "rule_id": None,
            "dialect": "elastic",
            "query": {
                "node": "query",
                "line": 1,
                "column": 1,
                "body": {
                    "node": "event",
                    "line": 1,
                    "column": 1,
                    "category": "any",
                    "condition": {
                        "node": "comparison",
                        "line": 1,
                        "column": 18,
                        "operator": "==",
                        "left": {
                            "node": "field",
                            "line": 1,
                            "column": 11,
                            "parts": ["a", "b", 0],
                            "optional": False,
                        },
                        "right": {
                            "node": "field",
                            "line": 1,
                            "column": 21,
                            "parts": ["c"],
                            "optional": True,
                        },
                    },
                },
                "pipes": [
                    {
                        "node": "pipe",
                        "line": 2,
                        "column": 1,
                        "name": "head",
                        "arguments": [{"node": "literal", "line": 2, "column": 8, "value": 5}],
                    }
                ],
            },
        }
    ]


def test_text_is_a_tree_with_places(kestrel: Any) -> None:
    done = kestrel("eql", "parse", 'sequence by h [a where not x in~ ("q\x1b", 1)] with runs=2')
    assert done.out.splitlines() == [
        "query  1:1",
        "  body: sequence  1:1",
        "    terms: step runs=2  1:15",
        "      query: event a  1:16",
        "        condition: not  1:24",
        "          term: membership fold  1:30",
        "            value: field x  1:28",
        '            choices: literal "q\\u001b"  1:35',
        "            choices: literal 1  1:41",
        "    keys: field h  1:13",
    ]


def test_rule_files_are_read_with_their_places(kestrel: Any, write: Write) -> None:
    write("a.eql", f"{FRONT_MATTER}\n\nany where x")
    (one,) = kestrel("eql", "parse", "--format", "json", "--file", "a.eql").objects
    assert (one["path"], one["rule_id"], one["query"]["line"]) == ("a.eql", "a", 6)
    write("b.toml", TOML.replace("QUOTES", "'''"))
    (two,) = kestrel("eql", "parse", "--format", "json", "--file", "b.toml").objects
    assert (two["path"], two["rule_id"], two["query"]["line"]) == ("b.toml", "r", 5)
    (three,) = kestrel("eql", "parse", "--format", "json", "-", input="any where x").objects
    assert (three["path"], three["rule_id"]) == ("standard input", "standard input")


def test_the_dialect_is_that_of_the_option_then_of_the_file(kestrel: Any, write: Write) -> None:
    assert kestrel("eql", "parse", "any where a = 'x'").code == 1
    assert kestrel("eql", "parse", "--dialect", "endgame", "any where a = 'x'").code == 0
    write("a.eql", '/*\ndialect = "endgame"\n*/ any where a = 1')
    (one,) = kestrel("eql", "parse", "--format", "json", "--file", "a.eql").objects
    assert one["dialect"] == "endgame"
    assert kestrel("eql", "parse", "--dialect", "klingon", "any where a").code == 2


def test_what_is_wrong_is_shown_as_check_shows_it(kestrel: Any, write: Write) -> None:
    done = kestrel("eql", "parse", "--format", "json", "any where a = = b")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "query:1:15: error: unexpected `=`: expected a value or `(`\n"
        "    any where a = = b\n"
        "                  ^\n"
    )
    assert kestrel("eql", "parse").code == 2
    assert kestrel("eql", "parse", "any where a", "--file", "a.eql").code == 2
    assert kestrel("eql", "parse", "--file", "none.eql").code == 3
    assert kestrel("eql", "parse", "--file", ".").code == 3
    write("k.toml", '[rule]\nrule_id = "k"\nlanguage = "kuery"\nquery = "a: b"\n')
    assert kestrel("eql", "parse", "--file", "k.toml").code == 1
    write("s.toml", "[tool]\n")
    assert "there is no rule in the file" in kestrel("eql", "parse", "--file", "s.toml").err


# --- format: streams ---------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_standard_input_goes_to_standard_output(kestrel: Any, arguments: tuple[str, ...]) -> None:
    done = kestrel("eql", "format", *arguments, input=f"{FRONT_MATTER}\n\n\n{UGLY}")
    assert (done.code, done.out, done.err) == (0, f"{FRONT_MATTER}\n\n{NICE}", "")


def test_a_stream_that_is_wrong_gives_no_output(kestrel: Any) -> None:
    done = kestrel("eql", "format", input="process where")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("standard input:1:14: error: ")


def test_check_and_diff_of_a_stream(kestrel: Any) -> None:
    done = kestrel("eql", "format", "--check", input=UGLY)
    assert (done.code, done.out) == (1, "standard input\n")
    assert kestrel("eql", "format", "--check", input=NICE).code == 0
    done = kestrel("eql", "format", "--diff", input=UGLY.rstrip())
    assert done.code == 0
    assert done.out.splitlines()[3:] == [
        f"-{UGLY.rstrip()}",
        "\\ No newline at end of file",
        f"+{NICE.rstrip()}",
    ]


def test_as_programs_of_their_own_through_pipes() -> None:
    command = [sys.executable, "-m", "kestrel_framework.cli", "eql"]
    done = subprocess.run(
        [*command, "format"], input=UGLY.encode(), capture_output=True, timeout=30, check=True
    )
    assert (done.stdout, done.stderr) == (NICE.encode(), b"")
    done = subprocess.run(
        [*command, "parse", "--format=json", "-"],
        input=done.stdout,
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert json.loads(done.stdout)["query"]["node"] == "query"
    with subprocess.Popen([*command, "parse", UGLY], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize("command", ["format", "parse -"])
def test_a_closed_standard_input_and_a_full_output(command: str) -> None:
    program = f"{sys.executable} -m kestrel_framework.cli eql {command}"
    for line, problem in (
        (f"{program} <&-", "standard input: is closed"),
        (f"echo any where a | {program} >/dev/full", "No space left on device"),
    ):
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout) == (3, "")
        assert problem in done.stderr
        assert "Traceback" not in done.stderr


# --- format: files -----------------------------------------------------------------------


def test_files_and_folders_are_formatted_where_they_are(kestrel: Any, write: Write) -> None:
    first, second = write("rules/a.eql", UGLY), write("rules/deep/b.eql", UGLY)
    nice, hidden = write("rules/c.eql", NICE), write("rules/.git/d.eql", UGLY)
    other = write("rules/notes.txt", UGLY)
    first.chmod(0o640)
    done = kestrel("eql", "format", "rules", "rules/a.eql")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["rules/a.eql", "rules/deep/b.eql"]
    assert first.read_text() == second.read_text() == nice.read_text() == NICE
    assert hidden.read_text() == other.read_text() == UGLY
    assert stat.S_IMODE(first.stat().st_mode) == 0o640
    names = sorted(path.name for path in first.parent.iterdir())
    assert names == [".git", "a.eql", "c.eql", "deep", "notes.txt"]
    done = kestrel("eql", "format", "rules")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_check_names_what_would_change_and_writes_nothing(kestrel: Any, write: Write) -> None:
    path = write("a.eql", UGLY)
    write("b.eql", NICE)
    done = kestrel("eql", "format", "--check", ".")
    assert (done.code, done.out) == (1, "a.eql\n")
    done = kestrel("eql", "format", "--check", "--diff", "a.eql")
    assert (done.code, done.out.splitlines()[0]) == (1, "--- a.eql")
    assert path.read_text() == UGLY


def test_a_file_that_is_wrong_is_left_alone_and_the_others_are_formatted(
    kestrel: Any, write: Write
) -> None:
    wrong = write("a.eql", "process  where")
    right = write("b.eql", UGLY)
    done = kestrel("eql", "format", ".")
    assert (done.code, done.out) == (1, "b.eql\n")
    assert done.err.startswith("a.eql:1:15: error: the rule ends too early")
    assert (wrong.read_text(), right.read_text()) == ("process  where", NICE)


def test_line_ends_and_byte_order_mark_stay(kestrel: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.eql"
    text = f"{FRONT_MATTER}\n\n{UGLY}// end\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert kestrel("eql", "format", "a.eql").code == 0
    expected = f"{FRONT_MATTER}\n\n{NICE}// end\n"
    assert path.read_bytes() == b"\xef\xbb\xbf" + expected.replace("\n", "\r\n").encode()
    path.write_bytes(b"process where\r\n  a==1\n")
    done = kestrel("eql", "format", "a.eql")
    assert done.code == 1
    assert "line ends of two kinds" in done.err


@pytest.mark.parametrize("quotes", ["'''", '"""'])
def test_of_toml_only_the_query_changes(kestrel: Any, write: Write, quotes: str) -> None:
    text = TOML if quotes == "'''" else TOML.replace("\\", "\\\\")
    path = write("r.toml", text.replace("QUOTES", quotes))
    write("settings.toml", "[tool]\nx =   1\n")
    done = kestrel("eql", "format", ".")
    assert (done.code, done.out) == (0, "r.toml\n")
    expected = text.replace("QUOTES", quotes).replace("process   where", "process where")
    assert path.read_text() == expected


@pytest.mark.parametrize(
    "query",
    [
        '"any  where a"',
        "'any  where a'",
        '"""any  where a == "\\u0041" """',
        '"""\\\n  any  where a"""',
    ],
)
def test_toml_that_would_have_to_be_spelled_anew_is_refused(
    kestrel: Any, write: Write, query: str
) -> None:
    text = f'[rule]\nrule_id = "r"\nquery = {query}\n'
    path = write("r.toml", text)
    done = kestrel("eql", "format", "r.toml")
    assert (done.code, done.out) == (1, "")
    assert "its spelling in TOML would have to change; write it as `query = '''...'''`" in done.err
    assert path.read_text() == text


def test_links_and_odd_files(kestrel: Any, write: Write, tmp_path: Path) -> None:
    outside = write("outside.eql", UGLY)
    inside = write("rules/real/a.eql", UGLY)
    (tmp_path / "rules/link.eql").symlink_to("real/a.eql")
    (tmp_path / "rules/out.eql").symlink_to(outside)
    (tmp_path / "rules/lost.eql").symlink_to("nowhere.eql")
    (tmp_path / "rules/loop.eql").symlink_to("loop.eql")
    os.mkfifo(tmp_path / "rules/pipe.eql")
    done = kestrel("eql", "format", "rules")
    assert done.code == 3
    assert len(done.out.splitlines()) == 1
    assert f"out.eql: is a link that leads out of rules, to {outside}" in done.err
    for name in ("lost", "loop", "pipe"):
        assert f"kestrel: rules/{name}.eql: is " in done.err
    assert (tmp_path / "rules/link.eql").is_symlink()
    assert (inside.read_text(), outside.read_text()) == (NICE, UGLY)
    assert kestrel("eql", "format", "rules/out.eql").code == 3
    assert kestrel("eql", "format", "none.eql").code == 3
    assert kestrel("eql", "format", "rules/real/none").code == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="for root, every folder can be written to")
def test_a_folder_that_cannot_be_written_to(kestrel: Any, write: Write) -> None:
    path = write("rules/a.eql", UGLY)
    path.parent.chmod(0o500)
    done = kestrel("eql", "format", "rules")
    path.parent.chmod(0o700)
    assert done.code == 3
    assert "a.eql: cannot be written: " in done.err
    assert path.read_text() == UGLY


def test_usage(kestrel: Any, write: Write) -> None:
    write("a.eql", UGLY)
    assert kestrel("eql", "format", "-", "a.eql").code == 2
    assert kestrel("eql", "format", "--width", "80").code == 2
    assert kestrel("eql", "format", write("a.txt", UGLY)).code == 3


def test_the_example_rules_are_formatted(kestrel: Any) -> None:
    done = kestrel("eql", "format", "--check", EXAMPLES)
    assert (done.code, done.out, done.err) == (0, "", "")
