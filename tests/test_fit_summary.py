from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import numpy as np
import pytest

from running import loaded, quick, small
from survfuse._storage import read_json
from survfuse.cohort import Cohort
from survfuse.fit_summary import (
    MOST_STEPS,
    describe_size,
    kaplan_meier_of,
    priors_of,
    weights_of,
)
from survfuse.readers.priors import Prior
from survfuse.results.schema import PriorRow


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), 60))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"head": "discrete", "bins": 3},
            "not computable: a discrete head is not fitted by a partial",
        ),
        (
            {"selection": "last", "calibration": "km"},
            "not computable: calibration km makes no out-of-fold risks; breslow_oof does",
        ),
    ],
)
def test_a_size_that_is_not_known_says_why(
    cohort: Cohort,
    fields: dict[str, Any],
    why: str,
) -> None:
    model = quick(**fields).fit(cohort)
    assert model.fitted is not None
    summary = model.fitted.summary
    assert summary["effective_parameters"] is None
    assert summary["events_per_effective_parameter"] is None
    assert summary["effective_note"].startswith(why)
    assert why in describe_size(summary)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"fusion": "anchored", "anchor_bags": "mean"},
        {
            "modalities": ("clinical",),
            "epochs": 200,
            "input_dropout": 0.0,
            "weight_decay": 0.0,
        },
    ],
)
def test_events_are_divided_by_effective_parameters(
    cohort: Cohort,
    fields: dict[str, Any],
) -> None:
    model = quick(**fields).fit(cohort)
    assert model.fitted is not None
    summary = model.fitted.summary
    effective = summary["effective_parameters"]
    assert effective is not None
    assert summary["events_per_effective_parameter"] == pytest.approx(
        summary["events"] / effective,
    )
    told = describe_size(summary)
    assert f"{summary['parameters']:,} parameters, effective {effective:.1f}: " in told
    assert "rule of thumb: 10 or more; Riley et al. 2019" in told


def test_an_old_bundle_tells_no_effective_size() -> None:
    assert (
        describe_size({"parameters": 1200})
        == "1,200 parameters; effective: not recorded"
    )


def test_a_model_that_tells_nobody_apart_is_told() -> None:
    summary = {
        "parameters": 9,
        "effective_parameters": 0.0,
        "events_per_effective_parameter": None,
    }
    assert describe_size(summary) == "9 parameters, effective 0: it tells nobody apart"


def test_the_oldest_bundle_is_still_told(tmp_path: Path) -> None:
    assert describe_size({"parameters": 3, "effective_note": ""}).endswith(
        "not recorded",
    )


def test_the_papers_loss_has_a_size_too(cohort: Cohort) -> None:
    """It is no way to treat ties; its effective size is counted as if they were Breslow's."""
    summary = quick(loss="paper", epochs=40).fit(cohort).fitted.summary  # type: ignore[union-attr]
    assert summary["effective_note"]


def test_weights_of_an_early_bundle_are_read() -> None:
    archive = Path(__file__).parent / "archives" / "bundle-2-anchored"
    told = weights_of(read_json(archive / "summary.json"))
    assert told["clinical"]["value"] == pytest.approx(1.0368, abs=1e-4)
    assert told["clinical"]["low"] is None
    assert told["clinical*slides"]["note"] == "no penalty beats the anchors alone"
    assert weights_of({"epochs": [3]}) == {}


def test_weights_have_every_key() -> None:
    stack = {
        "weights": {"rna": {"value": 0.0, "start": 1.0, "gain": 0.5, "needed": 1.92}},
        "notes": {"rna": "as said"},
    }
    assert weights_of({"anchored": stack}) == {
        "rna": {
            "value": 0.0,
            "start": 1.0,
            "low": None,
            "high": None,
            "gain": 0.5,
            "needed": 1.92,
            "note": "as said",
        },
    }


def test_a_prior_says_what_it_was_learned_from() -> None:
    card = {"patients": 900, "events": 200, "endpoints": ["OS"]}
    card["cohorts"] = [{"name": "brca", "patients": 500}, {"name": "luad"}]
    weights = np.array([0.1, -0.2])
    genes = Prior("tcga", "symbol", ("TP53", "EGFR"), weights, card=card)
    signature = Prior("signature", "symbol", ("TP53",), weights[:1])
    source = SimpleNamespace(name="rna")
    modalities = {
        "clinical": SimpleNamespace(kind="clinical"),
        "tcga": SimpleNamespace(kind="prior", prior=genes, source=source),
        "signature": SimpleNamespace(kind="prior", prior=signature, source=source),
        "points": SimpleNamespace(kind="prior", prior=None, columns=("score",)),
    }
    cohort: Any = SimpleNamespace(modalities=modalities)
    tcga, own, points = priors_of(cohort, modalities)
    assert list(tcga) == list(get_type_hints(PriorRow))
    assert (tcga["prior"], tcga["reads"]) == ("tcga", "rna")
    assert tcga["cohorts"] == ["brca", "luad"]
    assert (tcga["patients"], tcga["events"], tcga["endpoints"]) == (900, 200, ["OS"])
    assert (own["prior"], own["cohorts"], own["patients"]) == ("signature", None, None)
    assert (points["prior"], points["reads"]) == (None, "score")


def test_the_kaplan_meier_curve_is_kept_with_its_interval() -> None:
    time, event = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, True])
    curve = kaplan_meier_of(time, event)
    assert curve["time"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert curve["survival"] == pytest.approx([1.0, 0.75, 0.75, 0.375, 0.0])
    assert curve["low"][-1] is None  # where nobody is left there is no variance
    assert 0 < curve["low"][1] < 0.75 < curve["high"][1] < 1  # type: ignore[operator]


def test_a_long_curve_keeps_its_ends() -> None:
    time = np.arange(1.0, 5001.0)
    curve = kaplan_meier_of(time, np.ones(5000, bool))
    assert len(curve["time"]) == MOST_STEPS
    assert curve["time"][0] == 0.0
    assert curve["time"][-1] == 5000.0


def test_a_fitted_model_holds_the_curve_of_its_patients(cohort: Cohort) -> None:
    fitted = quick(fusion="ridge_cox").fit(cohort).need_fitted()
    assert cohort.outcome is not None
    own = cohort.outcome
    wanted = kaplan_meier_of(own["time"].to_numpy(), own["event"].to_numpy())
    assert fitted.summary["kaplan_meier"] == wanted
