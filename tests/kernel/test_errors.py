from __future__ import annotations

import pytest

from kestrel_framework.errors import (
    ConfigurationError,
    IncompatiblePluginError,
    KestrelError,
    PluginError,
    RuleError,
    Severity,
    SourceLocation,
    StateConflict,
)


@pytest.mark.parametrize(
    ("offset", "line", "column", "text"),
    [
        (0, 1, 1, "one"),
        (3, 1, 4, "one"),
        (4, 2, 1, "two"),
        (6, 2, 3, "two"),
        (8, 3, 1, ""),
        (99, 3, 1, ""),
        (-5, 1, 1, "one"),
    ],
)
def test_location_in_text(offset: int, line: int, column: int, text: str) -> None:
    location = SourceLocation.in_text("a.eql", "one\ntwo\n", offset)
    assert (location.line, location.column, location.text) == (line, column, text)


def test_location_leaves_out_a_carriage_return() -> None:
    assert SourceLocation.in_text("a", "one\r\ntwo", 1).text == "one"


def test_caret_stands_under_the_column_also_after_tabs() -> None:
    location = SourceLocation("a.eql", 1, 3, "\tx y")
    assert location.caret() == "\tx y\n\t ^"


def test_caret_is_empty_without_a_column() -> None:
    assert SourceLocation("a.eql", 3).caret() == ""


def test_rule_error_names_its_place() -> None:
    error = RuleError("unknown field `x`", SourceLocation("a.eql", 2, 7, "text"), rule_id="r1")
    assert str(error) == "a.eql:2:7: unknown field `x`"
    assert error.context == {"rule": "r1"}


def test_configuration_error_names_its_key() -> None:
    assert str(ConfigurationError("unknown key", path="engine.bach")) == "engine.bach: unknown key"
    assert str(ConfigurationError("no rules")) == "no rules"


def test_plugin_error_names_the_plugin_and_what_it_did() -> None:
    error = IncompatiblePluginError("acme", "needs API 9.0", operation="load")
    assert str(error) == "plugin acme: needs API 9.0"
    assert error.context == {"plugin": "acme", "operation": "load"}
    assert isinstance(error, PluginError)


def test_severity_and_transience_belong_to_the_instance() -> None:
    quiet = PluginError("acme", "slow", severity=Severity.WARNING, transient=True)
    assert (quiet.severity, quiet.transient) == (Severity.WARNING, True)
    assert PluginError("acme", "gone").severity is Severity.ERROR


def test_a_conflict_may_succeed_later_and_names_the_keys() -> None:
    conflict = StateConflict("changed by another", (b"k",))
    assert conflict.transient
    assert conflict.keys == (b"k",)


def test_context_cannot_be_changed() -> None:
    error = KestrelError("x", context={"a": 1})
    with pytest.raises(TypeError):
        error.context["a"] = 2  # type: ignore[index]
