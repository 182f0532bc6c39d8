from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from predicted import TIMES, crossed, fold_of, predicted
from survfuse.evaluation.assessment import METRICS, assess, cards
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.metric_registry import FAMILIES, Metric, register
from survfuse.report.names import family_title, metric, order

SCALE = Scale((10.0, 30.0), 30.0, draws=0, times=TIMES)
DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"


@pytest.mark.parametrize("key", list(METRICS))
def test_every_metric_is_described(key: str) -> None:
    card = METRICS.build(key)
    assert card.key == key
    assert card.family in FAMILIES
    assert card.better in {"higher", "lower", "1 is best", ""}
    assert set(card.needs) <= {"log_risk", "survival"}
    assert card.title
    assert card.summary.endswith(".")
    shown = metric(card.name(12), "months")
    assert shown.title.startswith(card.title)
    assert (shown.better, shown.family, shown.says) == (
        card.better,
        card.family,
        card.summary,
    )
    assert family_title(card.name(12)) == card.title


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.key)
def test_every_metric_needs_what_its_card_says(card: Metric) -> None:
    fold = fold_of(predicted())
    lacking = {
        "log_risk": replace(fold, log_risk=None),
        "survival": replace(fold, curves=None),
    }
    for missing, without in lacking.items():
        estimates = assess([without], SCALE, [card.key])
        computable = card.needs != (missing,)
        assert [e.value is not None for e in estimates.values()] == [computable] * (
            2 if card.at_horizon else 1
        )
    neither = replace(fold, log_risk=None, curves=None)
    for estimate in assess([neither], SCALE, [card.key]).values():
        assert estimate.value is None
        assert "the predictions hold n" in estimate.note


def test_some_metrics_are_those_of_all() -> None:
    folds = crossed(predicted())
    every = assess(folds, SCALE)
    assert list(every) == sorted(every, key=list(every).index)
    some = assess(folds, SCALE, ["observed_expected", "uno_c", "brier"])
    assert list(some) == ["uno_c", "brier_10", "brier_30", "observed_expected"]
    assert all(every[name] == estimate for name, estimate in some.items())


def test_the_report_lists_metrics_by_family() -> None:
    names = sorted((card.name(12) for card in cards()), key=order)
    families = [FAMILIES.index(metric(name, "months").family) for name in names]
    assert families == sorted(families)
    first = ["uno_c", "harrell_c", "auc_12"]
    assert [name for name in names if name in first] == first


def test_the_documentation_lists_every_metric() -> None:
    page = DOCS.read_text(encoding="utf-8")
    table = page.partition("| metric | key |")[2].partition("\n\n")[0]
    rows = []
    for card in cards():
        key = f"{card.key}_<h>" if card.at_horizon else card.key
        rows.append(f"| {card.title} | `{key}` | {card.better} | {card.method} |")
    assert sorted(table.splitlines()[2:]) == sorted(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "Guesses"}, "expected a family of Ranking"),
        ({"influence": None}, "expected either influence or pooled"),
        ({"pooled": lambda model, at: None}, "expected either influence or pooled"),
        ({}, "'uno_c' is registered twice"),
    ],
)
def test_a_wrong_card_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        register(replace(METRICS.build("uno_c"), **change))  # type: ignore[arg-type]
