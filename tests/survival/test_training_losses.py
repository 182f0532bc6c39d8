from __future__ import annotations

import time as clock

import numpy as np
import pytest
import torch

from survfuse import losses
from survfuse._errors import InputError, NotComputableError
from survfuse.survival.cox import partial_log_likelihood
from survfuse.survival.training_losses import assign_bins, cox, discrete_nll, discretise

TIES = ["efron", "breslow"]
DTYPES = [torch.float32, torch.float64]


def tensors(monthly, dtype=torch.float64):
    time, event, risk = monthly
    return torch.tensor(risk, dtype=dtype), torch.tensor(event), torch.tensor(time)


@pytest.mark.parametrize("ties", TIES)
def test_the_loss_is_that_of_r(reference, ties):
    time, event, risk = (
        torch.tensor(values, dtype=torch.float64) for values in reference.arrays
    )
    expected = reference.numbers(f"coxph offset loglik {ties}")[0]
    assert cox(risk, event, time, ties, "sum").item() == pytest.approx(
        -expected,
        abs=1e-8,
    )
    assert cox(risk, event, time, ties).item() == pytest.approx(
        -expected / 159,
        abs=1e-10,
    )


@pytest.mark.parametrize("ties", TIES)
def test_the_loss_is_the_negative_partial_likelihood(monthly, ties):
    risk, event, time = tensors(monthly)
    expected = -partial_log_likelihood(time, event, risk, ties)
    assert cox(risk, event, time, ties, "sum").item() == pytest.approx(
        expected,
        abs=1e-9,
    )


@pytest.mark.parametrize("ties", TIES)
def test_the_gradient_is_the_finite_difference(monthly, ties):
    risk, event, time = (values[:40] for values in tensors(monthly))
    risk = risk.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda r: cox(r, event, time, ties), risk)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spread", ["alternating", "with time", "against time", "one"])
