"""The builtin output of JSON lines: canonical, whole, each alert once, honest about failures."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._builtin.alert_lines import alert_line
from kestrel_framework._builtin.jsonl_output import JsonlOutput, JsonlOutputConfig
from kestrel_framework.errors import OutputError
from kestrel_framework.testing import OutputHandlerContract, make_alert, make_context

BIDIRECTIONAL_MARKS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def output_to(path: object, **options: bool) -> JsonlOutput:
    return JsonlOutput(JsonlOutputConfig(str(path), **options), make_context())


def ids_in(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [
        json.loads(line)["kestrel"]["alert_id"] for line in path.read_text("utf-8").splitlines()
    ]


@given(st.text(max_size=20) | st.sampled_from(["\x85", "\u2028{}", "\u202e", "\x9b31m", "\x7f"]))
def test_texts_come_back_and_steer_nothing(text: str) -> None:
    document = {"process": {"name": text}}
    line = alert_line(make_alert(document=document), events=True).decode()
    assert len(line.splitlines()) == 1
    assert not any(unicodedata.category(c) in {"Cc", "Zl", "Zp"} for c in line[:-1])
    assert not any(unicodedata.bidirectional(c) in BIDIRECTIONAL_MARKS for c in line)
    (evidence,) = json.loads(line)["kestrel"]["evidence"]
    assert evidence["event"] == document


class TestJsonlOutput(OutputHandlerContract):
    discards_known_alerts = True
    can_be_unwritable = True

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "alerts.jsonl"

    @pytest.fixture
    def output(self, path: Path) -> JsonlOutput:
        return output_to(path)

    @pytest.fixture
    def delivered(self, path: Path) -> Callable[[], Sequence[str]]:
        return lambda: ids_in(path)

    @pytest.fixture
    def unwritable_output(self, tmp_path: Path) -> JsonlOutput:
        return output_to(tmp_path / "missing" / "alerts.jsonl")


class TestFullDisk(OutputHandlerContract):
    """The contract's failures again, on a device that is always full."""

    can_be_unwritable = True

    @pytest.fixture
    def output(self, tmp_path: Path) -> JsonlOutput:
        return output_to(tmp_path / "alerts.jsonl")

    @pytest.fixture
    def delivered(self, tmp_path: Path) -> Callable[[], Sequence[str]]:
        return lambda: ids_in(tmp_path / "alerts.jsonl")

    @pytest.fixture
    def unwritable_output(self) -> JsonlOutput:
        return output_to("/dev/full")


def write_all(output: JsonlOutput, *numbers: int) -> None:
    output.open()
    output.write([make_alert(number) for number in numbers])
    output.flush()
    output.close()


def test_a_full_disk_is_transient_and_nothing_is_forgotten(tmp_path: Path) -> None:
    output = output_to("/dev/full")
    output.open()
    output.write([make_alert(1)])
    for _ in range(2):
        with pytest.raises(OutputError, match=r"/dev/full: cannot be written: no space") as raised:
            output.flush()
        assert raised.value.transient
    with pytest.raises(OutputError):
        output.close()


class FillingSink:
    """A file on a disk that has room for so many bytes, until some are freed."""

    def __init__(self, output: JsonlOutput, room: int) -> None:
        assert output._sink is not None
        self._file = output._sink
        self.room = room
        output._sink = self

    def write(self, data: bytes) -> int | None:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._file.write(data[: self.room])
        self.room -= written or 0
        return written

    def close(self) -> None:
        self._file.close()


@pytest.mark.parametrize("room", [1, 100, 1000])
def test_lines_are_whole_when_space_comes_back(tmp_path: Path, room: int) -> None:
    path = tmp_path / "alerts.jsonl"
    output = output_to(path)
    output.open()
    sink = FillingSink(output, room)
    output.write([make_alert(1), make_alert(2)])
    with pytest.raises(OutputError):
        output.flush()
    sink.room = 1 << 20
    output.write([make_alert(1), make_alert(3)])
    output.flush()
    output.close()
    assert ids_in(path) == [make_alert(number).alert_id for number in (1, 2, 3)]


def test_a_line_that_did_not_fit_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    output = output_to(path)
    output.open()
    FillingSink(output, len(alert_line(make_alert(1))) + 20)
    output.write([make_alert(1), make_alert(2)])
    with pytest.raises(OutputError):
        output.close()
    assert path.read_bytes() == alert_line(make_alert(1))


