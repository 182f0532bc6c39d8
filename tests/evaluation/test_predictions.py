from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from predicted import COLUMNS, File, predicted
from running import loaded, quick, small
from survfuse import metrics
from survfuse._errors import InputError
from survfuse.evaluation import Result, cross_validate, evaluate
from survfuse.evaluation.combine import Interval

BARE = ["patient_id", "time", "event", "log_risk"]
FEW = {"draws": 0}


def numbers(found: Any) -> list[float]:
    """Every float of nested tables."""
    if isinstance(found, dict):
        return [x for value in found.values() for x in numbers(value)]
    if isinstance(found, list | tuple):
        return [x for value in found for x in numbers(value)]
    return [found] if isinstance(found, float) else []


def sound(result: Result) -> None:
    """Every metric is a finite number or says why not; an interval holds its order."""
    for estimates in result.estimates.values():
        for metric, estimate in estimates.items():
            assert estimate.value is not None or estimate.note, metric
            if estimate.low is not None and estimate.high is not None:
                assert estimate.low <= estimate.high, metric
    assert all(
        map(
            math.isfinite,
            numbers([result.metrics_dict(), result.performance, result.cohort]),
        ),
    )


# -- what comes out


def test_a_file_is_judged_by_the_public_metrics(file: File) -> None:
    table = predicted()
    result = evaluate(file(table), **FEW)
    found = result.estimates["predictions"]
    outcome = (table["time"], table["event"])
    assert (
        found["harrell_c"].value == metrics.harrell_c(*outcome, table["log_risk"]).value
    )
    assert found["uno_c"] == metrics.uno_c(*outcome, table["log_risk"], tau=30.0)
    brier = metrics.brier(*outcome, table[["survival_10"]], [10.0])[0]
    assert found["brier_10"].value == pytest.approx(brier.value, rel=1e-14)
    isbs = metrics.integrated_brier(*outcome, table[COLUMNS[:3]], [10.0, 20.0, 30.0])
    assert found["isbs"].value == pytest.approx(isbs.value, rel=1e-14)
    assert result.cohort["horizons"] == [10.0, 20.0, 30.0]
    assert result.cohort["tau"] == 30.0
    sound(result)


def test_the_files_of_a_run_are_written_and_reported(
    file: File,
    tmp_path: Path,
) -> None:
    result = evaluate(file(predicted(40)), unit="months", name="theirs", **FEW)
    page = result.report(tmp_path / "out")
    assert page.name == "report.html"
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert told == {"theirs": result.metrics_dict()["theirs"]}
    frame = pd.read_csv(
        tmp_path / "out" / "predictions.csv",
        float_precision="round_trip",
    )
    pd.testing.assert_frame_equal(
        frame,
        result.predictions,
        check_dtype=False,
        check_exact=True,
    )
    assert "theirs" in page.read_text()


def test_training_patients_give_the_weights(file: File) -> None:
    table, train = predicted(), predicted(200).iloc[80:]
    result = evaluate(file(table), train=file(train, "train.csv"), **FEW)
    known = (train["time"].to_numpy(), train["event"].to_numpy(bool))
    expected = metrics.uno_c(
        table["time"],
        table["event"],
        table["log_risk"],
        tau=30.0,
        train=known,
    )
    assert result.estimates["predictions"]["uno_c"].value == expected.value
    assert "censoring weights from the patients of train.csv" in result.record["notes"]


def test_training_patients_in_another_unit_are_doubted(file: File) -> None:
    for factor in (1, 30.4, 1 / 12):
        train = (
            predicted(200)
            .iloc[80:]
            .assign(time=lambda table, factor=factor: table["time"] * factor)
        )
        notes = evaluate(
            file(predicted()),
            train=file(train, "train.csv"),
            **FEW,
        ).record["notes"]
        assert any("are both in one unit?" in note for note in notes) == (factor != 1)
    train = file(predicted().rename(columns={"event": "censored"}), "train.csv")
    with pytest.raises(
        InputError,
        match="event is then 1 - censored, not a new name for it",
    ):
        evaluate(file(predicted()), train=train, **FEW)


