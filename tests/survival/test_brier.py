from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.brier import (
    brier,
    brier_influence,
    integrated_brier,
    integrated_brier_influence,
    integrated_ipa,
    integrated_ipa_influence,
    ipa,
    ipa_influence,
)
from survfuse.survival.curves import breslow, censoring_survival, kaplan_meier

TIMES = [2.0, 5.0, 8.0]
MONTHS = [6.0, 12.0, 24.0, 30.0]
FOLDER = Path(__file__).parent / "reference"


def reference_survival(reference):
    """What ref.R predicts: Breslow hazard of the training patients at a coefficient of 1."""
    train = reference.train
    hazard = breslow(train["time"], train["event"], train["risk"])(TIMES)
    return np.exp(-np.exp(reference.arrays[2])[:, None] * hazard)


def printed_rows(text, table, model):
    """Numbers that R printed for a model, (times, 3): t, value, standard error."""
    lines = text.split(table)[1].splitlines()
    rows = [
        line.split(model, 1)[1].split()
        for line in lines
        if line.split(":")[-1].strip().startswith(model)
    ]
    return np.array([[float(x) for x in row[:3]] for row in rows[:3]])


@pytest.fixture(scope="module")
def made():
    """Own data in whole months (reference/ipcw.R), what R said about them, and the two models' survival."""
    data = pd.read_csv(FOLDER / "ipcw.csv")
    said = pd.read_csv(FOLDER / "ipcw_R.csv", keep_default_na=False)
    curves = {
        m: np.exp(-np.outer(np.exp(data[m]), np.array(MONTHS) / 30)) for m in ("x", "z")
    }
    return data, said, curves


def said_of(said, metric, model, reference=""):
    rows = said[
        (said.metric == metric) & (said.model == model) & (said.reference == reference)
    ]
    assert rows["time"].tolist() == MONTHS
    return rows["value"].astype(float).tolist(), rows["se"].tolist()


@pytest.mark.parametrize("model", ["m ", "Null model"])
def test_brier_and_its_error_are_those_of_r(reference, model):
    time, event, _ = reference.arrays
    survival = reference_survival(reference)
    if model == "Null model":
        survival = np.tile(kaplan_meier(time, event)(TIMES), (len(time), 1))
    expected = printed_rows(reference.text, "Brier  ", model)
    ours = brier(time, event, survival, TIMES)
    for estimate, (t, value, se) in zip(ours, expected, strict=True):
        assert estimate.value == pytest.approx(value, abs=1e-8)
        assert estimate.se == pytest.approx(se, abs=1e-8)
        assert (estimate.n, estimate.events) == (
            300,
            int(((time <= t) & (event == 1)).sum()),
        )


@pytest.mark.parametrize("model", ["x", "z"])
def test_months_are_those_of_r(made, model):
    data, said, curves = made
    values, errors = said_of(said, "brier", model)
    ours = brier(data.time, data.event, curves[model], MONTHS)
    assert [e.value for e in ours] == pytest.approx(values, abs=1e-12)
    assert [e.se for e in ours] == pytest.approx(
        [float(se) for se in errors],
        abs=1e-12,
    )
    gains = ipa(data.time, data.event, curves[model], MONTHS)
    assert [e.value for e in gains] == pytest.approx(
        said_of(said, "ipa", model)[0],
        abs=1e-12,
    )


def test_differences_of_influences_give_the_paired_error_of_r(made):
    data, said, curves = made
    x, z = (
        brier_influence(data.time, data.event, curves[m], MONTHS) for m in ("x", "z")
    )
    values, errors = said_of(said, "brier difference", "z", "x")
    assert z[0] - x[0] == pytest.approx(values, abs=1e-12)
    assert np.sqrt(((z[1] - x[1]) ** 2).sum(axis=0)) == pytest.approx(
        [float(se) for se in errors],
        abs=1e-12,
    )


def test_ipa_follows_from_the_difference_with_the_null_model(made):
    data, said, curves = made
    null = np.tile(kaplan_meier(data.time, data.event)(MONTHS), (len(data), 1))
    b, b0 = (
        brier_influence(data.time, data.event, s, MONTHS) for s in (curves["x"], null)
    )
    errors = np.sqrt(((b[1] - b0[1]) ** 2).sum(axis=0))
    assert errors == pytest.approx(
        [float(se) for se in said_of(said, "brier difference", "x", "Null model")[1]],
    )
    value, influence = ipa_influence(data.time, data.event, curves["x"], MONTHS)
    assert influence == pytest.approx((b0[1] * b[0] / b0[0] - b[1]) / b0[0])
    ours = ipa(data.time, data.event, curves["x"], MONTHS)
    assert [e.value for e in ours] == pytest.approx(value)
    assert [e.se for e in ours] == pytest.approx(np.sqrt((influence**2).sum(axis=0)))


