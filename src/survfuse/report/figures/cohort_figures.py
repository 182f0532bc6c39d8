"""Who has which modalities."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from survfuse.report.figures._shared import WIDTH
from survfuse.report.formatting import count, label
from survfuse.report.svg import BLUE, RULE, draw

MOST_PATTERNS = 12


def patterns(table: pd.DataFrame, modalities: Sequence[str]) -> str:
    """Draw which modalities patients have together: bars over a matrix of dots.

    Parameters
    ----------
    table : DataFrame
        `modalities` (tuple of names), `patients`; most frequent first.
    modalities : sequence of str
        Rows of the matrix, from the top.
    """
    shown = table.head(MOST_PATTERNS)
    rows = {name: len(modalities) - 1 - i for i, name in enumerate(modalities)}

    def paint(figure: Figure) -> None:
        ratios = [1.5, 0.28 * len(rows) + 0.25]
        bars, dots = figure.subplots(2, 1, sharex=True, height_ratios=ratios)
        bars.bar(range(len(shown)), shown["patients"], width=0.55, color=BLUE)
        for x, patients in enumerate(shown["patients"]):
            bars.annotate(
                count(patients),
                (x, patients),
                (0, 2),
                textcoords="offset points",
                ha="center",
                size=8.5,
            )
        bars.set_ylabel("Patients")
        bars.margins(y=0.15)
        bars.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        bars.tick_params(bottom=False)
        _dot_matrix(dots, shown, rows)

    listing = "; ".join(
        f"{', '.join(names) or 'none'}: {count(n)}"
        for names, n in zip(shown["modalities"], shown["patients"], strict=True)
    )
    width = min(WIDTH, 3.0 + 0.62 * len(shown))
    alt = f"Patients by the modalities they have. {listing}."
    return draw("patterns", (width, 2.2 + 0.28 * len(rows)), paint, alt)


def _dot_matrix(axes: Axes, shown: pd.DataFrame, rows: dict[str, int]) -> None:
    for y in rows.values():
        if y % 2 == 0:
            axes.axhspan(y - 0.5, y + 0.5, color="#eef1f4", lw=0)
        axes.scatter(
            range(len(shown)),
            [y] * len(shown),
            s=44,
            color="#ffffff",
            edgecolors=RULE,
            lw=1,
            zorder=4,
        )
    for x, names in enumerate(shown["modalities"]):
        there = [rows[name] for name in names if name in rows]
        axes.scatter([x] * len(there), there, s=46, color=BLUE, zorder=5)
        if there:
            axes.plot([x, x], [min(there), max(there)], color=BLUE, lw=2, zorder=3)
    axes.set_yticks(list(rows.values()), [label(name, 24) for name in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[["left", "bottom"]].set_visible(False)