def test_the_trifle_between_ids_of_two_files_is_named(file: File) -> None:
    other = predicted().assign(patient_id=predicted()["patient_id"].str.lower())
    result = evaluate(
        file(predicted()),
        against={"b": file(other, "b.csv")},
        reference="b",
        **FEW,
    )
    note = result.estimates["predictions"]["delta_uno_c_vs_clinical"].note
    assert note.endswith(
        "'p000' stands there as 'P000': letter case is all that differs",
    )


def test_curves_alone_are_ranked_by_risk_at_the_last_horizon(file: File) -> None:
    table = predicted()
    result = evaluate(file(table.drop(columns="log_risk")), **FEW)
    expected = metrics.harrell_c(
        table["time"],
        table["event"],
        1 - table["survival_30"],
    )
    assert result.estimates["predictions"]["harrell_c"].value == expected.value
    assert any(
        "ranked by predicted risk at 30: the file has no log_risk" in n
        for n in result.record["notes"]
    )
    assert result.predictions["log_risk"].isna().all()


def test_other_models_stand_beside_it(file: File) -> None:
    other = file(
        predicted(seed=1, noise=3)[BARE].sample(frac=1, random_state=0),
        "other.csv",
    )
    result = evaluate(
        file(predicted()),
        against={"clinic": other},
        reference="clinic",
        **FEW,
    )
    assert list(result.estimates) == ["predictions", "clinic"]
    (row,) = result.performance["comparisons"]
    delta = result.estimates["predictions"]["delta_uno_c_vs_clinical"]
    assert (row["reference"], row["delta_uno_c"]["value"]) == ("clinic", delta.value)
    both = metrics.compare_c(
        predicted()["time"],
        predicted()["event"],
        predicted()["log_risk"],
        predicted(seed=1, noise=3)["log_risk"],
        tau=30,
    )
    assert delta.value == pytest.approx(both.value)
    assert delta.se == pytest.approx(both.se)


def test_models_of_one_file_are_told_apart(file: File) -> None:
    both = pd.concat(
        [predicted().assign(model="x"), predicted(seed=1).assign(model="y")],
    )
    result = evaluate(file(both), reference="y", **FEW)
    assert result.name == "x"
    alone = evaluate(file(predicted(seed=1), "y.csv"), **FEW)
    assert result.estimates["y"]["isbs"] == alone.estimates["predictions"]["isbs"]


