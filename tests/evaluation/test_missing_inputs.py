"""The same fit, the same patients, less of them: as if they had come so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from running import loaded, quick, small
from survfuse._errors import InputError
from survfuse.cohort import BatchSource, Cohort
from survfuse.estimator import Prediction, SurvivalFusion
from survfuse.evaluation.missing_inputs import (
    LessSource,
    Loss,
    Losses,
    nothing_left,
    predictions_with_loss,
    with_log_risk,
)
from survfuse.readers.priors import Prior

ALL = ("clinical", "expression", "slides")
MODELS: dict[str, dict[str, Any]] = {
    "concat": {"vector_hidden": (3,)},
    "anchored": {"fusion": "anchored", "anchor_bags": "mean"},
    "coattention": {"fusion": "coattention", "query_tokens": 2, "members": 2},
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Some lack a modality already, and some have nothing but one."""
    files = small(tmp_path_factory.mktemp("cohort"), patients=40)
    assert files.expression is not None
    assert files.slides is not None
    files.expression = files.expression.drop(index=["031", "032"])
    files.slides = files.slides[~files.slides["patient_id"].isin(["032", "033"])]
    files.bags = {slide: files.bags[slide] for slide in files.slides["slide_id"]}
    for column in ("age", "stage", "sex"):
        files.set("034", column, "")
    return loaded(files)


def under_loss(
    model: SurvivalFusion,
    cohort: Cohort,
    ids: tuple[str, ...],
) -> dict[str, Prediction]:
    assert model.fitted is not None
    prediction = model.predict(cohort, ids)
    source = BatchSource(cohort, model.fitted.transforms, ids)
    return predictions_with_loss(model.fitted, prediction, cohort, source)


# -- what is lost


def test_of_three_modalities_each_is_removed_and_each_is_left_alone(
    cohort: Cohort,
) -> None:
    losses = Losses.on(cohort, ALL)
    assert losses.names == (
        *(f"removed:{name}" for name in ALL),
        *(f"only:{name}" for name in ALL),
        *("missing:25", "missing:50", "missing:75"),
    )
    assert losses.left_out == ()


def test_a_prior_is_lost_with_its_expression_and_left_alone_without(
    cohort: Cohort,
) -> None:
    prior = Prior("pan", "symbol", ("GENE1", "GENE2"), np.array([1.0, -1.0]))
    with_prior = cohort.with_prior(prior)
    used = ("clinical", "expression", "pan")
    assert "removed:pan" in Losses.on(with_prior, used).names
    kept = {}
    for loss in (
        Loss("removed", "expression"),
        Loss("removed", "pan"),
        Loss("only", "expression"),
        Loss("only", "pan"),
    ):
        present = loss.of(with_prior, used, 0).present
        kept[loss.name] = [m for m in used if m in present and present[m].any()]
    assert kept == {
        "removed:expression": ["clinical"],
        "removed:pan": ["clinical", "expression"],
        "only:expression": ["expression"],
        "only:pan": ["pan"],
    }


def test_of_two_modalities_each_removed_leaves_the_other_alone(cohort: Cohort) -> None:
    losses = Losses.on(cohort, ("expression", "slides"))
    assert losses.names == ("removed:expression", "removed:slides")
    assert losses.left_out == (
        "clinical values missing: the model reads no clinical table",
    )


def test_of_one_modality_nothing_can_be_removed(cohort: Cohort) -> None:
    why = "modalities removed: there is one modality (clinical), nothing to remove"
    assert Losses.on(cohort, ("clinical",)).left_out == (why,)
    assert Losses.on(cohort, ("clinical",)).names == (
        "missing:25",
        "missing:50",
        "missing:75",
    )


def test_what_the_patients_never_had_cannot_be_lost(cohort: Cohort) -> None:
    """Another cohort may lack a modality that the model was trained with."""
    less = replace(
        cohort,
        modalities={name: cohort.modalities[name] for name in ("expression", "slides")},
    )
    assert Losses.on(less, ALL).names == ("removed:expression", "removed:slides")
    nobody = replace(
        cohort,
        modalities={
            **cohort.modalities,
            "slides": cohort.modalities["slides"].subset([]),
        },
    )
    assert "removed:slides" not in Losses.on(nobody, ALL).names


def test_those_with_nothing_left_are_counted(cohort: Cohort) -> None:
    assert nothing_left(Loss("removed", "clinical"), cohort, ALL, seed=1) == 1  # 032
    assert nothing_left(Loss("only", "slides"), cohort, ALL, seed=1) == 2  # 032, 033
    assert nothing_left(Loss("removed", "slides"), cohort, ("slides",), seed=1) == 40
    assert nothing_left(Loss("missing", "25"), cohort, ALL, seed=1) in {0, 1}


# -- the predictions