def test_leaving_patients_out_one_by_one_gives_the_same_errors():
    rng = np.random.default_rng(5)
    n = 250
    x = rng.normal(size=n)
    time, end = rng.exponential(10 * np.exp(-x)), rng.exponential(10, n)
    time, event = np.minimum(time, end), time <= end
    survival = np.exp(-np.outer(np.exp(0.7 * x), TIMES) / 10)

    def numbers(rows):
        arrays = time[rows], event[rows], survival[rows], TIMES
        return [*(e.value for e in brier(*arrays)), *(e.value for e in ipa(*arrays)),
                integrated_brier(*arrays).value, integrated_ipa(*arrays).value]  # fmt: skip

    left_out = np.array([numbers(np.arange(n) != i) for i in range(n)])
    jackknife = np.sqrt(
        (n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0),
    )
    arrays = time, event, survival, TIMES
    ours = [
        e.se
        for e in [
            *brier(*arrays),
            *ipa(*arrays),
            integrated_brier(*arrays),
            integrated_ipa(*arrays),
        ]
    ]
    assert ours == pytest.approx(jackknife, rel=0.02)
    assert ours != pytest.approx(jackknife * 1.05, rel=0.02)


def test_training_weights_are_fixed(monthly):
    time, event, risk = monthly
    train = (time + 1, event)
    survival = np.exp(-np.outer(np.exp(risk), [4.0, 9.0]) / 12)
    g = censoring_survival(*train)
    for k, (t, ours) in enumerate(
        zip([4.0, 9.0], brier(time, event, survival, [4, 9], train), strict=True),
    ):
        terms = np.zeros(150)
        for i in range(150):
            if time[i] > t:
                terms[i] = (1 - survival[i, k]) ** 2 / g(t)
            elif event[i]:
                terms[i] = survival[i, k] ** 2 / g.left(time[i])
        assert ours.value == pytest.approx(terms.mean())
        assert ours.se == pytest.approx(terms.std(ddof=1) / np.sqrt(150))


def test_the_null_model_is_that_of_the_training_patients(monthly):
    time, event, risk = monthly
    train = (time + 1, event)
    survival = np.exp(-np.outer(np.exp(risk), [4.0, 9.0]) / 12)
    null = np.tile(kaplan_meier(*train)([4, 9]), (150, 1))
    ratio = np.divide(
        *(brier_influence(time, event, s, [4, 9], train)[0] for s in (survival, null)),
    )
    assert [
        e.value for e in ipa(time, event, survival, [4, 9], train)
    ] == pytest.approx(1 - ratio)
    assert [e.value for e in ipa(time, event, null, [4, 9], train)] == pytest.approx(
        [0, 0],
        abs=1e-14,
    )


def test_the_integral_is_the_trapezoid_over_the_range(monthly):
    time, event, risk = monthly
    times = np.array([1.0, 2.0, 4.5, 9.0, 20.0])
    survival = np.exp(-np.outer(np.exp(risk), times) / 12)
    values, influence = brier_influence(time, event, survival, times)
    value, total = integrated_brier_influence(time, event, survival, times)
    ours = integrated_brier(time, event, survival, times)
    assert value == ours.value == pytest.approx(np.trapezoid(values, times) / 19)
    assert total == pytest.approx(
        np.trapezoid(influence, times, axis=1) / 19,
        abs=1e-14,
    )
    assert ours.se == pytest.approx(np.sqrt((total**2).sum()))
    assert ours.note == ""
    gain = integrated_ipa(time, event, survival, times)
    null = integrated_brier(
        time,
        event,
        np.tile(kaplan_meier(time, event)(times), (150, 1)),
        times,
    )
    assert gain.value == pytest.approx(1 - ours.value / null.value)
    assert gain.se == pytest.approx(
        np.sqrt((integrated_ipa_influence(time, event, survival, times)[1] ** 2).sum()),
    )


