from __future__ import annotations

import numpy as np
import pytest

from survfuse._errors import InputError, NotComputableError
from survfuse.survival.argument_checks import as_horizons, as_survival
from survfuse.survival.censoring_weights import AtHorizons, CensoringWeights
from survfuse.survival.curves import censoring_survival
from survfuse.survival.follow_up import as_train
from survfuse.survival.right_censored import Outcome

TWO = np.array([1.0, 2.0])


def slow_influence(time, event, share, t, n):
    """The formula of the module, patient by patient and censoring time by censoring time."""
    influence = share - share.mean()
    for u in np.unique(time[~event & (time <= t)]):
        at_risk = (time >= u).sum()
        q = share[time > u].sum() / at_risk
        hazard = (~event & (time == u)).sum() / at_risk
        for i in range(n):
            if time[i] >= u:
                influence[i] += q * ((not event[i] and time[i] == u) - hazard)
    return influence / np.sqrt(n * (n - 1))


def weights_of(time, event, times, train=None):
    horizons = as_horizons(times)
    return CensoringWeights.of(Outcome.of(time, event), horizons, as_train(train))


def test_events_count_by_the_left_limit_and_survivors_by_the_value():
    #  at 2 an event comes before a censoring: G(2-) = 1, G(2) = 2/3, G(3) = 2/3, then G(4) = 1/3
    w = weights_of([2, 2, 3, 4, 5], [1, 0, 1, 0, 1], [2, 3, 4])
    assert w.of_event == pytest.approx([1, 0, 4 / 3, 0, 8 / 3])
    assert 1 / w.of_beyond == pytest.approx([3 / 4, 3 / 4, 3 / 8])
    assert w.beyond.tolist() == [
        [False] * 3,
        [False] * 3,
        [True, False, False],
        [True, True, False],
        [True] * 3,
    ]
    assert w.events.tolist() == [1, 2, 2]


def test_the_weights_sum_to_the_number_of_patients(monthly):
    time, event, _ = monthly
    w = weights_of(time, event, [1, 5, 12, 20])
    total = np.where(w.beyond, w.of_beyond, w.of_event[:, None]).sum(axis=0)
    assert total == pytest.approx([150.0] * 4)


def test_training_patients_give_the_weights(monthly):
    time, event, _ = monthly
    train = (time[:70] + 1, event[:70])
    w = weights_of(time[70:], event[70:], [3.0, 9.0], train)
    g = censoring_survival(*train)
    assert w.training is not None
    assert w.of_event == pytest.approx(event[70:] / g.left(time[70:]))
    assert w.of_beyond == pytest.approx(1 / g([3, 9]))


def test_the_influence_is_the_slow_one(monthly):
    time, event, risk = monthly
    times = np.array([3.0, 7.5, 20.0])
    w = weights_of(time, event, times)
    share = np.where(w.beyond, w.of_beyond, w.of_event[:, None]) * np.abs(risk)[:, None]
    values, influence = w.mean(share)
    assert values == pytest.approx(share.mean(axis=0))
    for k, t in enumerate(times):
        assert influence[:, k] == pytest.approx(
            slow_influence(time, event, share[:, k], t, 150),
            abs=1e-14,
        )
    assert influence.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)


def mean_that_sums_up(w, risk):
    """Weighted mean of the risks at three times, after a look at its integral."""
    share = np.where(w.beyond, w.of_beyond, w.of_event[:, None]) * np.abs(risk)[:, None]
    width = np.array([0.5, 0.3, 0.2])
    values, influence = w.mean(share)
    value, total = w.integral(share, width)
    assert value == pytest.approx(values @ width)
    assert total == pytest.approx(influence @ width, abs=1e-14)
    return values, influence


@pytest.mark.parametrize("own", [True, False])
def test_an_integral_is_the_sum_over_times(monthly, own):
    time, event, risk = monthly
    w = weights_of(time, event, [3.0, 7.5, 20.0], None if own else (time + 1, event))
    mean_that_sums_up(w, risk)


@pytest.mark.parametrize(
    ("time", "event", "t", "train", "why"),
    [
        (
            [1, 2, 3],
            [1, 0, 1],
            3.5,
            None,
            "t = 3.5 lies beyond all follow-up, which ends at 3",
        ),
        (
            [1, 2, 3],
            [1, 0, 0],
            2.5,
            ([1, 2], [1, 1]),
            "beyond the training censoring curve, which ends at 2",
        ),
        ([], [], 1, None, "there are no patients"),
    ],
)
def test_a_horizon_that_cannot_be_weighed_says_why(time, event, t, train, why):
    w = weights_of(time, event, [t], train)
    assert why in w.why[0]
    assert not w.known.any()
    with pytest.raises(NotComputableError, match=r"^(t = |there are no)"):
        AtHorizons(w, np.zeros(0), np.zeros((len(w), 0))).at_all()


