from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from figures.drawn import new_axes
from small_explanations import measured_explanation, small_explanation
from survfuse._errors import InputError
from survfuse.figures.contribution_figures import UNSURE


def bars(ax: Axes) -> dict[str, float]:
    """Width of each bar by its name."""
    names = [label.get_text() for label in ax.get_yticklabels()]
    return {name: bar.get_width() for name, bar in zip(names, ax.patches, strict=False)}


def largest_first(values: pd.Series) -> list[float]:
    return sorted(values, key=abs, reverse=True)


def test_variables_are_those_of_the_table_with_their_values() -> None:
    explanation, ax = small_explanation(), new_axes()
    assert explanation.plot_variables("003", ax) is ax
    table = explanation.variables
    own = table[table["patient_id"] == "003"]
    drawn = bars(ax)
    assert list(drawn.values()) == pytest.approx(largest_first(own["contribution"]))
    for row in own.to_dict("records"):
        assert any(name.startswith(row["column"]) for name in drawn)
    assert ax.get_yticklabels()[-1].get_text() == "all of clinical"
    assert explanation.terms.at["003", "clinical"] == pytest.approx(
        sum(drawn.values()), abs=1e-6
    )


def test_genes_beyond_the_most_are_summed() -> None:
    explanation = small_explanation()
    ax = explanation.plot_genes("003", new_axes(), most=3)
    own = explanation.genes_of("003")
    assert list(bars(ax).values()) == pytest.approx(
        largest_first(own["contribution"])[:3]
    )
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[-2:] == [f"{len(own) - 3} others", "all of expression"]


def test_clusters_are_those_of_the_table() -> None:
    explanation = small_explanation()
    ax = explanation.plot_clusters("003", new_axes())
    table = explanation.clusters
    own = table[table["patient_id"] == "003"]
    assert list(bars(ax).values()) == pytest.approx(largest_first(own["contribution"]))
    first = own.loc[own["contribution"].abs().idxmax()]
    assert next(iter(bars(ax))).startswith(f"cluster {first['cluster']} (")


def test_what_does_not_reproduce_is_grey_and_says_so() -> None:
    explanation = measured_explanation()  # whose expression is grey
    ax = explanation.plot_genes("003", new_axes())
    assert {to_hex(bar.get_facecolor()) for bar in ax.patches} == {UNSURE}
    assert ax.get_title(loc="left") == "Patient 003\ngrey: does not reproduce"
    ax = explanation.plot_variables("003", new_axes())
    assert UNSURE not in {to_hex(bar.get_facecolor()) for bar in ax.patches}
    assert ax.get_title(loc="left") == "Patient 003\nagreement not measured"


@pytest.mark.parametrize("method", ["plot_variables", "plot_genes", "plot_clusters"])
def test_patients_and_modalities_that_are_not_there_are_refused(method: str) -> None:
    draw = getattr(small_explanation(), method)
    with pytest.raises(InputError, match=r"no patient 'X' among the 24 explained"):
        draw("X")
    with pytest.raises(InputError, match=r"modality: expected .*; got 'mri'"):
        draw("003", modality="mri")