@pytest.mark.parametrize("trained", [False, True])
def test_late_horizons_are_left_out_of_the_integral_and_it_says_so(monthly, trained):
    time, event, risk = monthly
    end = 9.0 if trained else time.max()
    train = (np.minimum(time, 9.0), event & (time < 9)) if trained else None
    times = np.array([2.0, 4.0, 8.0, end + 1])
    survival = np.exp(-np.outer(np.exp(risk), times) / 12)
    ours = integrated_brier(time, event, survival, times, train)
    assert ours.value == pytest.approx(
        integrated_brier(time, event, survival[:, :3], times[:3], train).value,
    )
    assert ours.note.startswith("restricted to t <= 8: ")
    assert ("training censoring curve, which ends at 9" in ours.note) == trained
    assert ours.events == ((time <= 8) & event).sum()
    assert integrated_ipa(time, event, survival, times, train).note == ours.note
    single = brier(time, event, survival, times, train)
    assert [e.value is None for e in single] == [False, False, False, True]
    assert single[3].note in ours.note


def test_certainty_costs_nothing_and_one_half_costs_a_quarter():
    time, event = np.arange(1.0, 9.0), np.ones(8)
    times = [2.5, 6.0]
    truth = (time[:, None] > times).astype(float)
    perfect = brier(time, event, truth, times)
    assert [e.value for e in perfect] == [0, 0]
    assert perfect[0].se is None
    assert "no interval" in perfect[0].note
    assert [
        e.value for e in brier(time, event, np.full((8, 2), 0.5), times)
    ] == pytest.approx([0.25, 0.25])
    assert [e.value for e in ipa(time, event, truth, times)] == [1, 1]
    wrong = [
        brier(time, event, 1 - truth[:, [k]], t)[0].value for k, t in enumerate(times)
    ]
    assert wrong == pytest.approx([1, 1])


def test_the_kaplan_meier_curve_gains_nothing_on_itself(monthly):
    time, event, _ = monthly
    null = np.tile(kaplan_meier(time, event)(MONTHS), (150, 1))
    assert [e.value for e in ipa(time, event, null, MONTHS)] == pytest.approx(
        [0] * 4,
        abs=1e-14,
    )
    assert integrated_ipa(time, event, null, MONTHS).value == pytest.approx(
        0,
        abs=1e-14,
    )


def test_row_order_and_unit_of_time_never_matter(monthly):
    time, event, risk = monthly
    times = np.array([3.0, 9.0, 15.0])
    survival = np.exp(-np.outer(np.exp(risk), times) / 12)
    rows = np.random.default_rng(3).permutation(150)
    for metric in (brier, ipa, integrated_brier, integrated_ipa):
        ones = np.atleast_1d(metric(time, event, survival, times))
        others = np.atleast_1d(
            metric(time[rows] / 16, event[rows], survival[rows], times / 16),
        )
        for one, other in zip(ones, others, strict=True):
            assert other.value == pytest.approx(one.value)
            assert other.se == pytest.approx(one.se)


def test_other_libraries_agree_where_r_does(reference):
    """Not on shared times: they read the censoring curve at T, not left of it, and are not R's there."""
    sksurv, evaluation = (
        pytest.importorskip("sksurv.metrics"),
        pytest.importorskip("SurvivalEVAL"),
    )
    time, event, _ = reference.arrays
    train = reference.train["time"].to_numpy(), reference.train["event"].to_numpy()
    kind = [("e", bool), ("t", float)]
    y, y_train = (
        np.array(list(zip(e == 1, t, strict=True)), dtype=kind)
        for t, e in ((time, event), train)
    )
    survival, times = reference_survival(reference), np.array(TIMES)
    evaluator = evaluation.SurvivalEvaluator(survival, times, time, event, *train)
    ours = [e.value for e in brier(time, event, survival, TIMES, train)]
    whole = integrated_brier(time, event, survival, TIMES, train).value
    theirs = (
        sksurv.brier_score(y_train, y, survival, TIMES)[1],
        evaluator.brier_score_multiple_points(times),
    )
    integrals = (
        sksurv.integrated_brier_score(y_train, y, survival, TIMES),
        evaluator.integrated_brier_score(target_times=times),
    )
    agree = len(np.unique(time)) == len(time)
    assert [ours == pytest.approx(scores, rel=1e-3) for scores in theirs] == [
        agree,
        agree,
    ]
    assert [whole == pytest.approx(score, rel=1e-3) for score in integrals] == [
        agree,
        agree,
    ]
    if agree:
        assert ours == pytest.approx(theirs[0], rel=1e-9)
        assert ours == pytest.approx(theirs[1], rel=1e-9)
        assert integrals == pytest.approx((whole, whole), rel=1e-9)