def test_the_last_follow_up_is_known_where_it_is_an_event():
    w = weights_of([1, 2, 3], [1, 0, 1], [3])
    assert w.why.tolist() == [""]
    assert w.of_event == pytest.approx([1, 0, 2])


def cut_at(monthly, end):
    """A study that ends: everyone still followed then is censored."""
    time, event, risk = monthly
    return np.minimum(time, end), event & (time <= end), risk


def test_where_all_follow_up_ends_the_censored_are_known_to_be_free(monthly):
    time, event, _ = cut_at(monthly, 12.0)
    w = weights_of(time, event, [5, 12])
    just_before = weights_of(time, event, [np.nextafter(12.0, 0)])
    assert w.known.all()
    assert w.of_beyond[1] == just_before.of_beyond[0]
    assert w.beyond[:, 1].tolist() == ((time == 12) & ~event).tolist()
    assert w.notes[0] == ""
    assert w.notes[1].startswith(
        "everyone's follow-up ends by t = 12: patients followed to it",
    )
    assert np.where(w.beyond, w.of_beyond, w.of_event[:, None]).sum(
        axis=0,
    ) == pytest.approx([150.0] * 2)
    assert (
        weights_of(time, event, [12.5])
        .why[0]
        .endswith("beyond all follow-up, which ends at 12")
    )


def test_training_patients_whose_follow_up_ends_give_weights_to_their_end(monthly):
    time, event, _ = cut_at(monthly, 12.0)
    w = weights_of(monthly[0], monthly[1], [12], (time, event))
    g = censoring_survival(time, event)
    assert w.of_beyond == pytest.approx(1 / g.left([12]))
    last = (monthly[0] > 12) | ((monthly[0] == 12) & ~monthly[1])
    assert w.beyond[:, 0].tolist() == last.tolist()


def test_the_influence_where_all_follow_up_ends_is_that_just_before(monthly):
    time, event, risk = cut_at(monthly, 12.5)  # nobody has the event at the end
    times, before = (
        np.array([3.0, 7.5, 12.5]),
        np.array([3.0, 7.5, np.nextafter(12.5, 0) - 1e-6]),
    )
    found = []
    for at in (times, before):
        w = weights_of(time, event, at)
        values, influence = mean_that_sums_up(w, risk)
        found.append((values, influence))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-14)
    assert found[0][1] == pytest.approx(found[1][1], abs=1e-14)


def test_follow_up_ends_with_its_last_time():
    assert Outcome.of([1.0, 4.0], [1, 0]).last == 4
    assert Outcome.of([], []).last == 0


def test_a_restriction_names_the_last_horizon_and_the_reason():
    w = weights_of([1, 2, 3], [1, 0, 1], [1, 2, 4])
    assert (
        w.restriction
        == "restricted to t <= 2: t = 4 lies beyond all follow-up, which ends at 3"
    )
    assert w.usable().times.tolist() == [1, 2]
    assert w.usable().restriction == ""


def test_an_earlier_reason_stays():
    w = weights_of([1, 2, 3], [1, 0, 1], [1, 4]).unless(
        np.array([True, True]),
        "not at {t:g}",
    )
    assert w.why[0] == "not at 1"
    assert "beyond all follow-up" in w.why[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_horizons([]), "at least one horizon"),
        (lambda: as_horizons([[1, 2]]), "one column"),
        (lambda: as_horizons([1, np.nan]), "finite numbers > 0; place 1 holds nan"),
        (lambda: as_horizons([0.0]), "finite numbers > 0; place 0 holds 0"),
        (lambda: as_horizons("soon"), "times must be numbers"),
        (lambda: as_horizons([2, 2], increasing=True), "increase strictly"),
        (lambda: as_survival([[0.5]], 1, TWO), r"expected \(1, 2\), got \(1, 1\)"),
        (lambda: as_survival([0.5, 0.4], 1, TWO), r"expected \(1, 2\), got \(2,\)"),
        (lambda: as_survival([[0.5, 1.5]], 1, TWO), "row 0, time 1 holds 1.5"),
        (lambda: as_survival([[0.5, np.nan]], 1, TWO), "row 0, time 1 holds nan"),
        (
            lambda: as_survival([[0.4, 0.5]], 1, TWO),
            "never rise with time; in row 0 it is 0.5 at t = 2",
        ),
        (
            lambda: as_survival([[0.5, 0.4]], 1, TWO[::-1]),
            "row 0 it is 0.5 at t = 2 and was 0.4 before",
        ),
        (
            lambda: as_survival(np.ones((2, 3)), 3, TWO),
            r"got \(2, 3\); is it transposed\?",
        ),
        (lambda: as_survival([["high"]], 1, TWO[:1]), "survival must be numbers"),
        (
            lambda: weights_of([1], [1], [1], ([], [])),
            "train must hold at least one patient",
        ),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_one_number_and_one_column_will_do():
    assert as_horizons(3).tolist() == [3.0]
    assert as_survival([0.5, 0.4], 2, TWO[:1]).shape == (2, 1)
