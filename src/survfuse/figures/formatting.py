"""Numbers, times and names as a reader wants to see them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from survfuse.survival.estimate import rounded

MISSING = "–"
DAYS_IN = {"days": 1.0, "months": 365.25 / 12, "years": 365.25}
STEPS = {
    "days": (1, 2, 5, 7, 14, 30, 60, 90),
    "months": (1, 2, 3, 6, 12, 24, 36, 60, 120),
    "years": (0.25, 0.5, 1, 2, 5, 10, 20),
}
MOST_TICKS = 9
INTACT = "intact"
GROUPS_OF_LOSS = {
    "removed": "A modality removed",
    "only": "One modality alone",
    "missing": "Clinical values missing",
}


def known(value: Any) -> bool:
    """Whether a value is there: not None, not NaN, not empty text.

    >>> known(0.0), known(None), known(float("nan"))
    (True, False, False)
    """
    if value is None or value == "":
        return False
    return not (isinstance(value, float) and math.isnan(value))


def bounded(row: Any) -> bool:
    """Whether an estimate is there and has both ends of its interval."""
    return row is not None and known(row["low"]) and known(row["high"])


def number(value: Any, digits: int = 3) -> str:
    """Write a number with a fixed count of decimals, a dash where there is none.

    >>> number(0.61239), number(-0.0001), number(None)
    ('0.612', '0.000', '–')
    """
    return (
        f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "−")
        if known(value)
        else MISSING
    )


def count(value: Any) -> str:
    """Write a count with thousands set apart.

    >>> count(12345.0)
    '12,345'
    """
    return f"{round(float(value)):,}".replace("-", "−") if known(value) else MISSING


def percent(value: Any, digits: int = 0) -> str:
    """Write a share of 0 to 1 as a percentage; only none reads "0%", and only all "100%".

    >>> percent(0.256), percent(0.001), percent(0.0), percent(0.996), percent(1.0)
    ('26%', '<1%', '0%', '>99%', '100%')
    """
    if not known(value):
        return MISSING
    smallest = 10.0**-digits
    if 0 < value * 100 < smallest / 2:
        return f"<{smallest:g}%"
    if 100 - smallest / 2 <= value * 100 < 100:
        return f">{100 - smallest:g}%"
    return f"{value * 100:.{digits}f}%"


def interval(
    low: Any,
    high: Any,
    digits: int = 3,
) -> str:
    """Write the two ends of an interval, neither moved onto 0, 0.5 or 1 by rounding.

    >>> interval(0.51, 0.6449), interval(-0.0003, 0.012)
    ('0.510 to 0.645', '−0.0003 to 0.012')
    """
    if not (known(low) and known(high)):
        return MISSING
    return f"{rounded(low, digits)} to {rounded(high, digits)}".replace("-", "−")


def difference(value: Any, digits: int = 3) -> str:
    """Write a difference with its sign; one that is not 0 never reads so.

    >>> difference(0.0612), difference(-0.0002), difference(0.0)
    ('+0.061', '−0.0002', '0.000')
    """
    return (
        rounded(value, digits, signed=True).replace("-", "−")
        if known(value)
        else MISSING
    )


def p_value(value: Any) -> str:
    """Write a p-value the way journals ask for it.

    >>> p_value(0.0004), p_value(0.0371), p_value(0.21), p_value(0.9981)
    ('p < 0.001', 'p = 0.037', 'p = 0.21', 'p > 0.99')
    """
    if not known(value):
        return MISSING
    if value < 0.001:
        return "p < 0.001"
    if 0.995 <= value < 1:
        return "p > 0.99"
    return f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def plain(value: Any) -> str:
    """Write a time in at most four significant digits beyond its whole part.

    >>> plain(1826.25), plain(36.0), plain(0.5)
    ('1,826.25', '36', '0.5')
    """
    return f"{float(value):,.2f}".rstrip("0").rstrip(".") if known(value) else MISSING


def duration(time: Any, unit: str) -> str:
    """Write a time with its unit, and in years beside it where they come out even or days are many.

    >>> duration(36, "months"), duration(34.21, "months")
    ('36 months (3 years)', '34.21 months')
    >>> duration(1826.25, "days"), duration(1500, "days")
    ('1,826.25 days (5 years)', '1,500 days (4.1 years)')
    """
    if not known(time):
        return MISSING
    text = f"{plain(time)} {unit if float(time) != 1 else unit.removesuffix('s')}"
    years = float(time) * DAYS_IN.get(unit, math.nan) / DAYS_IN["years"]
    if unit == "years" or math.isnan(years) or years < 0.99:
        return text
    if (
        abs(years - round(years)) <= 0.001 + 0.001 * years
    ):  # a year of 365 or of 365.25 days
        return f"{text} ({round(years)} year{'s' if round(years) != 1 else ''})"
    return f"{text} ({years:.1f} years)" if unit == "days" and years >= 2 else text


def label(text: Any, limit: int = 40) -> str:
    r"""Make a name safe to draw: one line, printable, cut with an ellipsis.

    >>> label("clinical\n+ RNA", 12)
    'clinical + …'
    """
    line = re.sub(r"\s+", " ", str(text)).strip()
    line = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for letter in line
    )
    return line if len(line) <= limit else line[: limit - 1] + "…"


def loss(
    kind: str,
    what: str,
    *,
    within_sentence: bool = False,
) -> str:
    """Name what patients have lost, as a row of `GROUPS_OF_LOSS` or within a sentence.

    >>> loss("removed", "slides"), loss("only", "slides"), loss("missing", "25"), loss("intact", "")
    ('without slides', 'slides alone', '25% of them', 'as it is')
    >>> loss("only", "slides", within_sentence=True), loss("missing", "25", within_sentence=True)
    ('with slides alone', 'with 25% of clinical values missing')
    """
    names = {
        "removed": f"without {what}",
        "only": f"{what} alone",
        "missing": f"{what}% of clinical values missing"
        if within_sentence
        else f"{what}% of them",
    }
    name = names.get(kind, "as it is")
    return f"with {name}" if within_sentence and kind != "removed" else name


def plural(amount: Any, noun: str) -> str:
    """Write a count and its noun.

    >>> plural(1, "event"), plural(1200, "patient")
    ('1 event', '1,200 patients')
    """
    return f"{count(amount)} {noun}{'' if known(amount) and round(float(amount)) == 1 else 's'}"


@dataclass(frozen=True)
class TimeAxis:
    """A time axis in the unit that reads best.

    Attributes
    ----------
    unit : str
        Unit drawn: that of the cohort, or years for long spans of days.
    per_unit : float
        Cohort units in one drawn unit.
    ticks : tuple of float
        Where the ticks lie, in the cohort's unit, from 0.
    """

    unit: str
    per_unit: float
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, span: float, unit: str) -> TimeAxis:
        """Choose unit and ticks for times from 0 to `span` of the cohort's unit.

        >>> TimeAxis.of(60.0, "months").ticks
        (0.0, 12.0, 24.0, 36.0, 48.0, 60.0)
        """
        drawn = unit
        if unit == "days" and span > 2 * DAYS_IN["years"]:
            drawn = "years"
        elif unit == "days" and span > 90:
            drawn = "months"
        per_unit = DAYS_IN[drawn] / DAYS_IN[unit] if unit in DAYS_IN else 1.0
        wanted = span / per_unit / (MOST_TICKS - 1)
        steps = STEPS.get(drawn, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000))
        step = next((size for size in steps if size >= wanted), math.ceil(wanted))
        ticks = tuple(
            i * step * per_unit
            for i in range(MOST_TICKS + 1)
            if i * step * per_unit <= span * 1.0001
        )
        return cls(drawn, per_unit, ticks)

    @property
    def labels(self) -> tuple[str, ...]:
        """Text of the ticks, in the drawn unit."""
        return tuple(plain(tick / self.per_unit) for tick in self.ticks)

    @property
    def step(self) -> float:
        """Distance of two ticks, in the cohort's unit; NaN with one tick."""
        return next((b - a for a, b in pairwise(self.ticks)), math.nan)
