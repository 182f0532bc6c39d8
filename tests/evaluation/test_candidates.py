from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import survfuse
from running import QUICK, loaded, members, quick, small
from survfuse._errors import (
    CohortError,
    ConfigError,
    NotComputableError,
    TransformError,
)
from survfuse._storage import to_json
from survfuse.cohort import BatchSource, Cohort
from survfuse.cohort.splits import Split
from survfuse.config import FitConfig
from survfuse.estimators import (
    Fit,
    FoldContext,
    RidgeCox,
    linear_cox,
    watched_log_risks,
)
from survfuse.estimators.blocks import Components
from survfuse.estimators.cox_baselines import SMALLEST_DEVIATION, CoxRisk
from survfuse.estimators.fitted import fit_model
from survfuse.estimators.linear_cox import LinearCox
from survfuse.evaluation import candidates, explanations
from survfuse.evaluation.candidates import (
    PERMUTED_OUTCOME,
    SELECTED_ON_TEST,
    Candidate,
    FoldResult,
    baseline,
    comparators,
)
from survfuse.evaluation.cell import Cell, CellWork
from survfuse.evaluation.controls import (
    NoCalibrator,
    PermutedSource,
    shuffled_rows,
    with_permuted_outcomes,
)
from survfuse.explanations import explain
from survfuse.survival.concordance import harrell_c
from survfuse.survival.curves import kaplan_meier

CONFIG = FitConfig.of(**QUICK)
ALL = ("clinical", "expression", "slides")


def ridge(name: str, modalities: tuple[str, ...], seed: int = 0) -> Candidate:
    config = CONFIG.model_copy(update={"seed": seed})
    return baseline(name, "ridge_cox", modalities, config)


def late(name: str, modalities: tuple[str, ...], seed: int = 0) -> Candidate:
    config = CONFIG.model_copy(update={"seed": seed})
    return baseline(name, "late_cox", modalities, config)


