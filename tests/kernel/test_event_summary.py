from __future__ import annotations

import pytest
from hypothesis import given

from kestrel_framework._builtin.event_summary import event_summary
from kestrel_framework.event import Document
from kestrel_framework.testing.strategies import documents


@pytest.mark.parametrize(
    ("document", "summary"),
    [
        (
            {"process": {"command_line": "sh -c id", "name": "sh", "parent": {"name": "nginx"}}},
            "nginx > sh -c id",
        ),
        ({"process": {"args": ["sh", "-c", "id"], "name": "sh"}}, "sh -c id"),
        ({"process": {"name": "sh", "command_line": ""}}, "sh"),
        (
            {
                "event": {"action": "open"},
                "process": {"name": "cat", "command_line": "cat /etc/shadow"},
                "file": {"path": "/etc/shadow"},
            },
            "cat: open /etc/shadow",
        ),
        (
            {"process": {"executable": "/usr/bin/nc"}, "destination": {"ip": "192.0.2.1"}},
            "/usr/bin/nc: 192.0.2.1",
        ),
        ({"file": {"path": "/etc/shadow"}}, ""),
        ({}, ""),
        ({"process": "sh"}, ""),
        ({"process": {"command_line": "a\x1b[2Jb"}}, "a\\x1b[2Jb"),
    ],
)
def test_says_who_did_what(document: Document, summary: str) -> None:
    assert event_summary(document) == summary


def test_a_long_command_line_is_cut() -> None:
    assert len(event_summary({"process": {"command_line": "x" * 10_000_000}})) < 200


@given(documents())
def test_any_document_gives_one_printable_line(document: Document) -> None:
    assert "\n" not in event_summary(document)
