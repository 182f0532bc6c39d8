from __future__ import annotations

import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from predicted import TIMES, crossed, fold_of, predicted
from survfuse._registry import Registry
from survfuse.evaluation import assessment, metric_registry
from survfuse.evaluation.assessment import METRICS, assess, cards
from survfuse.evaluation.assessment_settings import Scale
from survfuse.evaluation.metric_registry import FAMILIES, Metric, register
from survfuse.report.names import family_title, metric, order

SCALE = Scale((10.0, 30.0), 30.0, draws=0, times=TIMES)
DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"
PLUGIN = '''
"""Mean log-risk, a metric of another package."""

from survfuse.evaluation.metric_registry import Metric, Score, register


def _mean_risk(fold, at):
    share = fold.risk / len(fold)
    return Score(share.sum(), share - share.mean())


register(
    Metric(
        "mean_risk",
        "Mean log-risk",
        "Other",
        "",
        "Of all patients.",
        "mean over patients",
        needs=("log_risk",),
        influence=_mean_risk,
    ),
)
'''


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
    assert names[:3] == ["uno_c", "harrell_c", "auc_12"]


def test_the_documentation_lists_every_metric() -> None:
    rows = DOCS.read_text(encoding="utf-8")
    for card in cards():
        key = f"{card.key}_<h>" if card.at_horizon else card.key
        assert f"| {card.title} | `{key}` | {card.better} | {card.method} |" in rows


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


def test_another_package_adds_a_metric_in_one_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a_package_with_a_metric.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mean_risk", "a_package_with_a_metric", "survfuse.metrics")
    monkeypatch.setattr("survfuse._registry.entry_points", lambda group: [point])
    registry: Registry[Metric] = Registry("metric", group="survfuse.metrics")
    monkeypatch.setattr(metric_registry, "METRICS", registry)
    monkeypatch.setattr(assessment, "METRICS", registry)
    try:
        fold = fold_of(predicted())
        (name, estimate), *others = assess([fold], SCALE).items()
    finally:
        sys.modules.pop("a_package_with_a_metric", None)
    assert (name, others) == ("mean_risk", [])
    assert estimate.value == pytest.approx(fold.risk.mean())
    assert estimate.se == pytest.approx(np.std(fold.risk) / np.sqrt(len(fold)))
