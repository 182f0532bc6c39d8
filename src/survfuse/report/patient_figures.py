"""Small figures of a patient's page: SVG whose colours and texts the page's style sheet sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup, escape

from survfuse._types import FloatArray
from survfuse.figures.formatting import TimeAxis, duration, percent
from survfuse.report.patient_outlook import Population

WIDTH, HEIGHT = 380.0, 236.0
LEFT, RIGHT, TOP, BOTTOM = 42.0, 8.0, 10.0, 38.0
ICONS = 100
MOST_LABELS = 7
"""On the axis of time."""


class _Frame(NamedTuple):
    """Where times and shares of patients lie in the figure of curves."""

    last: float

    def x(self, time: Any) -> Any:
        return LEFT + (WIDTH - LEFT - RIGHT) * time / self.last

    def y(self, share: Any) -> Any:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def survival_figure(facts: dict[str, Any]) -> Markup:
    """Draw the survival of a patient and of the training patients.

    Parameters
    ----------
    facts : dict
        As :func:`survfuse.report.patient_outlook.outlook` gives them.
    """
    population: Population = facts["population"]
    curve, unit, horizon = facts["curve"], facts["unit"], facts["horizon"]
    ends = [population.time[-1], horizon]
    ends += [] if curve is None else [curve["time"][-1]]
    frame = _Frame(float(max(ends)))
    parts = _axes(frame, unit)
    parts += _band(frame, population)
    parts.append(_path(frame, population.time, population.survival, "population"))
    x = frame.x(horizon)
    parts.append(f'<path class="horizon" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    said = [f"training patients: {_at(facts['average']['risk'])} with the event"]
    if curve is not None:
        parts.append(_path(frame, curve["time"], curve["survival"], "patient"))
        said.insert(0, f"this patient: {_at(facts['risk'])} with the event")
    elif facts["time"] is not None:
        at = frame.x(min(facts["time"], frame.last))
        parts.append(f'<path class="patient" d="M{at:.1f} {frame.y(0)}v-14"/>')
    text = f"Survival over time. By {duration(horizon, unit)}: {'; '.join(said)}"
    return _svg("curves", (WIDTH, HEIGHT), text, parts)


def icons(share: float, text: str) -> Markup:
    """Draw 100 patients, those with the event filled.

    Parameters
    ----------
    share : float
        Of patients with the event, 0 to 1.
    text : str
        What the figure says, for those who cannot see it.
    """
    parts, filled = [], round(ICONS * share)
    for number in range(ICONS):
        row, column = divmod(number, 20)
        kind = "event" if number < filled else "free"
        parts.append(
            f'<circle class="{kind}" cx="{8 + 16 * column}" cy="{8 + 16 * row}" r="5.5"/>'
        )
    return _svg("icons", (320.0, 80.0), text, parts)


def bar(value: float, most: float, grey: bool = False) -> Markup:
    """Draw a contribution as a bar to the right (raises) or left (lowers) of a line.

    Parameters
    ----------
    value : float
    most : float
        Size at which a bar has its full length.
    grey : bool
        Whether it does not reproduce.
    """
    length = 48 * min(1.0, abs(value) / most) if most > 0 else 0.0
    start = 50 if value > 0 else 50 - length
    kind = "grey" if grey else "raises" if value > 0 else "lowers"
    return Markup(
        '<svg class="bar" viewBox="0 0 100 9" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{kind}" x="{start:.1f}" y="1" width="{length:.1f}" height="7"/>'
        '<path d="M50 0V9"/></svg>'
    )


def _axes(frame: _Frame, unit: str) -> list[str]:
    """Lines, ticks and titles of both axes."""
    axis = TimeAxis.of(frame.last, unit)
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = frame.y(share)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        if share in (0.0, 0.5, 1.0):
            parts.append(
                f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'
            )
    every = -(-len(axis.ticks) // MOST_LABELS)
    for tick, label in list(zip(axis.ticks, axis.labels, strict=True))[::every]:
        x = frame.x(tick)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{label}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    title = f"Time ({escape(axis.unit)})"
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">{title}</text>'
    )
    return parts


def _band(frame: _Frame, population: Population) -> list[str]:
    """Interval of the training patients' curve."""
    if population.low is None or population.high is None:
        return []
    known = np.isfinite(population.low) & np.isfinite(population.high)
    time, low, high = (
        values[known] for values in (population.time, population.low, population.high)
    )
    if len(time) < 2:
        return []
    there = _points(frame, time, high)
    back = _points(frame, time, low)[::-1]
    return [f'<path class="band" d="M{"L".join([*there, *back])}Z"/>']


def _points(frame: _Frame, time: FloatArray, share: FloatArray) -> list[str]:
    """Corners of a step curve."""
    corners = [f"{frame.x(time[0]):.1f} {frame.y(share[0]):.1f}"]
    for place in range(1, len(time)):
        x = frame.x(time[place])
        corners += [
            f"{x:.1f} {frame.y(share[place - 1]):.1f}",
            f"{x:.1f} {frame.y(share[place]):.1f}",
        ]
    return corners


def _path(frame: _Frame, time: FloatArray, share: FloatArray, kind: str) -> str:
    return f'<path class="{kind}" d="M{"L".join(_points(frame, time, share))}"/>'


def _at(risk: float | None) -> str:
    return "not known" if risk is None else percent(risk)


def _svg(
    kind: str, size: tuple[float, float], text: str, parts: Sequence[str]
) -> Markup:
    width, height = size
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(text)}">{"".join(parts)}</svg>'
    )