def test_the_same_patient_with_another_outcome_is_not_compared(file: File) -> None:
    other = predicted(seed=1)
    other.loc[3, "time"] += 1
    result = evaluate(
        file(predicted()),
        against={"b": file(other, "b.csv")},
        reference="b",
        **FEW,
    )
    delta = result.estimates["predictions"]["delta_uno_c_vs_clinical"]
    assert delta.value is None
    assert delta.note == "the two sets of predictions tell other outcomes of P003"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"tau": 0.0}, "tau must be a finite number > 0, got 0.0"),
        ({"tau": -1.0}, "tau must be a finite number > 0"),
        ({"tau": math.nan}, "tau must be a finite number > 0"),
        ({"draws": -1}, "draws must be 0 or more, got -1"),
        ({"horizons": [0.0]}, "horizons must be finite and > 0"),
        (
            {"reference": "clinic"},
            "no predictions called 'clinic'; there are predictions",
        ),
    ],
)
def test_a_wrong_argument_is_named(
    file: File,
    how: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(file(predicted(20)), **how)


def test_names_are_used_once_and_files_beside_hold_one_model(file: File) -> None:
    path = file(predicted(20))
    with pytest.raises(
        InputError,
        match="two sets of predictions are called 'predictions'",
    ):
        evaluate(path, against={"predictions": path})
    two = pd.concat([predicted(20).assign(model="x"), predicted(20).assign(model="y")])
    with pytest.raises(
        InputError,
        match=r"two\.csv: expected one model beside the other, got x, y",
    ):
        evaluate(path, against={"b": file(two, "two.csv")})


# -- what a file may hide


def test_folds_are_weighted_by_the_other_folds(file: File) -> None:
    table = predicted(60).assign(fold=np.arange(60) % 3)
    result = evaluate(file(table), **FEW)
    each = []
    for number in range(3):
        own, rest = table[table["fold"] == number], table[table["fold"] != number]
        train = (rest["time"].to_numpy(), rest["event"].to_numpy(bool))
        each.append(
            metrics.uno_c(
                own["time"],
                own["event"],
                own["log_risk"],
                tau=30.0,
                train=train,
            ).value,
        )
    assert result.estimates["predictions"]["uno_c"].value == pytest.approx(
        np.mean(each),
    )
    assert (
        "censoring weights of a fold from the patients of the other folds of its repeat"
        in (result.record["notes"])
    )


def test_nadeau_and_bengio_widen_a_file_with_folds(file: File) -> None:
    path = file(predicted(60).assign(fold=np.arange(60) % 3))
    errors = [
        evaluate(path, interval=Interval(kind, 200), **FEW)
        .estimates["predictions"]["harrell_c"]
        .se
        for kind in ("influence", "nadeau_bengio")
    ]
    # One repeat: all risks are taken to change, 1 + 1; and 1 + 3 * 20 / 40.
    assert errors[1] == pytest.approx(errors[0] * np.sqrt(2.5 / 2))


def test_the_reach_of_integrated_scores_is_told(file: File) -> None:
    told = "isbs and integrated_ipa: over the survival columns, from 10 on"
    assert told in evaluate(file(predicted(40)), **FEW).record["notes"]
    assert (
        told
        not in evaluate(
            file(predicted(40)[["patient_id", "time", "event", "log_risk"]]),
            **FEW,
        ).record["notes"]
    )


@pytest.mark.slow
def test_a_bootstrap_of_equal_risks_has_no_interval(file: File) -> None:
    path = file(predicted(40).assign(log_risk=0.0))
    found = evaluate(path, interval=Interval("bootstrap", 200), **FEW).estimates[
        "predictions"
    ]["harrell_c"]
    assert (found.value, found.low, found.high) == (0.5, None, None)
    assert "the standard error is 0" in found.note


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        (
            lambda table: table.assign(log_risk=-table["log_risk"])[list(table)[:4]],
            "had later events",
        ),
        (
            lambda table: table.assign(log_risk=-table["log_risk"]),
            "rank patients differently",
        ),
        (lambda table: table.assign(time=table["time"] * 30.4), "are both in one unit"),
        (lambda table: table.assign(time=table["time"] / 12), "are both in one unit"),
        (
            lambda table: table.assign(
                time=table["time"].where(table.index != 3, 59000),
            ),
            "mistyped: time 59000 of P003",
        ),
        (
            lambda table: table.assign(
                log_risk=table["log_risk"].where(table.index != 3, 1e20),
            ),
            "mistyped: log_risk 1e+20 of P003",
        ),
    ],
)
def test_a_file_that_looks_wrong_is_doubted(
    file: File,
    change: Any,
    doubt: str,
) -> None:
    def doubted(table: pd.DataFrame) -> bool:
        return any(
            doubt in note for note in evaluate(file(table), **FEW).record["notes"]
        )

    assert doubted(change(predicted()))
    assert not doubted(predicted())


@pytest.mark.parametrize(
    ("unit", "doubted"),
    [("months", False), ("days", True), ("Years", True), ("", False)],
)
def test_the_unit_that_is_said_is_doubted(file: File, unit: str, doubted: bool) -> None:
    notes = evaluate(file(predicted()[BARE]), unit=unit, **FEW).record["notes"]
    assert any("looks like months" in note for note in notes) == doubted


# -- our own


@pytest.mark.slow
def test_a_predictions_file_of_ours_gives_the_numbers_of_its_run(
    tmp_path: Path,
) -> None:
    cohort = loaded(small(tmp_path / "cohort", modalities=("clinical",)))
    run = cross_validate(
        quick(epochs=2), cohort, folds=2, repeats=2, horizons=(400, 900), networks=False, controls=False,
        bootstrap=0, out=tmp_path / "run",
    )  # fmt: skip
    ours = json.loads((tmp_path / "run" / "metrics.json").read_text())[run.name]
    theirs = evaluate(tmp_path / "run" / "predictions.csv", **FEW).metrics_dict()[
        "predictions"
    ]
    for part in ("value", "se", "low", "high", "n", "events"):
        assert theirs["harrell_c"][part] == ours["harrell_c"][part]
    at_horizons = [
        f"{name}_{h}" for name in ("auc", "brier", "ipa") for h in (400, 900)
    ]
    for metric in (
        "uno_c",
        *at_horizons,
    ):  # weighted by the other folds, as the run's are
        assert theirs[metric]["value"] == pytest.approx(
            ours[metric]["value"],
            rel=1e-9,
        ), metric
        assert theirs[metric]["se"] == pytest.approx(ours[metric]["se"], rel=1e-6), (
            metric
        )


