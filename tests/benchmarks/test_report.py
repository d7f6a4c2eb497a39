from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compile_rules import with_section
from benchmarks.plot import Line, svg
from benchmarks.report import page, plot_lines
from benchmarks.results import spread
from benchmarks.targets import targets
from made_up_results import cell, results

NAMESPACE = "{http://www.w3.org/2000/svg}"


def verdicts() -> dict[str, str]:
    return {target.what: target.verdict for target in targets(results())}


def test_every_target_is_measured_and_judged() -> None:
    assert [(target.must, target.moonshot) for target in targets(results())] == [
        ("2.5 µs", "1.2 µs"),
        ("5 µs", "2.5 µs"),
        ("20 µs", "10 µs"),
        ("1.5", "1.15"),
        ("150 MB", "80 MB"),
        ("2 s", "0.5 s"),
        ("0.2 s", "0.05 s"),
        ("200 times", "500 times"),
        ("200,000 events/s", "500,000 events/s"),
        ("200 bytes", "100 bytes"),
    ]
    assert list(verdicts().values()) == [
        "moonshot",
        "must",
        "must",
        "must",
        "must",
        "must",
        "must",
        "must",
        "must",
        "must",
    ]


def test_what_is_too_slow_is_said_to_be() -> None:
    slow = attrs.evolve(results(), cells={"windows": {0: [cell(1200, micros=8.5, match=2.6)]}})
    found = targets(slow)
    assert [target.verdict for target in found[:2]] == ["**not reached**"] * 2
    assert "5.10 µs (196,078/s); first pass 7.60 µs" in found[1].reached


def test_a_target_that_could_not_be_measured_is_not_there() -> None:
    bare = attrs.evolve(results(), cells={}, comparison=None, speed=[], memory=[], runs=[])
    assert [target.what for target in targets(bare)] == [
        "load 1,000 rules, cold",
        "load 1,000 rules, from cache",
    ]


def test_ratios_come_first_then_targets() -> None:
    text = page(results())
    places = [
        text.index(part)
        for part in (
            "times as fast as the `eql` package",
            "## Targets",
            "(benchmarks.svg)",
            "## Cost against the number of rules",
            "## How it is measured",
        )
    ]
    assert places == sorted(places)
    assert "**300 times as fast as the `eql` package** and 600 times" in text
    assert "windows: 3,000 rules cost 1.25 times what 1,000 do" in text
    assert "- 500: a sequence or sample" in text
    assert "Of 1,200 rules, 700 can be compared" in text
    assert "real Linux events: not here" in text
    assert "3,000 (1,800 variants)" in text


def test_every_row_of_a_table_has_the_columns_of_its_header() -> None:
    for table in re.findall(r"(?:^\|.*\n)+", page(results()), re.MULTILINE):
        widths = {line.count("|") for line in table.splitlines()}
        assert len(widths) == 1, table


def test_the_section_about_compiling_keeps_its_place() -> None:
    section = (
        "<!-- Compiling EQL: written by benchmarks/compile_rules.py. -->\n\nnew\n\n"
        "<!-- End of compiling EQL. -->\n"
    )
    once = with_section("# Page\n", section)
    assert once.startswith("# Page\n\n<!-- Comp")
    assert with_section(once + "after\n", section.replace("new", "newer")) == (
        once.replace("new", "newer") + "after\n"
    )


def test_the_spread_is_the_median_and_the_ends() -> None:
    assert spread([3.0, 1.0, 2.0]).text() == "2.0 (1.0-3.0)"
    assert spread([2.0, 2.01]).text() == "2.0"


def test_the_plot_has_a_line_for_each_thing_measured() -> None:
    drawn = ET.fromstring(svg("title", "rules", "µs", plot_lines(results())))
    labels = [text.text for text in drawn.iter(f"{NAMESPACE}text")]
    for label in (
        "windows, bytes to alerts",
        "windows, bytes to verdict",
        "generated, bytes to alerts",
        "eql package",
        "naive loop",
    ):
        assert label in labels
    assert len(list(drawn.iter(f"{NAMESPACE}polyline"))) == 5


@given(
    st.lists(
        st.lists(st.tuples(st.floats(1, 1e5), st.floats(1e-3, 1e6)), min_size=1, max_size=5),
        min_size=1,
        max_size=6,
    )
)
def test_everything_lies_inside_the_plot_and_no_label_covers_another(
    lines: list[list[tuple[float, float]]],
) -> None:
    text = svg("a < b & c", "x", "y", [Line(f"<{n}>", sorted(p)) for n, p in enumerate(lines)])
    drawn = ET.fromstring(text)
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    for circle in drawn.iter(f"{NAMESPACE}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= width
        assert 0 <= float(circle.attrib["cy"]) <= height
    heights = sorted(
        float(each.attrib["y"])
        for each in drawn.iter(f"{NAMESPACE}text")
        if (each.text or "").startswith("<")
    )
    assert len(heights) == len(lines)
    assert all(low + 12 < high for low, high in itertools.pairwise(heights))


@pytest.mark.parametrize("points", [[], [(1.0, 0.0)], [(-1.0, 1.0)]])
def test_what_a_logarithmic_axis_cannot_show_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        svg("title", "x", "y", [Line("line", points)])