KM = baseline("km", "kaplan_meier", (), CONFIG)
PERMUTED = Candidate(
    PERMUTED_OUTCOME,
    CONFIG,
    "control",
    control="permuted_outcome",
)
OPTIMISTIC = Candidate(
    SELECTED_ON_TEST,
    CONFIG,
    "control",
    control="selected_on_test",
)
EVERY: dict[str, Candidate] = {
    "km": KM,
    "ridge": ridge("ridge:expression", ("expression",)),
    "early fusion": ridge("ridge:clinical+expression", ("clinical", "expression")),
    "late fusion": late("late:clinical+slides", ("clinical", "slides")),
    "network": Candidate("model", CONFIG, permute=True, lose=True),
    "outcome permuted": PERMUTED,
    "optimistic": OPTIMISTIC,
}
every_candidate = pytest.mark.parametrize("candidate", EVERY.values(), ids=EVERY.keys())
honest_candidate = pytest.mark.parametrize(
    "candidate",
    [one for name, one in EVERY.items() if name != "optimistic"],
    ids=[*EVERY][:-1],
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return loaded(small(tmp_path_factory.mktemp("cohort"), patients=40))


Reference = Callable[[Candidate], FoldResult]


@pytest.fixture(scope="module")
def reference(cohort: Cohort) -> Reference:
    """What each candidate gives on the cohort as it is, computed once."""
    known: dict[str, FoldResult] = {}

    def of(candidate: Candidate) -> FoldResult:
        if candidate.name not in known:
            known[candidate.name] = run(candidate, cohort)
        return known[candidate.name]

    return of


@pytest.fixture(autouse=True)
def _few_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test lives from what another one computed; two inner folds show what five do."""
    monkeypatch.setattr(linear_cox, "FOLDS", 2)


def parts(cohort: Cohort) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return cohort.patients[:30], cohort.patients[30:]


def run(candidate: Candidate, cohort: Cohort, **how: object) -> FoldResult:
    train, test = parts(cohort)
    return candidate.fit_predict(FoldContext.of(cohort, train), test, **how)


def frames(result: FoldResult) -> dict[str, pd.DataFrame]:
    """Every table that a result would put into a run's files."""
    return {
        name: one.frame((365,))
        for name, one in {"": result.prediction, **result.also}.items()
    }


def assert_same(first: FoldResult, second: FoldResult) -> None:
    one, other = frames(first), frames(second)
    assert one.keys() == other.keys()
    for name in one:
        pd.testing.assert_frame_equal(one[name], other[name], check_exact=True)


def with_outcome(cohort: Cohort, ids: tuple[str, ...]) -> Cohort:
    """The cohort, in which these patients have another outcome."""
    outcome = cohort.outcome.copy()
    outcome.loc[list(ids), "time"] = np.arange(1.0, len(ids) + 1)
    outcome.loc[list(ids), "event"] = ~outcome.loc[list(ids), "event"]
    return replace(cohort, outcome=outcome)


# -- the contract of every candidate


@every_candidate
def test_a_candidate_keeps_the_contract(
    cohort: Cohort,
    reference: Reference,
    candidate: Candidate,
) -> None:
    result = reference(candidate)
    test = parts(cohort)[1]
    assert candidate.name
    assert candidate.role in ("model", "baseline", "increment", "control", "seed")
    assert candidate.modalities is None or set(candidate.modalities) <= set(
        cohort.modalities,
    )
    to_json([candidate.identity(), result.summary])
    for table in frames(result).values():
        assert tuple(table["patient_id"]) == test
        assert np.isfinite(table["log_risk"]).all()
        assert table["risk_group"].isin([0, 1, 2]).all()
    assert result.prediction.unit == "days"


def test_identities_tell_candidates_apart() -> None:
    told = [to_json(one.identity()) for one in EVERY.values()]
    told += [to_json(Candidate("model", CONFIG).identity())]
    told += [to_json(ridge("r", ("expression",), 1).identity())]
    told += [to_json(late("l", ALL, 1).identity())]
    assert len(set(told)) == len(told)


@honest_candidate
def test_no_candidate_sees_the_outcomes_of_test_patients(
    cohort: Cohort,
    reference: Reference,
    candidate: Candidate,
) -> None:
    assert_same(
        reference(candidate),
        run(candidate, with_outcome(cohort, parts(cohort)[1])),
    )


@every_candidate
def test_every_candidate_learns_from_the_outcomes_of_its_training_patients(
    cohort: Cohort,
    reference: Reference,
    candidate: Candidate,
) -> None:
    one, other = (
        reference(candidate),
        run(candidate, with_outcome(cohort, parts(cohort)[0])),
    )
    assert not frames(one)[""].equals(frames(other)[""])


@honest_candidate
def test_a_copy_of_the_cohort_as_target_changes_nothing(
    cohort: Cohort,
    reference: Reference,
    candidate: Candidate,
) -> None:
    train, test = parts(cohort)
    bare = replace(cohort.subset(test), outcome=None)
    assert_same(
        reference(candidate),
        candidate.fit_predict(FoldContext.of(cohort, train), test, bare),
    )


@honest_candidate
def test_transforms_are_those_of_the_training_cohort(
    tmp_path: Path,
    cohort: Cohort,
    reference: Reference,
    candidate: Candidate,
) -> None:
    """Patients of a target are read on the training cohort's scale, whoever else is in the target."""
    train, test = parts(cohort)
    files = small(tmp_path, patients=40)
    files.patients.loc[:29, "age"] = 99
    other = loaded(files)
    assert_same(
        reference(candidate),
        candidate.fit_predict(FoldContext.of(cohort, train), test, other),
    )


@every_candidate
def test_the_order_of_training_patients_never_matters(
    cohort: Cohort,
    reference: Reference,
    candidate: Candidate,
) -> None:
    train, test = parts(cohort)
    again = candidate.fit_predict(FoldContext.of(cohort, train[::-1]), test)
    assert_same(reference(candidate), again)


# -- who runs


def told(cohort: Cohort, networks: bool = True, **how: object) -> list[str]:
    found = comparators(
        cohort,
        CONFIG.model_copy(update=how),
        networks=networks,
    )
    return [one.name for one in found]


def test_no_baseline_may_be_left_out(cohort: Cohort) -> None:
    simple = [
        "km",
        *(f"ridge:{name}" for name in ALL),
        "ridge:clinical+expression",
        "late:clinical+expression",  # which is also late:-slides
        "late:all",
        "late:-clinical",
        "late:-expression",
    ]
    alone, less = (
        [f"network:{name}" for name in ALL],
        [f"network:-{name}" for name in ALL],
    )
    assert told(cohort, networks=False) == simple
    assert told(cohort) == [*simple, *alone, *less]


def test_a_quick_look_keeps_the_clinical_baseline_and_the_late_fusion(
    cohort: Cohort,
) -> None:
    def names(**how: Any) -> list[str]:
        found = comparators(
            cohort, CONFIG.model_copy(update=how), networks=False, quick=True
        )
        return [one.name for one in found]

    assert names() == ["ridge:clinical", "late:all"]
    assert names(modalities=("slides",)) == ["ridge:clinical", "late:all"]
    assert names(modalities=("clinical",)) == ["ridge:clinical"]


def test_nothing_runs_twice(cohort: Cohort) -> None:
    two = ["km", "ridge:clinical", "ridge:slides", "late:all"]
    assert told(cohort, modalities=("slides",)) == two, (
        "clinical is there whether the model reads it or not"
    )
    two += [
        "network:clinical",
        "network:slides",
    ]  # with two modalities, without one is the other alone
    assert told(cohort, modalities=("slides", "clinical")) == two
    assert told(cohort, modalities=("clinical",)) == ["km", "ridge:clinical"]
    found = comparators(cohort, CONFIG, networks=True, controls=True, seeds=2)
    identities = [to_json(one.identity()) for one in found]
    assert len(set(identities)) == len(found)
    assert len({one.name for one in found}) == len(found)


def test_controls_and_seeds_run_when_asked_for(cohort: Cohort) -> None:
    config = CONFIG.model_copy(update={"members": 3, "seed": 5})
    found = comparators(cohort, config, networks=False, controls=True, seeds=2)[-4:]
    assert [(one.name, one.role) for one in found] == [
        ("trained on permuted outcomes", "control"),
        ("selected on the test fold", "control"),
        ("seed:8", "seed"),
        ("seed:11", "seed"),
    ]
    assert not found[-1].simple
    assert found[-1].config == config.model_copy(update={"seed": 11})


def test_fits_of_two_seeds_share_no_division_into_inner_folds(cohort: Cohort) -> None:
    config = FitConfig.of(seed=5)
    assert config.fusion == "anchored"
    found = comparators(cohort, config, networks=False, controls=True, seeds=2)
    assert [one.name for one in found[-2:]] == ["seed:8", "seed:11"]


def test_roles_tell_why_a_candidate_runs(cohort: Cohort) -> None:
    found = {one.name: one for one in comparators(cohort, CONFIG, networks=True)}
    assert {name for name, one in found.items() if one.role == "increment"} == {
        "late:-clinical",
        "late:-expression",
        *(f"network:-{name}" for name in ALL),
    }
    assert found["network:-slides"].modalities == ("clinical", "expression")
    assert found["late:all"].modalities == ALL


# -- Kaplan-Meier


def test_kaplan_meier_gives_everyone_one_curve(cohort: Cohort) -> None:
    result = run(KM, cohort)
    assert (result.prediction.log_risk == 0).all()
    assert (result.prediction.risk_group == 1).all()
    train = cohort.outcome.loc[list(parts(cohort)[0])]
    expected = kaplan_meier(train["time"], train["event"])(np.array([400.0, 900.0]))
    np.testing.assert_allclose(
        result.prediction.survival([400, 900]),
        np.tile(expected, (10, 1)),
    )


def test_kaplan_meier_knows_its_patients(cohort: Cohort) -> None:
    with pytest.raises(CohortError, match="has no patient 'X'"):
        KM.fit_predict(FoldContext.of(cohort), ["X"])


# -- ridge Cox


def test_a_ridge_finds_a_planted_effect(tmp_path: Path) -> None:
    files = small(tmp_path, patients=60, modalities=("clinical",))
    age = files.patients["age"].to_numpy(float)
    chance = np.random.default_rng(5).normal(
        0,
        0.3,
        60,
    )  # without it, age would be the outcome itself
    files.patients["os_days"] = np.exp(9 - age / 20 + chance).round() + 1
    files.patients["os_event"] = 1
    cohort = loaded(files)
    result = ridge("r", ("clinical",)).fit_predict(
        FoldContext.of(cohort, cohort.patients[:40]),
        cohort.patients[40:],
    )
    assert np.corrcoef(result.prediction.log_risk, age[40:])[0, 1] > 0.9


def test_a_ridge_makes_do_with_four_events(tmp_path: Path) -> None:
    """A baseline that nobody may leave out must not need more events than the model beside it."""
    files = small(tmp_path, modalities=("clinical",))
    files.patients["os_event"] = [1] * 4 + [0] * 20
    cohort = loaded(files)
    result = ridge("r", ("clinical",)).fit_predict(
        FoldContext.of(cohort, cohort.patients[:20]),
        cohort.patients[20:],
    )
    assert np.isfinite(result.prediction.log_risk).all()


@pytest.fixture
def gappy(tmp_path: Path) -> Cohort:
    """Patients 004 and 039 lack expression, of which the last gene tells how long the others lived."""
    files = small(tmp_path, patients=40)
    assert files.expression is not None
    chance = np.random.default_rng(6).normal(
        0,
        0.5,
        40,
    )  # without it, the gene would be the outcome itself
    files.expression.iloc[:, -1] = (
        np.log(files.patients["os_days"].to_numpy(float)) + chance
    )
    files.expression = files.expression.drop(index=["004", "039"])
    return loaded(files)


@pytest.mark.parametrize(
    "candidate",
    [ridge("r", ("expression",)), late("l", ("expression",))],
    ids=["ridge", "late fusion"],
)
def test_who_lacks_the_modality_gets_the_mean_risk(
    gappy: Cohort,
    candidate: Candidate,
) -> None:
    prediction = run(candidate, gappy).prediction
    risk = dict(zip(prediction.patient_id, prediction.log_risk, strict=True))
    assert risk["039"] == 0
    assert risk["038"] != 0


def test_who_lacks_one_of_two_modalities_is_judged_by_the_other(gappy: Cohort) -> None:
    both = late("both", ("clinical", "expression"))
    alone = late("alone", ("clinical",))
    at = parts(gappy)[1].index("039")
    assert (
        run(both, gappy).prediction.log_risk[at]
        == run(alone, gappy).prediction.log_risk[at]
        != 0
    )
    early = run(
        ridge("r", ("clinical", "expression")),
        gappy,
    ).prediction.log_risk
    assert early[at] != 0


def test_one_ridge_on_two_modalities_reads_both(cohort: Cohort) -> None:
    both = run(
        ridge("r", ("clinical", "expression")),
        cohort,
    ).prediction.log_risk
    for name in ("clinical", "expression"):
        assert not np.allclose(
            both,
            run(ridge("r", (name,)), cohort).prediction.log_risk,
        )


def test_a_model_and_its_baseline_get_one_penalty_whatever_their_seeds(
    cohort: Cohort,
) -> None:
    """The same clinical matrix in the same fold: they differ by what they read alone."""
    train, test = parts(cohort)
    config = FitConfig.of(
        modalities=("clinical", "expression"),
        device="cpu",
        seed=2021,
    )
    model = Candidate("m", config).fit_predict(FoldContext.of(cohort, train), test)
    for seed in (0, 7):
        ridge_fit = ridge("r", ("clinical",), seed).fit_predict(
            FoldContext.of(cohort, train),
            test,
        )
        assert (
            ridge_fit.summary["penalty"]
            == model.summary["anchored"]["penalty"]["clinical"]
        )
        assert ridge_fit.summary["penalty"] >= linear_cox.SMALLEST * (1 - 1e-12)


def test_candidates_on_one_fold_share_their_ridges(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted: list[tuple[str, ...]] = []
    fit = LinearCox.fit
    monkeypatch.setattr(
        LinearCox,
        "fit",
        lambda blocks, *args, **how: (
            fitted.append(tuple(blocks)) or fit(blocks, *args, **how)
        ),
    )
    train, test = parts(cohort)
    work = CellWork(None, cohort, None, (365,))

    def compute(candidate: Candidate, train: tuple[str, ...] = train) -> Any:
        split = Split(0, 0, train, test)
        return work(Cell(candidate, split, candidate.name, candidate.name, ""))

    for name in ("clinical", "expression"):
        compute(ridge(f"ridge:{name}", (name,)))
    assert len(fitted) == 6  # two inner folds and the whole, of each
    compute(late("late", ("clinical", "expression")))
    assert len(fitted) == 6
    compute(ridge("r", ("clinical",), 1))
    assert len(fitted) == 9, "another seed is another ridge"
    compute(ridge("r", ("clinical",)), train[1:])
    assert len(fitted) == 12, "other training patients are another fold"
    compute(ridge("r", ("clinical",)))
    assert len(fitted) == 15, "only the fold at work is remembered"


def test_permuted_outcomes_share_nothing_with_the_fold(cohort: Cohort) -> None:
    fold = FoldContext.of(cohort, parts(cohort)[0])
    fit = RidgeCox(ridge("r", ("clinical",)).config)
    first = fit.fit(fold)
    assert fit.fit(fold) is first
    permuted = fit.fit(with_permuted_outcomes(fold, 0))
    assert not np.allclose(permuted.in_sample, first.in_sample)
    assert fit.fit(fold.subset(np.arange(30) > 0, "")) is not first


# -- late fusion


def alone(cohort: Cohort, name: str) -> Fit:
    fold = FoldContext.of(cohort, parts(cohort)[0])
    return RidgeCox(ridge("r", (name,)).config).fit(fold)


def test_late_fusion_is_the_sum_of_z_scores_of_each_fits_own_training_risks(
    cohort: Cohort,
) -> None:
    test = parts(cohort)[1]
    expected, heard = np.zeros(len(test)), 0
    for name in ALL:
        fit = alone(cohort, name)
        risks = fit.model.log_risk(BatchSource(cohort, fit.transforms, test))
        if fit.in_sample.std() >= SMALLEST_DEVIATION:
            expected += (risks - fit.in_sample.mean()) / fit.in_sample.std()
            heard += 1
    assert heard
    np.testing.assert_allclose(
        run(late("l", ALL), cohort).prediction.log_risk,
        expected,
    )


def test_a_modality_that_found_nothing_stays_silent_in_late_fusion(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Standardising the last digits of a risk that a penalty shrank to nothing would make noise loud."""
    real = RidgeCox.fit

    def shrunk(self: RidgeCox, fold: FoldContext) -> Fit:
        fit = real(self, fold)
        if type(self) is not RidgeCox or self.config.inputs.modalities != ("slides",):
            return fit
        assert isinstance(fit.model, CoxRisk)
        coef = {"slides": fit.model.cox.coef["slides"] * 1e-6}
        model = CoxRisk(replace(fit.model.cox, coef=coef))
        return replace(fit, model=model, in_sample=fit.in_sample * 1e-6)

    without = run(
        late("l", ("clinical", "expression")),
        cohort,
    ).prediction.log_risk
    monkeypatch.setattr(RidgeCox, "fit", shrunk)
    np.testing.assert_allclose(
        run(late("l", ALL), cohort).prediction.log_risk,
        without,
    )


def test_out_of_fold_risks_come_from_patients_who_were_not_seen(cohort: Cohort) -> None:
    """Changing one patient's outcome changes everyone's out-of-fold risk but that of its own inner fold."""
    before = alone(cohort, "clinical")
    outcome = cohort.outcome.copy()
    outcome.loc["011", "time"] = 1.0  # its event stays, so that the inner folds do
    after = alone(replace(cohort, outcome=outcome), "clinical")
    own = before.inner == before.inner[parts(cohort)[0].index("011")]
    np.testing.assert_array_equal(before.inner, after.inner)
    np.testing.assert_array_equal(before.out_of_fold[own], after.out_of_fold[own])
    assert (before.out_of_fold[~own] != after.out_of_fold[~own]).all()


def test_late_fusion_says_which_modality_failed(tmp_path: Path) -> None:
    files = small(tmp_path, patients=40)
    assert files.expression is not None
    files.expression = files.expression.loc["031":]
    with pytest.raises(
        TransformError,
        match=r"^expression: .*none of the 15 training patients",
    ):
        run(late("l", ("clinical", "expression")), loaded(files))


# -- inputs


def test_principal_components_are_those_of_the_training_rows() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(20, 6)) * np.arange(1, 7)
    components = Components.fit(x, 3)
    scores = (x - components.centre) @ components.standard
    assert scores.shape == (20, 3)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scores.T @ scores / 20, np.eye(3), atol=1e-10)
    assert len(Components.fit(x[:4], 10).axes) == 3, "no more than the rows give"


def test_equal_tiles_teach_nothing() -> None:
    with pytest.raises(
        NotComputableError,
        match=r"mean tiles are all equal; nothing to learn from$",
    ):
        Components.fit(np.ones((5, 3)), 2)


# -- networks


def test_a_network_candidate_is_the_estimator(cohort: Cohort) -> None:
    result = run(Candidate("n", quick().config), cohort)
    expected = (
        quick().fit(cohort, cohort.patients[:30]).predict(cohort, cohort.patients[30:])
    )
    np.testing.assert_array_equal(result.prediction.log_risk, expected.log_risk)
    assert result.summary["patients"] == 30
    assert result.also == {}


def test_each_modality_is_permuted_in_turn(cohort: Cohort) -> None:
    result = run(Candidate("n", CONFIG, permute=True), cohort)
    assert [*result.also] == [f"permuted:{name}" for name in ALL]
    for one in result.also.values():
        assert one.patient_id == result.prediction.patient_id
        assert not np.allclose(one.log_risk, result.prediction.log_risk)
        np.testing.assert_array_equal(
            one.predicted_time,
            one.calibrator.predicted_time(one.log_risk),
        )


def test_a_modality_alone_permuted_permutes_the_risks(cohort: Cohort) -> None:
    config = CONFIG.model_copy(update={"modalities": ("slides",)})
    result = run(Candidate("n", config, permute=True), cohort)
    test = result.prediction.patient_id
    rows = shuffled_rows(test, np.ones(len(test), bool), "slides", config.training.seed)
    permuted = result.also["permuted:slides"].log_risk
    np.testing.assert_allclose(
        permuted,
        result.prediction.log_risk[rows],
        rtol=1e-5,
        atol=1e-6,
    )


def test_permuting_what_the_network_ignores_changes_nothing(cohort: Cohort) -> None:
    model = quick(vector_hidden=(4,)).fit(cohort, cohort.patients[:30])
    assert model.fitted is not None
    source = BatchSource(cohort, model.fitted.transforms, cohort.patients[30:])
    (network,) = members(model)
    log_risk = model.fitted.model.log_risk
    before = log_risk(source)
    exchanged = PermutedSource(source, "expression", np.roll(np.arange(10), 1))
    assert not np.allclose(log_risk(exchanged), before)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if "expression" in name:
                weight.zero_()
    np.testing.assert_array_equal(log_risk(exchanged), log_risk(source))


@pytest.mark.parametrize("modality", ALL)
def test_a_stack_reads_exchanged_patients_as_their_own(
    cohort: Cohort,
    modality: str,
) -> None:
    """With everything else equal, each patient has the risk of the other patient."""
    model = quick(fusion="anchored", modalities=(modality,), anchor_bags="mean")
    fitted = model.fit(cohort, cohort.patients[:30]).fitted
    assert fitted is not None
    source = BatchSource(cohort, fitted.transforms, cohort.patients[30:])
    rows = np.roll(np.arange(10), 1)
    np.testing.assert_array_equal(
        fitted.model.log_risk(PermutedSource(source, modality, rows)),
        fitted.model.log_risk(source)[rows],
    )


def test_only_patients_who_have_the_modality_exchange_it() -> None:
    ids, has = [f"p{n}" for n in range(9)], np.arange(9) % 3 > 0
    rows = shuffled_rows(ids, has, "rna", seed=1)
    assert sorted(rows) == list(range(9))
    np.testing.assert_array_equal(rows[~has], np.flatnonzero(~has))
    assert (rows[has] != np.flatnonzero(has)).any()
    owner = dict(zip(ids, [ids[row] for row in rows], strict=True))
    back = shuffled_rows(ids[::-1], has[::-1], "rna", seed=1)
    assert owner == dict(zip(ids[::-1], [ids[::-1][row] for row in back], strict=True))
    others = [
        shuffled_rows(ids, has, *how).tolist() for how in (("rna", 2), ("blood", 1))
    ]
    assert rows.tolist() not in others


def test_permuted_outcomes_are_the_same_outcomes(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Cohort] = []
    described = candidates.described

    def spy(fold: FoldContext, *details: Any) -> Any:
        seen.append(fold.cohort)
        return described(fold, *details)

    monkeypatch.setattr(candidates, "described", spy)
    result = run(PERMUTED, cohort)
    train, test = (list(ids) for ids in parts(cohort))
    pd.testing.assert_frame_equal(seen[0].outcome.loc[test], cohort.outcome.loc[test])
    pairs = [
        sorted(zip(o["time"], o["event"], strict=True))
        for o in (seen[0].outcome.loc[train], cohort.outcome.loc[train])
    ]
    assert pairs[0] == pairs[1]
    assert not seen[0].outcome.loc[train].equals(cohort.outcome.loc[train])
    assert seen[0].outcome.dtypes.equals(cohort.outcome.dtypes)
    assert result.summary["events"] == int(cohort.outcome.loc[train, "event"].sum())


# -- what selection on the test fold would have given


def test_the_optimist_takes_the_best_epoch_of_the_test_fold(cohort: Cohort) -> None:
    train, test = parts(cohort)
    result = run(OPTIMISTIC, cohort)
    risks = watched_log_risks(FoldContext.of(cohort, train), test, CONFIG)
    assert risks.shape == (CONFIG.training.epochs, len(test))
    outcome = cohort.outcome.loc[list(test)]
    scores = [
        harrell_c(outcome["time"], outcome["event"], risk).value for risk in risks
    ]
    assert result.summary["best_harrell_c"] == max(scores)
    assert result.summary["last_harrell_c"] == scores[-1]
    assert result.summary["epochs"] == CONFIG.training.epochs
    np.testing.assert_array_equal(
        result.prediction.log_risk,
        risks[result.summary["best_epoch"] - 1],
    )


def test_the_optimist_looks_at_test_outcomes_and_says_so(cohort: Cohort) -> None:
    candidate = replace(
        OPTIMISTIC,
        config=CONFIG.model_copy(update={"epochs": 12, "learning_rate": 0.1}),
    )
    result = run(candidate, cohort)
    other = run(candidate, with_outcome(cohort, parts(cohort)[1]))
    assert other.summary["best_harrell_c"] != result.summary["best_harrell_c"]
    assert candidate.name == "selected on the test fold"
    assert candidate.role == "control"
    assert result.summary["warning"].endswith("this is not a result")


def test_the_optimist_gives_no_curve_no_time_and_no_group(cohort: Cohort) -> None:
    prediction = run(OPTIMISTIC, cohort).prediction
    table = prediction.frame((365,))
    assert table[["predicted_time", "survival_365"]].isna().all(axis=None)
    assert (table["risk_group"] == 1).all()
    assert NoCalibrator().to_dict() == {"name": "none"}
    with pytest.raises(NotComputableError, match="were not calibrated"):
        prediction.survival([365])


def test_the_optimist_stays_in_its_cohort(cohort: Cohort) -> None:
    with pytest.raises(ConfigError, match="within one cohort, not on a target"):
        run(OPTIMISTIC, cohort, target=replace(cohort))
    assert_same(
        run(OPTIMISTIC, cohort, target=cohort),
        run(OPTIMISTIC, cohort),
    )


def test_the_optimist_has_nothing_to_choose_by_without_events(cohort: Cohort) -> None:
    censored = [
        one for one in cohort.patients[30:] if not cohort.outcome.loc[one, "event"]
    ]
    result = OPTIMISTIC.fit_predict(
        FoldContext.of(cohort, cohort.patients[:30]),
        censored,
    )
    assert result.summary["why"] == "no pair of test patients can be compared"
    assert result.summary["best_harrell_c"] is None
    last = watched_log_risks(
        FoldContext.of(cohort, cohort.patients[:30]),
        censored,
        CONFIG,
    )[-1]
    np.testing.assert_array_equal(result.prediction.log_risk, last)


def test_watched_patients_keep_their_order_and_are_not_trained_on(
    cohort: Cohort,
    tmp_path: Path,
) -> None:
    train, test = parts(cohort)
    risks = watched_log_risks(
        FoldContext.of(cohort, train, folder=tmp_path / "place"),
        test,
        CONFIG,
    )
    assert not (tmp_path / "place").exists()
    np.testing.assert_array_equal(
        watched_log_risks(FoldContext.of(cohort, train), test[::-1], CONFIG),
        risks[:, ::-1],
    )
    with pytest.raises(CohortError, match="more than once"):
        watched_log_risks(FoldContext.of(cohort, train), train[:2], CONFIG)


@pytest.mark.parametrize(
    ("role", "control"),
    [("control", None), ("model", "permuted_outcome")],
)
def test_a_control_says_what_is_wrong_with_it(role: Any, control: Any) -> None:
    with pytest.raises(ValueError, match=r"^x: role '\w+' with control"):
        Candidate("x", CONFIG, role, control=control)


def test_a_model_never_gets_the_outcomes_of_those_it_predicts(cohort: Cohort) -> None:
    fold = FoldContext.of(cohort, cohort.patients[:40])
    fitted = Candidate("ridge", CONFIG, simple=True).fit_predict(
        fold, cohort.patients[40:]
    )
    assert np.isfinite(fitted.prediction.log_risk).all()
    model = fit_model(fold, CONFIG)
    batch = model.source(cohort, cohort.patients[40:]).batch()
    assert torch.isnan(batch.time).all()
    assert not batch.event.any()


def test_terms_are_those_of_the_model_that_a_fold_gives(
    cohort: Cohort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = FitConfig.of(**QUICK | {"fusion": "ridge_cox"})
    train, test = parts(cohort)
    result = run(Candidate("ridge", config, explain=True), cohort)
    model = survfuse.SurvivalFusion.from_config(config).fit(cohort, train)
    expected = explain(model, cohort, test).terms
    assert result.terms is not None
    terms = pd.DataFrame(dict(result.terms), index=expected.index)
    pd.testing.assert_frame_equal(terms, expected)
    # what training patients look like to a model is read for no other purpose
    monkeypatch.delattr(explanations, "reference_of")
    assert run(Candidate("ridge", config), cohort).terms is None
    sampled = FitConfig.of(**QUICK | {"fusion": "gated"})
    assert run(Candidate("gated", sampled, explain=True), cohort).terms is None
