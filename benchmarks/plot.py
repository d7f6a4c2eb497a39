"""A plot as SVG, both axes logarithmic, so that the docs need no library to draw it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import floor, log10
from typing import Final

import attrs

_WIDTH: Final = 760
_HEIGHT: Final = 440
_LEFT: Final = 70
_RIGHT: Final = 210
_TOP: Final = 30
_BOTTOM: Final = 56
_LABEL_DISTANCE: Final = 15
_STYLES: Final = (
    ("#1b6ca8", ""),
    ("#1b6ca8", "7 4"),
    ("#2a8f5a", ""),
    ("#b06a00", ""),
    ("#8a4fb0", "3 3"),
    ("#b3261e", ""),
)
"""Colour and dashes of each line; told apart by both, and by the label at its end."""


@attrs.frozen
class Line:
    """One line of a plot: its label, and its points from left to right; values above 0."""

    label: str
    points: Sequence[tuple[float, float]]


def svg(title: str, x_label: str, y_label: str, lines: Sequence[Line]) -> str:
    """Return a plot of the lines; those without points are left out.

    Raises:
        ValueError: there is no point at all, or a value is not above 0.
    """
    drawn = [line for line in lines if line.points]
    x_axis = _Axis.over([x for line in drawn for x, _ in line.points], _LEFT, _WIDTH - _RIGHT)
    y_axis = _Axis.over([y for line in drawn for _, y in line.points], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        *_grid(x_axis, y_axis),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, x_label, "middle"),
        _text(_LEFT, _TOP - 12, y_label, "start"),
    ]
    heights = _label_heights([y_axis.place(line.points[-1][1]) for line in drawn])
    for number, (line, height) in enumerate(zip(drawn, heights, strict=True)):
        colour, dashes = _STYLES[number % len(_STYLES)]
        places = [(x_axis.place(x), y_axis.place(y)) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dashes}"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        end = places[-1][0] + 8
        parts.append(_text(end, height + 4, line.label, "start", colour))
    return "\n".join([*parts, "</svg>", ""])


@attrs.frozen
class _Axis:
    """A logarithmic axis, from a power of ten to the greatest value."""

    low: int
    high: float
    begin: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float) -> _Axis:
        if not values or min(values) <= 0:
            raise ValueError("a logarithmic axis needs values, all above 0")
        low = floor(log10(min(values)))
        return cls(low, max(log10(max(values)), low + 1), begin, end)

    def place(self, value: float) -> float:
        share = (log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def powers(self) -> list[float]:
        return [float(10**power) for power in range(self.low, floor(self.high) + 1)]


def _grid(x_axis: _Axis, y_axis: _Axis) -> Iterator[str]:
    for value in x_axis.powers():
        x = x_axis.place(value)
        yield _rule(x, x, y_axis.begin, y_axis.end)
        yield _text(x, y_axis.begin + 18, _number(value), "middle")
    for value in y_axis.powers():
        y = y_axis.place(value)
        yield _rule(x_axis.begin, x_axis.end, y, y)
        yield _text(x_axis.begin - 8, y + 4, _number(value), "end")


def _label_heights(wanted: Sequence[float]) -> list[float]:
    """Return where labels go so that none covers another, near where each is wanted."""
    places = [0.0] * len(wanted)
    lowest = float("-inf")
    for number in sorted(range(len(wanted)), key=lambda number: wanted[number]):
        lowest = max(wanted[number], lowest + _LABEL_DISTANCE)
        places[number] = lowest
    return places


def _rule(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333333") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
