"""Modality dropout: in training, some modalities of some patients are left out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def drop_modalities(
    present: Mapping[str, Tensor],
    rate: float,
) -> dict[str, Tensor]:
    """Leave out modalities of patients at random, never all that a patient has.

    Each modality that a patient has draws a number from [0, 1) and stays where that is at
    least `rate`; the one with the largest number stays whatever it drew. A patient who would
    have lost everything therefore keeps one, drawn uniformly, and of ``m`` modalities each
    stays with chance ``1 - rate + rate ** m / m``. Absent stays absent.

    Parameters
    ----------
    present : mapping of modality to Tensor, (patients,) bool
        Who has what. The order in which modalities are named changes no draw.
    rate : float
        In [0, 1). At 0 nothing is drawn.

    Returns
    -------
    mapping of modality to Tensor, (patients,) bool
        Whose modality is used in this step.

    Notes
    -----
    Neverova et al. 2015 (ModDrop, arXiv 1501.00102) dropped whole channels at random while a fusion
    was trained, so that it gives meaningful predictions from whichever are there. Cheerla and
    Gevaert 2019 (10.1093/bioinformatics/btz342) trained survival models likewise. Unlike element
    dropout, nothing that stays is scaled up: absent must mean the same in training and prediction,
    where a missing modality adds zero and is not made up for.
    """
    if rate == 0:
        return dict(present)
    names = sorted(present)
    columns = [present[name] for name in names]
    there = torch.stack(columns, dim=1)  # (patients, modalities)
    drawn = torch.rand(there.shape, device=there.device).masked_fill(~there, -1.0)
    last = torch.zeros_like(there).scatter_(1, drawn.argmax(dim=1, keepdim=True), True)
    included = there & ((drawn >= rate) | last)
    return dict(zip(names, included.unbind(1), strict=True))