# -- another library


@pytest.mark.parametrize("kind", ["cox", "forest"])
def test_a_file_of_another_library_is_judged(file: File, kind: str) -> None:
    linear_model = pytest.importorskip("sksurv.linear_model")
    from sksurv.datasets import load_gbsg2
    from sksurv.ensemble import RandomSurvivalForest

    features, outcome = load_gbsg2()
    x = features[["age", "estrec", "pnodes", "progrec", "tsize"]].to_numpy(float)
    train, test = np.arange(0, 343), np.arange(343, 686)
    model = (
        linear_model.CoxPHSurvivalAnalysis()
        if kind == "cox"
        else RandomSurvivalForest(20, random_state=0)
    )
    model.fit(x[train], outcome[train])
    curves = model.predict_survival_function(x[test])
    table = pd.DataFrame(
        {
            "patient_id": test,
            "time": outcome["time"][test],
            "event": outcome["cens"][test],
        },
    )
    table["log_risk"] = model.predict(x[test])
    times = (365.0, 1095.0, 1825.0)
    for t in times:
        table[f"survival_{t:g}"] = [curve(t) for curve in curves]
    known = pd.DataFrame(
        {"time": outcome["time"][train], "event": outcome["cens"][train]},
    )
    result = evaluate(
        file(table),
        train=file(known, "train.csv"),
        draws=20,
        unit="days",
    )
    sound(result)
    found = result.estimates["predictions"]
    from sksurv.metrics import brier_score, concordance_index_censored

    c = concordance_index_censored(
        outcome["cens"][test],
        outcome["time"][test],
        table["log_risk"],
    )[0]
    assert found["harrell_c"].value == pytest.approx(c)
    at = table[[f"survival_{t:g}" for t in times]].to_numpy()
    # scikit-survival reads G at T, not before it: a little off where times are tied
    expected = brier_score(outcome[train], outcome[test], at, times)[1]
    assert [found[f"brier_{t:g}"].value for t in times] == pytest.approx(
        expected,
        rel=2e-3,
    )
    assert found["calibration_slope"].value is not None
    assert (
        found["observed_expected"].value is not None
        or "survival of 0" in found["observed_expected"].note
    )


# -- hard data


def test_twenty_thousand_rows(file: File) -> None:
    result = evaluate(file(predicted(20_000)), horizons=[10, 30], **FEW)
    sound(result)
    assert result.cohort["patients"] == 20_000
    assert all(
        estimate.value is not None
        for estimate in result.estimates["predictions"].values()
    )


@pytest.mark.parametrize("draws", [0, 20])
def test_all_censored(file: File, draws: int) -> None:
    result = evaluate(file(predicted(40).assign(event=0)), draws=draws)
    sound(result)
    found = result.estimates["predictions"]
    for metric in ("uno_c", "harrell_c", "auc_10", "calibration_slope", "royston_r2"):
        assert found[metric].value is None
    assert found["brier_10"].value is not None
    assert found["observed_expected"].value == 0


def test_one_event(file: File) -> None:
    table = predicted(40)
    table["event"] = (np.arange(40) == int(table["time"].argmin())).astype(int)
    result = evaluate(file(table), draws=20)
    sound(result)
    assert result.estimates["predictions"]["harrell_c"].value is not None
    assert result.estimates["predictions"]["harrell_c"].events == 1


def test_times_beyond_the_training_follow_up(file: File) -> None:
    train = predicted(80)
    train["event"] = (train["event"].astype(bool) & (train["time"] <= 12)).astype(int)
    train["time"] = train["time"].clip(upper=12)
    result = evaluate(file(predicted()), train=file(train, "train.csv"), draws=20)
    sound(result)
    found = result.estimates["predictions"]
    assert found["uno_c"].value is not None
    assert found["uno_c"].note
    assert found["brier_30"].value is None
    assert found["brier_10"].value is not None