def test_extreme_risks_are_finite(monthly, ties, dtype, spread):
    _, event, time = tensors(monthly)
    sign = {
        "alternating": torch.arange(len(time)) % 2 * 2 - 1,
        "with time": torch.sign(time - time.median()),
        "against time": torch.sign(time.median() - time),
        "one": torch.arange(len(time)) == 3,
    }[spread]
    risk = (1000 * sign).to(dtype).requires_grad_()
    loss = cox(risk, event, time, ties)
    loss.backward()
    assert loss.dtype == risk.grad.dtype == dtype
    assert torch.isfinite(loss)
    assert torch.isfinite(risk.grad).all()
    expected = -partial_log_likelihood(time, event, risk.detach().double(), ties) / int(
        event.sum(),
    )
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_where_a_tied_loss_used_to_overflow():
    risk = torch.tensor([89.0, 89.0, 0.0, -89.0], requires_grad=True)
    loss = cox(risk, torch.ones(4), torch.tensor([1.0, 1.0, 1.0, 2.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(risk.grad).all()


@pytest.mark.parametrize("ties", TIES)
def test_row_order_never_matters(monthly, ties):
    risk, event, time = tensors(monthly)
    for seed in range(5):
        rows = torch.randperm(len(time), generator=torch.Generator().manual_seed(seed))
        assert cox(risk[rows], event[rows], time[rows], ties).item() == pytest.approx(
            cox(risk, event, time, ties).item(),
            rel=1e-13,
        )


@pytest.mark.parametrize("ties", TIES)
def test_a_shift_changes_nothing_and_gradients_add_to_zero(monthly, ties):
    risk, event, time = tensors(monthly)
    risk.requires_grad_()
    loss = cox(risk, event, time, ties)
    loss.backward()
    assert cox(risk + 500, event, time, ties).item() == pytest.approx(loss.item())
    assert risk.grad.sum().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("patients", [0, 1, 3])
def test_no_event_is_zero_with_a_gradient(ties, patients):
    risk = torch.randn(patients, requires_grad=True)
    loss = cox(risk, torch.zeros(patients), torch.arange(1.0, patients + 1), ties)
    loss.backward()
    assert loss.item() == 0
    assert risk.grad.tolist() == [0] * patients


@pytest.mark.parametrize("ties", TIES)
def test_one_patient_works(ties):
    risk = torch.tensor([3.0], requires_grad=True)
    loss = cox(risk, torch.tensor([True]), torch.tensor([2.0]), ties)
    loss.backward()
    assert loss.item() == 0
    assert risk.grad.tolist() == [0]


def test_efron_is_breslow_without_shared_event_times():
    risk, time = torch.randn(30, dtype=torch.float64), torch.arange(1.0, 31)
    event = torch.arange(30) % 3 > 0
    assert (
        cox(risk, event, time, "efron").item()
        == cox(risk, event, time, "breslow").item()
    )


def test_censored_at_an_event_time_is_at_risk():
    risk = torch.tensor([0.0, 0.0])
    tied = cox(risk, torch.tensor([1, 0]), torch.tensor([2.0, 2.0]))
    assert tied.item() == pytest.approx(np.log(2))


@pytest.mark.parametrize("ties", TIES)
def test_everyone_at_one_time(ties):
    risk = torch.zeros(4, dtype=torch.float64)
    loss = cox(risk, torch.ones(4), torch.ones(4), ties, "sum").item()
    assert loss == pytest.approx(np.log(24) if ties == "efron" else 4 * np.log(4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r, e, t: losses.cox(r, t, e), "event must be bool or 0/1"),
        (
            lambda r, e, t: losses.cox(r[:2], e, t),
            r"one row per patient in each tensor, got log_risk \(2,\), event \(3,\)",
        ),
        (lambda r, e, t: losses.cox(r[:, None], e, t), r"got shape \(3, 1\)"),
        (lambda r, e, t: losses.cox(r, e, t * torch.nan), "time must be finite; row 0"),
        (lambda r, e, t: cox(r, e, t, "exact"), "unknown ties 'exact'"),
        (lambda r, e, t: cox(r, e, t, reduction="none"), "unknown reduction 'none'"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(torch.zeros(3), torch.tensor([1, 0, 1]), torch.tensor([1.0, 2.0, 3.0]))


def test_the_loss_is_vectorised():
    n = 20_000
    generator = torch.Generator().manual_seed(0)
    risk = torch.randn(n, generator=generator, requires_grad=True)
    event, time = (
        torch.arange(n) % 2,
        torch.randint(1, 120, (n,), generator=generator).double(),
    )
    started = clock.perf_counter()
    cox(risk, event, time).backward()
    assert clock.perf_counter() - started < 0.5


def slow_discrete(logits, event, index):
    """Negative log-likelihood, patient by patient, from probabilities in 64 bits."""
    hazard, total = 1 / (1 + np.exp(-logits)), 0.0
    for h, e, k in zip(hazard, event, index, strict=True):
        total -= np.log(1 - h[:k]).sum() + (np.log(h[k]) if e else 0.0)
    return total


def test_discrete_time_is_the_slow_one_and_a_cross_entropy():
    rng = np.random.default_rng(0)
    logits, event, index = (
        rng.normal(size=(30, 5)),
        rng.random(30) < 0.5,
        rng.integers(0, 5, 30),
    )
    index = np.where(event, index, rng.integers(0, 6, 30))
    given = torch.tensor(logits), torch.tensor(event), torch.tensor(index)
    assert discrete_nll(*given, "sum").item() == pytest.approx(
        slow_discrete(logits, event, index),
    )
    assert discrete_nll(*given).item() == pytest.approx(
        slow_discrete(logits, event, index) / 30,
    )
    bins = np.arange(5)
    seen = (bins < index[:, None]) | (event[:, None] & (bins == index[:, None]))
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        given[0],
        torch.tensor(event[:, None] & (bins == index[:, None]), dtype=torch.float64),
        reduction="none",
    )
    assert discrete_nll(*given, "sum").item() == pytest.approx(
        (entropy * torch.tensor(seen)).sum().item(),
    )


def test_discrete_time_does_not_saturate():
    logits = torch.tensor([[36.0, 0.0]], requires_grad=True)
    loss = discrete_nll(logits, torch.tensor([0]), torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(36.0)
    assert logits.grad[0].tolist() == pytest.approx([1, 0])
    far = discrete_nll(
        torch.full((2, 3), -1000.0),
        torch.tensor([1, 0]),
        torch.tensor([2, 3]),
        "sum",
    )
    assert far.item() == pytest.approx(1000)


def test_censored_in_the_first_bin_tells_nothing():
    logits = torch.randn(1, 4, requires_grad=True)
    loss = discrete_nll(logits, torch.tensor([False]), torch.tensor([0]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0


def test_the_discrete_gradient_is_the_finite_difference():
    logits = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    event, index = torch.tensor([1, 0, 1, 0, 1, 0]), torch.tensor([0, 0, 3, 4, 2, 1])
    assert torch.autograd.gradcheck(lambda z: discrete_nll(z, event, index), logits)


@pytest.mark.parametrize(
    ("event", "index", "message"),
    [
        ([1, 0], [4, 0], "0..3 for events and 0..4 for censored"),
        ([1, 0], [0, 5], "0..3 for events and 0..4 for censored"),
        ([1, 0], [-1, 0], "0..3 for events"),
        ([1, 0], [0], "expected one row per patient"),
        ([2, 0], [0, 0], "event must be bool or 0/1"),
    ],
)
def test_wrong_bins_are_refused(event, index, message):
    with pytest.raises(InputError, match=message):
        losses.discrete_nll(
            torch.zeros(2, 4),
            torch.tensor(event),
            torch.tensor(index),
        )


def test_bins_hold_equally_many_events():
    time = np.arange(1.0, 101)
    event = time % 2 == 0
    edges = discretise(time, event, 5)
    assert edges.tolist() == [20, 40, 60, 80, 100]
    index, within = assign_bins(
        torch.tensor(time),
        torch.tensor(event),
        torch.tensor(edges),
    )
    assert torch.bincount(index[within]).tolist() == [10] * 5


def test_patients_are_placed_in_bins():
    edges = torch.tensor([2.0, 4.0])
    time = torch.tensor([2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 9.0, 9.0])
    event = torch.tensor([1, 0] * 4)
    index, within = assign_bins(time, event, edges)
    assert index.tolist() == [0, 1, 1, 1, 1, 2, 2, 2]
    assert within.tolist() == [True, False, True, False, True, False, False, False]
    assert torch.isfinite(discrete_nll(torch.zeros(8, 2), within, index))


@pytest.mark.parametrize(
    "dtype",
    [torch.float16, torch.float32, torch.float64, torch.int64],
)
def test_times_of_less_precision_end_the_bins_that_they_are_edges_of(dtype):
    edges = torch.tensor(
        [3.0, 4.0] if dtype == torch.int64 else [5.3, 6.2],
        dtype=torch.float64,
    )
    index, within = assign_bins(edges.to(dtype), torch.tensor([True, True]), edges)
    assert index.tolist() == [0, 1]
    assert within.tolist() == [True, True]


def test_shared_times_make_fewer_bins():
    assert discretise([1, 1, 1, 1, 2, 2], [1, 1, 1, 1, 1, 1], 8).tolist() == [1, 2]
    assert discretise([1, 2, 2, 2, 2, 2], [1, 1, 1, 1, 1, 1], 2).tolist() == [1, 2]
    with pytest.raises(NotComputableError, match="events at two times or more, got 1"):
        discretise([1, 1, 3], [1, 1, 0], 4)
    with pytest.raises(InputError, match="bins must be a whole number >= 2"):
        discretise([1, 2], [1, 1], 1)


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_gradient_is_right_where_risks_are_extreme(monthly, scale):
    """Breslow: minus the martingale residual, its terms summed in log space."""
    risk, event, time = tensors(monthly)
    risk = (scale * risk).requires_grad_()
    cox(risk, event, time, "breslow", "sum").backward()
    r, t, dying = risk.detach().numpy(), time.numpy(), np.flatnonzero(event.numpy())
    log_sum = np.array([np.logaddexp.reduce(r[t >= t[i]]) for i in dying])
    shares = np.exp(np.where(t[:, None] >= t[dying], r[:, None] - log_sum, -np.inf))
    expected = shares.sum(axis=1) - event.numpy()
    assert risk.grad.numpy() == pytest.approx(expected, abs=1e-9)
