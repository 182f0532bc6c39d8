"""The loss of training, and the score of validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from survfuse._types import BoolArray, FloatArray
from survfuse.config import FitConfig
from survfuse.metrics import harrell_c
from survfuse.models.heads import Head
from survfuse.survival.training_losses import assign_bins, cox, cox_batch, discrete_nll


@dataclass(frozen=True)
class Target:
    """Outcome of the patients of a step.

    Attributes
    ----------
    time : Tensor, (patients,)
    event : Tensor, (patients,), bool
    events : float or None
        Divides a Cox loss; None: the step's own events. Steps of one epoch that share it add up to
        the gradient of an epoch; the mean of their means leans to patients in small risk sets.
    """

    time: Tensor
    event: Tensor
    events: float | None = None


def objective(
    output: Tensor,
    head: Head,
    target: Target,
    config: FitConfig,
    bin_edges: FloatArray | None = None,
) -> Tensor:
    """Training loss of the patients of one step.

    Parameters
    ----------
    output : Tensor, (patients, outputs)
        Of the network.
    head : Head
        Reads log-risks from it.
    target : Target
    config : FitConfig
        `head` and `loss`.
    bin_edges : array or None
        Right edges of the discrete head's bins.

    Returns
    -------
    Tensor, scalar
        Zero, with a gradient graph, where a Cox step has no event.
    """
    if config.network.head == "discrete":
        if bin_edges is None:
            raise ValueError("a discrete head needs bin_edges")
        edges = torch.as_tensor(bin_edges)
        index, happened = assign_bins(target.time, target.event, edges)
        return discrete_nll(output, happened, index)
    log_risk = head.log_risk(output)
    if config.training.loss == "paper":
        return cox_batch(log_risk, target.event, target.time)
    if target.events is None:
        return cox(log_risk, target.event, target.time, ties=config.training.loss)
    total = cox(
        log_risk,
        target.event,
        target.time,
        ties=config.training.loss,
        reduction="sum",
    )
    return total / target.events


def validation_score(
    config: FitConfig,
    time: FloatArray,
    event: BoolArray,
    log_risk: FloatArray,
) -> float | None:
    """Score of validation patients, smaller is better; None when they cannot be scored.

    Returns
    -------
    float or None
        Efron partial likelihood per event, or minus Harrell's C, by `config.selection.select_by`.
    """
    if not np.isfinite(log_risk).all():
        return float("inf")
    if config.selection.select_by == "harrell_c":
        value = harrell_c(time, event, log_risk).value
        return None if value is None else -value
    if not event.any():
        return None
    risk, happened = torch.from_numpy(log_risk), torch.from_numpy(event)
    return float(cox(risk, happened, torch.from_numpy(time)))