def test_a_study_that_ends_is_judged_at_its_end(file: File) -> None:
    table = predicted()
    table["event"] = (table["event"].astype(bool) & (table["time"] <= 30)).astype(int)
    table["time"] = table["time"].clip(upper=30)
    exact = evaluate(file(table), horizons=[10.0, 30.0], draws=0).estimates[
        "predictions"
    ]
    raw = table.assign(time=table["time"] + 1e-12 * (np.arange(len(table)) % 3))
    ours = evaluate(file(raw, "raw.csv"), horizons=[10.0, 30.0], draws=0).estimates[
        "predictions"
    ]
    for metric in ("auc_30", "brier_30", "ipa_30", "isbs"):
        assert exact[metric].value is not None
        assert "everyone's follow-up ends by t = 30" in exact[metric].note
    assert [e.note for e in ours.values()] == [e.note for e in exact.values()]
    assert [e.value for e in ours.values()] == pytest.approx(
        [e.value for e in exact.values()],
        abs=1e-7,
    )


def test_one_patient(file: File) -> None:
    result = evaluate(file(predicted(1)), draws=20)
    sound(result)
    assert result.estimates["predictions"]["harrell_c"].value is None


def times(random: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    kinds = [
        random.integers(1, 4, n).astype(float),
        random.exponential(10, n) + 1e-3,
        np.full(n, 5.0),
        np.ceil(random.exponential(10, n)) + 1,
        10.0 ** random.integers(-6, 9, n),
        np.full(n, 1e-8) + random.random(n) * 1e-9,
    ]
    return kinds[random.integers(len(kinds))]


def survival(random: np.random.Generator, n: int, count: int) -> np.ndarray[Any, Any]:
    kinds = [
        np.sort(random.random((n, count)), axis=1)[:, ::-1],
        np.ones((n, count)),
        np.zeros((n, count)),
        np.tile(np.sort(random.random(count))[::-1], (n, 1)),
        np.tile(np.arange(count) == 0, (n, 1)).astype(float),
        (random.random((n, 1)) < 0.5) * np.ones((1, count)),
    ]
    return kinds[random.integers(len(kinds))]


def anything(random: np.random.Generator) -> pd.DataFrame:
    """A tiny table that may be degenerate in any column."""
    n = int(random.integers(1, 13))
    time = times(random, n)
    events = [
        random.random(n) < 0.5,
        np.zeros(n),
        np.ones(n),
        np.arange(n) == 0,
        time >= time.max(),
    ]
    table = pd.DataFrame({"patient_id": [f"p{i}" for i in range(n)], "time": time})
    table["event"] = events[random.integers(len(events))].astype(int)
    risks = [
        random.normal(size=n),
        np.zeros(n),
        random.integers(0, 2, n),
        1e8 * random.normal(size=n),
        -time,
    ]
    ranked = random.random() < 0.8
    if ranked:
        table["log_risk"] = risks[random.integers(len(risks))]
    if not ranked or random.random() < 0.6:
        known = np.sort(
            random.choice(
                [0.5, 1, 2, 3, 5, 10, 20, 1e3, 1e9],
                random.integers(1, 6),
                replace=False,
            ),
        )
        table[[f"survival_{t:g}" for t in known]] = survival(random, n, len(known))
    how = random.integers(4)
    if how == 1:
        table["fold"] = random.integers(0, 3, n)
    elif how == 2:
        table = pd.concat([table, table]).assign(
            repeat=np.repeat([0, 1], n),
            fold=random.integers(0, 2, 2 * n),
        )
    elif how == 3:  # one repeat has a single fold
        fold = np.concatenate([np.zeros(n, int), np.arange(n) % 2])
        table = pd.concat([table, table]).assign(repeat=np.repeat([0, 1], n), fold=fold)
    return table


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_no_table_breaks_it(file: File, seed: int) -> None:
    random = np.random.default_rng(seed)
    table = anything(random)
    path = file(table)
    how: dict[str, Any] = {"draws": (0, 20)[seed % 2]}
    how["interval"] = Interval(
        ("influence", "nadeau_bengio", "bootstrap")[seed % 3],
        20,
    )  # type: ignore[arg-type]
    if seed % 4 == 0:
        other = table.assign(log_risk=random.normal(size=len(table)))
        beside = other.drop(
            columns=[name for name in other if name.startswith("survival")],
        )
        how |= {"against": {"other": file(beside, "other.csv")}, "reference": "other"}
    if seed % 5 == 0:
        how["horizons"] = [1.0, 4.0, 1e6]
    if seed % 7 == 0:
        how["train"] = path
    sound(evaluate(path, **how))
