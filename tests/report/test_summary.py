from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from report.conftest import Builder, edit
from report.described import LABELS
from report.performed import add_performance
from report.reading import Page, read
from survfuse.report.facts import facts
from survfuse.report.report_tables import compute_tables
from survfuse.report.summary import doubts, summary
from survfuse.report.verdict import calibrated, judge
from survfuse.results import Result

TITLES = [
    "Patients",
    "What was predicted",
    "How well",
    "Against clinical variables",
    "Are the probabilities right",
    "What each modality adds",
    "What to doubt",
]


def summed(out: Path) -> dict[str, str]:
    tables = compute_tables(Result.read(out))
    rows = summary(tables, judge(tables), facts(tables))
    assert [row["title"] for row in rows] == TITLES
    return {row["title"]: " ".join([row["text"], *row["items"]]) for row in rows}


def test_a_run_is_summed_up_in_sentences(full_folder: Path, full: Page) -> None:
    told = summed(full_folder)
    assert "150 patients of riverside bladder; " in told["Patients"]
    assert "(endpoint: time to recurrence)" in told["Patients"]
    assert "from clinical, slides, rna" in told["What was predicted"]
    assert "network, concat fusion" in told["What was predicted"]
    assert (
        "the event first in 63% of pairs whose order is known "
        "(Uno C, up to 60 months (5 years); 95% interval 57% to 69%" in told["How well"]
    )
    assert "by chance 50%" in told["How well"]
    assert "in late fusion" not in told["What each modality adds"]
    assert (
        "slides: +0.061 (0.022 to 0.100), ranked better with it"
        in (told["What each modality adds"])
    )
    first = full.text[: full.text.index("How do the risk groups fare?")]
    assert not [
        title for title in TITLES if title not in first and "Against" not in title
    ]


def test_modalities_are_called_by_their_labels(make_run: Builder) -> None:
    out = add_performance(make_run())
    edit(out / "cohort.json", lambda cohort: cohort.update(labels=LABELS))
    told = summed(out)
    assert "from Clinical variables, slides, RNA-seq" in told["What was predicted"]
    assert "RNA-seq: +0.045" in told["What each modality adds"]
    text = read(out).text
    for words in ("RNA-seq alone (ridge Cox)", "Clinical variables × slides"):
        assert words in text, words


def test_an_early_run_says_what_it_does_not_know(make_run: Builder) -> None:
    told = summed(make_run())
    assert told["Are the probabilities right"] == "Not computed by this run."
    assert "what each adds is not known" in told["What each modality adds"]
    assert "how the model does in others is not known" in told["What to doubt"]


def test_the_share_of_pairs_is_not_rounded_onto_chance(make_run: Builder) -> None:
    out = make_run()
    edit(
        out / "metrics.json",
        lambda told: told["default:concat"]["uno_c"].update(low=0.4988, high=0.502),
    )
    assert "49.9% to 50.2%" in summed(out)["How well"]
    assert "not shown to rank better than chance" in summed(out)["How well"]


def test_a_score_that_is_not_there_says_why(make_run: Builder) -> None:
    out = make_run()
    lost = {"value": None, "low": None, "high": None, "note": "3 events are too few"}

    def lose(metrics: dict[str, Any]) -> None:
        for key in ("uno_c", "harrell_c"):
            metrics["default:concat"][key].update(lost)

    edit(out / "metrics.json", lose)
    assert "not computable: 3 events are too few" in summed(out)["How well"]


@pytest.mark.parametrize(
    ("ratio", "slope", "says"),
    [
        ((0.8, 1.3), (0.6, 1.2), "The number of events is not shown to differ"),
        ((1.1, 1.3), (0.6, 1.2), "More events came than predicted"),
        ((0.7, 0.9), (0.6, 1.2), "Fewer events came than predicted"),
        ((0.8, 1.3), (0.6, 0.9), "different patients lie too far apart"),
        ((0.8, 1.3), (1.1, 1.9), "different patients lie too close together"),
        ((0.8, 1.3), (0.6, 1.2), "includes 1 does not prove calibration"),
    ],
)
def test_calibration_is_never_called_proven(
    make_run: Builder,
    ratio: tuple[float, float],
    slope: tuple[float, float],
    says: str,
) -> None:
    out = add_performance(make_run())

    def change(told: dict[str, Any]) -> None:
        for key, (low, high) in (
            ("observed_expected", ratio),
            ("calibration_slope", slope),
        ):
            told["default:concat"][key].update(low=low, high=high, value=1.0)

    edit(out / "metrics.json", change)
    assert says in calibrated(compute_tables(Result.read(out)))


def test_the_gravest_doubts_come_first_and_are_few() -> None:
    made: Any = [
        {"id": str(i), "status": status, "severity": severity}
        for i, (status, severity) in enumerate(
            [
                ("ok", "error"),
                ("warning", "warning"),
                ("warning", "error"),
                ("failed", "warning"),
                ("failed", "error"),
            ],
        )
    ]
    assert [check["id"] for check in doubts(made)] == ["4", "3", "2"]
