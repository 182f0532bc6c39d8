"""Losses for networks: Cox partial likelihood and discrete-time likelihood, in torch.

Both compute in float64 (where the device has it) and hand the gradient back in the
dtype of their input. Times that are equal up to rounding are one time
(:mod:`survfuse.survival.ties`).

A training step calls these functions as they are, with an outcome that was validated when
the cohort was read; :mod:`survfuse.losses` checks the tensors of others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from survfuse._errors import InputError, NotComputableError
from survfuse._types import FloatArray
from survfuse.survival.argument_checks import as_whole
from survfuse.survival.right_censored import Outcome
from survfuse.survival.ties import tied


def cox(
    log_risk: Tensor,
    event: Tensor,
    time: Tensor,
    ties: str = "efron",
    reduction: str = "mean",
) -> Tensor:
    """Negative log partial likelihood of a Cox model.

    Stable for any finite log-risk: risk sets are summed by ``logcumsumexp``, and
    Efron's correction is ``log S + log1p(−f · D / S)``. Row order does not matter.
    Without any event it is zero, with a gradient (of zeros).

    Parameters
    ----------
    log_risk : Tensor, (patients,)
        Larger means an earlier event.
    event : Tensor, (patients,), bool or 0/1
    time : Tensor, (patients,)
    ties : {"efron", "breslow"}
    reduction : {"mean", "sum"}
        "mean" divides by the number of events, not of patients.

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    InputError
        For unknown `ties` or `reduction`.
    """
    if ties not in ("efron", "breslow"):
        raise InputError(f"unknown ties {ties!r}; known: efron, breslow")
    _check_reduction(reduction)
    happened = event.bool()
    if not happened.any():
        return log_risk.sum() * 0.0
    time = _tied(time)[0]
    order = torch.argsort(
        time,
        descending=True,
        stable=True,
    )
    risk, is_event = _wide(log_risk)[order], happened[order]
    moment, count = _runs(time[order])
    # A risk set ends with the last of the patients who share its time.
    last = torch.cumsum(count, 0) - 1
    own, moment = risk[is_event], moment[is_event]
    log_sum = torch.logcumsumexp(risk, 0)[last[moment]]  # (events,)
    terms = log_sum - own
    if ties == "efron":
        terms = terms + _efron(own, log_sum, moment)
    total = terms.sum()
    total = total / len(own) if reduction == "mean" else total
    return total.to(log_risk.dtype)


def _efron(
    own: Tensor,
    log_sum: Tensor,
    moment: Tensor,
) -> Tensor:
    """log(1 − f D/S) per event, with f = 0, 1/d, …, (d−1)/d among the d events at one time."""
    tie, count = _runs(moment)
    first = torch.cumsum(count, 0) - count
    nth = torch.arange(len(own), device=own.device) - first[tie]
    share = nth / count[tie].to(own.dtype)
    top = own.new_full((len(count),), -torch.inf)
    top = top.scatter_reduce(0, tie, own.detach(), "amax")
    sums = torch.zeros_like(top).index_add(0, tie, torch.exp(own - top[tie]))
    log_tied = (top + torch.log(sums))[tie]
    return torch.log1p(-share * torch.exp(log_tied - log_sum))


def _runs(values: Tensor) -> tuple[Tensor, Tensor]:
    """Number of the run of equal values that each value is in, and the length of each run."""
    _, number, count = torch.unique_consecutive(
        values,
        return_inverse=True,
        return_counts=True,
    )
    return number, count


BATCH_FLOOR = 1e-8


def cox_batch(
    log_risk: Tensor,
    event: Tensor,
    time: Tensor,
) -> Tensor:
    """Cox loss of a mini-batch in the form of arXiv 2605.13897.

    With patients sorted by descending time,
    ``-sum event (r - log(cumsum(exp r) + 1e-8)) / sum event``. Tied times are not
    corrected for, so that their order matters; :func:`cox` is the loss to use.

    Parameters
    ----------
    log_risk : Tensor, (patients,)
    event : Tensor, (patients,), bool or 0/1
    time : Tensor, (patients,)

    Returns
    -------
    Tensor, scalar
        Zero, with a gradient of zeros, where no patient has an event.
    """
    order = torch.argsort(
        _tied(time)[0],
        descending=True,
        stable=True,
    )
    happened = event[order].to(log_risk.dtype)
    if not bool(happened.any()):
        return log_risk.sum() * 0.0
    risk = log_risk[order]
    # log(sum + floor) on the log scale, so that exp cannot overflow.
    floor = risk.new_full((), BATCH_FLOOR).log()
    at_risk = torch.logaddexp(torch.logcumsumexp(risk, dim=0), floor)
    return -(happened * (risk - at_risk)).sum() / happened.sum()


def discrete_nll(
    logits: Tensor,
    event: Tensor,
    bin_index: Tensor,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of discrete-time hazards, as binary cross-entropy on logits.

    ``sigmoid(logits[:, k])`` is the chance of the event in bin k for those who reach
    it. A patient with an event in bin k survived bins 0..k−1 and had it in k. A
    patient censored in bin k survived bins 0..k−1; bin k, of which they saw only a
    part, contributes nothing. Never saturates: no probability is clamped.

    Parameters
    ----------
    logits : Tensor, (patients, bins)
    event : Tensor, (patients,), bool or 0/1
    bin_index : Tensor, (patients,), integer
        From `assign_bins`: the bin of the event, or the number of bins a
        censored patient survived whole (0..bins).
    reduction : {"mean", "sum"}
        "mean" divides by the number of patients.

    Raises
    ------
    InputError
        For an index outside the bins, or an unknown `reduction`.
    """
    _check_reduction(reduction)
    bins, happened = logits.shape[1], event.bool()
    index = bin_index.to(torch.long)
    if ((index < 0) | (index > bins - happened.long())).any():
        raise InputError(
            f"bin_index must lie in 0..{bins - 1} for events and 0..{bins} for censored patients",
        )
    wide, bin_number = _wide(logits), torch.arange(bins, device=logits.device)
    survived = bin_number < index[:, None]  # (patients, bins)
    losses = torch.where(survived, functional.softplus(wide), 0.0).sum(dim=1)
    at_event = wide.gather(1, index.clamp(max=bins - 1)[:, None])[:, 0]
    losses = losses + torch.where(happened, functional.softplus(-at_event), 0.0)
    total = losses.mean() if reduction == "mean" else losses.sum()
    return total.to(logits.dtype)