@pytest.mark.parametrize(
    ("time", "event", "values"),
    [
        (
            [1, 2, 3, 4],
            [0, 0, 0, 0],
            [0.16, 0.16],
        ),  # all censored: the weights of the survivors sum to n
        (
            [1, 2, 3, 4],
            [1, 0, 0, 0],
            [(0.36 + 3 * 0.16) / 4, (0.36 + 3 * 0.16) / 4],
        ),  # one event
        ([4], [1], [0.16, 0.16]),  # one patient
        (
            [2, 2, 2, 2.75],
            [1, 1, 1, 0],
            [0.16, (3 * 0.36 + 0.16) / 4],
        ),  # all events at one time
    ],
)
def test_small_cohorts(time, event, values):
    ours = brier(time, event, np.full((len(time), 2), 0.6), [1.5, 2.5])
    assert [e.value for e in ours] == pytest.approx(values)
    assert all(e.note == "" or "no interval" in e.note for e in ours)


@pytest.mark.parametrize(
    ("time", "event", "why"),
    [
        ([], [], "there are no patients"),
        ([1, 2], [1, 1], "t = 5 lies beyond all follow-up, which ends at 2"),
    ],
)
def test_what_cannot_be_computed_says_why(time, event, why):
    survival, times = np.full((len(time), 2), 0.5), [5, 6]
    for metric in (brier, ipa):
        estimate = metric(time, event, survival, times)[0]
        assert (estimate.value, estimate.se, estimate.low, estimate.high) == (None,) * 4
        assert why in estimate.note
    for metric in (integrated_brier, integrated_ipa):
        estimate = metric(time, event, survival, times)
        assert estimate.value is None
        assert why in estimate.note
        assert "fewer than two horizons" in estimate.note
    for influence in (
        brier_influence,
        ipa_influence,
        integrated_brier_influence,
        integrated_ipa_influence,
    ):
        with pytest.raises(NotComputableError, match=why):
            influence(time, event, survival, times)


def test_a_null_model_without_error_leaves_nothing_to_compare():
    time, event, survival = [1, 4, 5, 6], [0, 1, 1, 0], np.full((4, 2), 0.9)
    ours = ipa(time, event, survival, [2, 4.5])
    assert "makes no error up to t = 2" in ours[0].note
    assert ours[1].value is not None
    assert (
        "makes no error up to t = 3"
        in integrated_ipa(time, event, survival, [2, 3]).note
    )
    assert integrated_ipa(time, event, survival, [2, 4.5]).value is not None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: brier([1, 2], [1, 0], [[0.5, 0.4]], [1, 2]),
            r"expected \(2, 2\), got \(1, 2\)",
        ),
        (lambda: brier([1, 2], [1, 0], [[0.5], [np.nan]], [1]), "row 1 holds nan"),
        (lambda: brier([1, 2], [1, 0], [[0.5], [1.1]], [1]), "row 1 holds 1.1"),
        (
            lambda: integrated_brier([1, 2], [1, 0], [0.5, 0.5], [1]),
            "at least two horizons, got one",
        ),
        (
            lambda: integrated_brier([1, 2], [1, 0], np.ones((2, 2)), [2, 1]),
            "increase strictly",
        ),
        (
            lambda: brier([1, 2], [1, 0], [0.5, 0.5], [1], train=([], [])),
            "train must hold",
        ),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_the_intervals_cover():
    """Over 200 small censored cohorts the 95 % intervals hold the true values in about 95 of 100."""
    rng = np.random.default_rng(0)

    def cohort(n):
        x = rng.normal(size=n)
        return rng.exponential(10 * np.exp(-x)), np.exp(
            -np.outer(np.exp(0.7 * x), TIMES) / 10,
        )

    time, survival = cohort(200_000)
    event = np.ones(len(time))
    last = np.append(time, [9.0]), np.append(event, [0])  # all are followed to 8
    survival = np.vstack([survival, survival[:1]])
    truth = [e.value for e in brier(*last, survival, TIMES)] + [
        integrated_brier(*last, survival, TIMES).value,
    ]
    hits = np.zeros(4)
    for _ in range(200):
        time, survival = cohort(200)
        end = rng.exponential(15.0, 200)
        seen = np.minimum(time, end), time <= end, survival, TIMES
        ours = [*brier(*seen), integrated_brier(*seen)]
        hits += [e.low <= t <= e.high for e, t in zip(ours, truth, strict=True)]
    assert ((hits / 200 >= 0.90) & (hits / 200 <= 0.985)).all(), hits / 200
