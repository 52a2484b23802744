"""Plots as inline SVG. Colours are classes of the style sheet; each plot says in words what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_WIDTH, _LABEL = 460, 96  # units of the view box
_ROW, _BAR = 30, 16
_HEIGHT, _AXIS = 150, 22
_SERIES = 6  # colours that the style sheet has


@dataclass(frozen=True)
class Part:
    """A piece of a bar; ``style`` is a class of the style sheet, ``text`` what a pointer over it is told."""

    value: float
    style: str
    text: str


@dataclass(frozen=True)
class Bar:
    """A row: its name, its pieces from the left, and what stands behind them."""

    label: str
    parts: Sequence[Part]
    note: str


def rows(title: str, bars: Sequence[Bar], largest: float | None = None) -> Markup:
    """Horizontal bars, one below the other; ``largest`` is the value that fills the width."""
    top = largest or max((sum(part.value for part in bar.parts) for bar in bars), default=0) or 1
    room = _WIDTH - _LABEL - 116
    drawn = [Markup()]
    for number, bar in enumerate(bars):
        y, x = number * _ROW, float(_LABEL)
        drawn.append(_text(_LABEL - 8, y + _BAR - 3, bar.label, "end"))
        for part in bar.parts:
            width = part.value / top * room
            drawn.append(_rectangle(x, y, width, _BAR, part.style, part.text))
            x += width
        drawn.append(_text(x + 8, y + _BAR - 3, bar.note, "start", "note"))
    words = "; ".join(f"{bar.label}: {bar.note}" for bar in bars)
    return _svg(title, words, max(len(bars), 1) * _ROW, drawn)


def columns(title: str, steps: Sequence[str], series: Sequence[tuple[str, Sequence[int]]]) -> Markup:
    """Columns over time, the series stacked; ``series`` are a name and a number for each step."""
    totals = [sum(values[index] for _, values in series) for index in range(len(steps))]
    top = max(totals, default=0) or 1
    wide = (_WIDTH - 40) / max(len(steps), 1)
    drawn = [_text(34, 12, str(top), "end"), _text(34, _HEIGHT - _AXIS, "0", "end")]
    for index, step in enumerate(steps):
        y = float(_HEIGHT - _AXIS)
        for number, (name, values) in enumerate(series):
            height = values[index] / top * (_HEIGHT - _AXIS - 6)
            y -= height
            text = f"{step}, {name}: {values[index]}"
            gap = min(3.0, wide / 4)
            drawn.append(_rectangle(40 + index * wide, y, min(wide - gap, 40), height, series_style(number), text))
    if steps:
        drawn.append(_text(40, _HEIGHT - 4, steps[0], "start"))
    if len(steps) > 1:
        drawn.append(_text(_WIDTH, _HEIGHT - 4, steps[-1], "end"))
    words = f"{sum(totals)} from {steps[0]} to {steps[-1]}, at most {top} at a time" if steps else "none"
    return _svg(title, words, _HEIGHT, drawn)


def series_style(number: int) -> str:
    """The class of the n-th series."""
    return f"series-{number % _SERIES}"


def _svg(title: str, words: str, height: int, drawn: Sequence[Markup]) -> Markup:
    name = escape(f"{title}. {words}.")
    inner = Markup().join(drawn)
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, height, name, inner
    )


def _rectangle(x: float, y: float, width: float, height: float, style: str, text: str) -> Markup:
    if width <= 0 or height <= 0:
        return Markup()
    frame = '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2"><title>{}</title></rect>'
    return Markup(frame).format(style, x, y, width, height, text)


def _text(x: float, y: float, text: str, anchor: str, style: str = "label") -> Markup:
    frame = '<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>'
    return Markup(frame).format(style, x, y, anchor, text)