@pytest.mark.parametrize("fields", MODELS.values(), ids=MODELS)
def test_they_are_the_predictions_of_a_cohort_that_came_so(
    cohort: Cohort,
    fields: dict[str, Any],
) -> None:
    model = quick(**fields).fit(cohort, cohort.patients[:30])
    ids = cohort.patients[30:]
    found = under_loss(model, cohort, ids)
    assert tuple(found) == Losses.on(cohort, ALL).names
    for loss in Losses.on(cohort, ALL).all:
        came_so = model.predict(loss.of(cohort, ALL, model.config.training.seed), ids)
        one = found[loss.name]
        np.testing.assert_array_equal(one.log_risk, came_so.log_risk)
        np.testing.assert_array_equal(one.predicted_time, came_so.predicted_time)
        np.testing.assert_array_equal(one.risk_group, came_so.risk_group)
        assert one.patient_id == ids
        assert one.notes == ()


def test_who_lacked_it_already_is_predicted_as_before(cohort: Cohort) -> None:
    model = quick().fit(cohort, cohort.patients[:30])
    ids = cohort.patients[30:]
    before, found = model.predict(cohort, ids).log_risk, under_loss(model, cohort, ids)
    for modality, lacking in (
        ("expression", {"031", "032"}),
        ("slides", {"032", "033"}),
        ("clinical", {"034"}),
    ):
        same = np.isclose(
            found[f"removed:{modality}"].log_risk,
            before,
            rtol=1e-6,
            atol=1e-7,
        )
        assert {one for one, equal in zip(ids, same, strict=True) if equal} == lacking


def test_who_lost_every_clinical_value_is_without_the_table(cohort: Cohort) -> None:
    model = quick().fit(cohort, cohort.patients[:20])
    ids = cohort.patients[20:]
    lost = Loss("missing", "75").of(cohort, ALL, model.config.training.seed)
    bare = [
        one
        for one in ids
        if one not in lost.modalities["clinical"].patients and one != "034"
    ]
    assert bare, "with three columns, four in ten lose them all"
    found = under_loss(model, cohort, ids)
    rows = [ids.index(one) for one in bare]
    np.testing.assert_allclose(
        found["missing:75"].log_risk[rows],
        found["removed:clinical"].log_risk[rows],
        rtol=1e-6,
    )


def test_neither_order_nor_company_of_patients_matters(cohort: Cohort) -> None:
    model = quick().fit(cohort, cohort.patients[:30])
    ids = cohort.patients[30:]
    whole = under_loss(model, cohort, ids)
    some = under_loss(model, cohort, ids[6:2:-1])
    for name, one in some.items():
        np.testing.assert_allclose(
            one.log_risk,
            whole[name].log_risk[6:2:-1],
            rtol=1e-5,
            atol=1e-6,
        )


def test_every_fold_has_every_loss(cohort: Cohort) -> None:
    """Even where nobody of the fold has the modality."""
    model = quick().fit(cohort, cohort.patients[:30])
    found = under_loss(model, cohort, ("032",))
    assert tuple(found) == Losses.on(cohort, ALL).names
    nothing = {
        found[name].log_risk.item()
        for name in ("removed:clinical", "only:slides", "only:expression")
    }
    assert len(nothing) == 1, "the network's constant: nothing is left of this patient"


def test_a_model_that_reads_nothing_has_every_loss_too(cohort: Cohort) -> None:
    model = SurvivalFusion(fusion="kaplan_meier").fit(cohort)
    losses = under_loss(model, cohort, ("001", "002"))
    assert tuple(losses) == Losses.on(cohort, ALL).names
    assert all((loss.log_risk == 0).all() for loss in losses.values())


def test_tiles_that_nobody_has_are_not_read(cohort: Cohort) -> None:
    model = quick().fit(cohort, cohort.patients[:30])
    assert model.fitted is not None
    ids = cohort.patients[30:]
    source = BatchSource(cohort, model.fitted.transforms, ids)
    for loss, tiles in ((Loss("removed", "slides"), 0), (Loss("only", "slides"), None)):
        less = LessSource(source, loss.of(cohort, ALL, 1))
        assert len(less) == len(ids)
        batch, own = less.batch(np.array([4, 1])), source.batch([4, 1])
        assert len(batch.bags["slides"]) == (
            len(own.bags["slides"]) if tiles is None else tiles
        )
        assert torch.equal(
            batch.offsets["slides"],
            own.offsets["slides"] * (tiles is None),
        )
        assert batch.patient_id == own.patient_id


def test_a_risk_that_is_not_finite_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    model = quick().fit(cohort)
    assert model.fitted is not None
    prediction = model.predict(cohort, cohort.patients[:2])
    with pytest.raises(
        InputError,
        match=r"^removed:slides: a risk is not finite; look for values far outside",
    ):
        with_log_risk(
            model.fitted,
            prediction,
            "removed:slides",
            np.array([0.0, np.nan]),
        )
