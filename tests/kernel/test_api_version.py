from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.api_version import API_VERSION, ApiVersion


def test_reads_what_it_writes() -> None:
    assert ApiVersion.parse(str(API_VERSION)) == API_VERSION


@pytest.mark.parametrize(
    ("plugin", "runs"),
    [("1.0", True), ("1.2", True), ("1.3", False), ("2.0", False), ("0.9", False)],
)
def test_runs_equal_majors_and_older_minors(plugin: str, runs: bool) -> None:
    assert ApiVersion(1, 2).runs(ApiVersion.parse(plugin)) is runs


@pytest.mark.parametrize(
    "text", ["", "1", "1.", "1.0.0", "01.0", "v1.0", " 1.0", "1.0\n", 1.0, None, "1.9999999"]
)
def test_refuses_what_is_no_version(text: object) -> None:
    with pytest.raises(ValueError, match="expected a version"):
        ApiVersion.parse(text)


@given(st.text())
def test_any_text_is_a_version_or_refused(text: str) -> None:
    try:
        version = ApiVersion.parse(text)
    except ValueError:
        return
    assert str(version) == text