def discretise(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    bins: int,
) -> FloatArray:
    """Cut time into bins that hold about equally many training events.

    Parameters
    ----------
    time, event : array-like, (training patients,)
    bins : int
        Bins wanted, >= 2.

    Returns
    -------
    array, (bins,), increasing
        Right edges, each an event time; bin k is (edges[k - 1], edges[k]], the first
        begins at 0, the last ends with the last event. Fewer than wanted where
        many events share a time: give the network as many outputs as there are edges.

    Raises
    ------
    NotComputableError
        When the events lie at fewer than two times.
    InputError
        When `bins` is below 2.
    """
    outcome = Outcome.of(time, event)
    bins = as_whole(bins, "bins", 2)
    events = outcome.time[outcome.event]
    distinct = len(np.unique(events))
    if distinct < 2:
        raise NotComputableError(
            f"discrete time needs events at two times or more, got {distinct}",
        )
    shares = np.arange(1, bins + 1) / bins
    edges = np.unique(np.quantile(events, shares, method="inverted_cdf"))
    if len(edges) < 2:  # nearly all events at the last time
        edges = np.array([events[events < edges[-1]].max(), edges[-1]])
    return edges


def assign_bins(
    time: Tensor,
    event: Tensor,
    edges: Tensor,
) -> tuple[Tensor, Tensor]:
    """Place patients in the bins of :func:`discretise`, for :func:`discrete_nll`.

    Parameters
    ----------
    time : Tensor, (patients,)
    event : Tensor, (patients,), bool or 0/1
    edges : Tensor, (bins,)
        Right edges of the bins.

    Returns
    -------
    bin_index : Tensor, (patients,), int64
        The bin of an event; for a censored patient, how many bins were survived
        whole (a patient censored at an edge survived the bin it ends).
    event : Tensor, (patients,), bool
        False also for events after the last edge: such a patient survived all bins.
    """
    edges = edges.to(time.device)
    if time.is_floating_point():
        # 5.3 in float32 lies after 5.3 in float64, by more than ties allow.
        edges = edges.to(time.dtype)
    time, edges = _tied(time, edges)
    within = event.bool() & (time <= edges[-1])
    of_event = torch.bucketize(time, edges, right=False)
    survived = torch.bucketize(time, edges, right=True)
    return torch.where(within, of_event, survived), within


def _tied(*columns: Tensor) -> list[Tensor]:
    """Make times that are equal up to rounding one; in float64 where the device has it."""
    arrays = [column.detach().cpu().double().numpy() for column in columns]
    device = columns[0].device
    kind = torch.float32 if device.type == "mps" else torch.float64
    return [torch.from_numpy(times).to(kind).to(device) for times in tied(*arrays)]


def _wide(values: Tensor) -> Tensor:
    return values if values.device.type == "mps" else values.double()


def _check_reduction(reduction: str) -> None:
    if reduction not in ("mean", "sum"):
        raise InputError(f"unknown reduction {reduction!r}; known: mean, sum")