def test_adds_to_a_file_what_it_has_not(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    write_all(output_to(path), 1, 2)
    first = path.read_bytes()
    write_all(output_to(path), 1, 2)
    assert path.read_bytes() == first
    write_all(output_to(path), 2, 3)
    assert ids_in(path) == [make_alert(number).alert_id for number in (1, 2, 3)]


@pytest.mark.parametrize("kept", [1, 5, 15, 100, 0.5, -1])
def test_takes_away_a_line_that_a_crash_cut_off(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "alerts.jsonl"
    line = alert_line(make_alert(2))
    cut = line[: kept if isinstance(kept, int) else int(len(line) * kept)]
    path.write_bytes(alert_line(make_alert(1)) + cut)
    write_all(output_to(path), 1, 2, 3)
    assert ids_in(path) == [make_alert(number).alert_id for number in (1, 2, 3)]


def test_keeps_its_own_only_line_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(alert_line(make_alert(1))[:40])
    write_all(output_to(path), 1)
    assert path.read_bytes() == alert_line(make_alert(1))


@pytest.mark.parametrize(
    "content",
    [
        b'{"@timestamp":"2026-01-01T00:00:00Z","process":{"name":"bash"}}\n',
        b'{"@timestamp":"2026-01-01T00:00:00Z","process":{"name":"bash"}}',
        b"root:x:0:0:root:/root:/bin/bash\n",
        b"not a line of ours, without an end",
        b"\n",
        b'{"kestrel":{"alert_id":5}}\n',
        b"\x00" * 10,
    ],
)
def test_refuses_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"events\.jsonl:1: is not an alert"):
        output_to(path).open()
    assert path.read_bytes() == content


def test_names_the_line_that_is_something_else(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(alert_line(make_alert(1)) * 2 + b"{}\n" + alert_line(make_alert(2)))
    with pytest.raises(OutputError, match=r"alerts\.jsonl:3: is not an alert"):
        output_to(path).open()


def test_a_new_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    write_all(output_to(path), 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_follows_no_link(tmp_path: Path) -> None:
    link = tmp_path / "alerts.jsonl"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a symbolic link"):
        output_to(link).open()
    assert not (tmp_path / "elsewhere").exists()


def test_refuses_folders_pipes_and_odd_names(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, problem in (
        (tmp_path, "is a directory"),
        (tmp_path / "pipe", "neither a file nor a device"),
        ("a\0b", "cannot be written"),
        (tmp_path / "none" / "x", "no such file or directory"),
        (tmp_path / ("x" * 300), "file name too long"),
    ):
        with pytest.raises(OutputError, match=problem):
            output_to(path).open()


def test_a_second_writer_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    first, second = output_to(tmp_path / "alerts.jsonl"), output_to(tmp_path / "alerts.jsonl")
    first.open()
    with pytest.raises(OutputError, match="another process is writing to it"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_brings_events_and_the_time_of_detection_only_where_asked(tmp_path: Path) -> None:
    plain, full = tmp_path / "plain", tmp_path / "full"
    write_all(output_to(plain), 1)
    write_all(output_to(full, events=True, created=True), 1)
    without, with_all = (json.loads(path.read_text("utf-8")) for path in (plain, full))
    assert "created" not in without["event"]
    assert "event" not in without["kestrel"]["evidence"][0]
    assert with_all["event"]["created"] == "2027-01-15T08:00:00.000Z"
    assert with_all["kestrel"]["evidence"][0]["event"]["process"]["name"] == "bash"


def test_the_time_of_detection_is_not_in_the_canonical_form() -> None:
    assert alert_line(make_alert(1, detected_at=1)) == alert_line(make_alert(1, detected_at=None))


def scrambled(document: object) -> object:
    if isinstance(document, dict):
        return {key: scrambled(document[key]) for key in reversed(document)}
    return document


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(), max_size=5), odd_values, max_size=4))
def test_a_line_is_json_whatever_the_event_has(fields: dict[str, object]) -> None:
    alert = make_alert(document={"x": fields}, fields=fields)
    line = alert_line(alert, events=True)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)["kestrel"]["alert_id"] == alert.alert_id
    turned = make_alert(document={"x": scrambled(fields)}, fields=dict(reversed(fields.items())))
    assert alert_line(turned, events=True) == line


def test_nesting_without_end_is_cut() -> None:
    document: dict[str, object] = {}
    for _ in range(100_000):
        document = {"x": document}
    line = alert_line(make_alert(document=document), events=True)
    assert b"(nested too deep)" in line
    while document:
        document = document.popitem()[1]  # type: ignore[assignment]


WRITE_TO_STANDARD_OUTPUT = """
import sys
from kestrel_framework._builtin.jsonl_output import JsonlOutput, JsonlOutputConfig
from kestrel_framework.errors import OutputError
from kestrel_framework.testing import make_alert, make_context
if "silent" not in sys.argv:
    print("before", end="")
try:
    output = JsonlOutput(JsonlOutputConfig("-"), make_context())
    output.open()
    output.write([make_alert(number) for number in range(int(sys.argv[1]))])
    output.flush()
    output.close()
except OutputError as error:
    sys.exit(f"problem: {error}")
"""


def test_standard_output_comes_after_what_was_printed() -> None:
    result = subprocess.run(
        [sys.executable, "-c", WRITE_TO_STANDARD_OUTPUT, "2"], capture_output=True, check=True
    )
    assert result.stdout == b"before" + b"".join(map(alert_line, map(make_alert, range(2))))


def test_a_full_standard_output_is_one_clear_error() -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-c", WRITE_TO_STANDARD_OUTPUT, "2", "silent"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr == "problem: standard output: cannot be written: no space left on device\n"


def test_a_closed_pipe_is_one_clear_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            WRITE_TO_STANDARD_OUTPUT,
            "2",
            "silent",
        ],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert result.returncode == 1
    assert result.stderr == "problem: standard output: cannot be written: broken pipe\n"
