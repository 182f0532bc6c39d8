from __future__ import annotations

import pandas as pd
from matplotlib.colors import to_hex

from figures.drawn import new_axes
from survfuse.figures import plot_contributions
from survfuse.figures.contribution_figures import LOWERS, RAISES, UNSURE


def test_every_bar_has_its_colour_and_its_sign() -> None:
    rows = [
        ("up", 0.4, False, False),
        ("down", -0.2, False, False),
        ("in doubt", 0.3, True, False),
        ("sum", 0.5, False, True),
    ]
    table = pd.DataFrame(rows, columns=["name", "value", "grey", "total"])
    ax = new_axes()
    assert plot_contributions(ax, table, title=["one", "two"]) is ax
    bars = [(bar.get_width(), to_hex(bar.get_facecolor())) for bar in ax.patches]
    assert bars == [(0.4, RAISES), (-0.2, LOWERS), (0.3, UNSURE)]
    assert [text.get_text() for text in ax.texts] == [
        "+0.40",
        "−0.20",
        "+0.30",
        "+0.50",
    ]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["up", "down", "in doubt", "sum"]
    assert ax.get_title(loc="left") == "one\ntwo"
