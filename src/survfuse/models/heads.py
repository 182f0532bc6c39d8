"""From the fused vector to what a loss reads, and to one log-risk per patient."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from survfuse._registry import Registry


class Head(nn.Module):
    """Base of all heads: linear, so that it splits exactly over the parts of the fused vector.

    Parameters
    ----------
    width : int
        Length of the fused vector.
    bins : int
        Time bins, where the head has any.
    """

    def __init__(self, width: int, bins: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, self.outputs(bins))

    @staticmethod
    def outputs(bins: int) -> int:
        """Count of numbers per patient."""
        raise NotImplementedError

    def forward(self, fused: Tensor) -> Tensor:
        """Map (patients, width) -> (patients, outputs)."""
        return cast(Tensor, self.linear(fused))

    def log_risk(self, output: Tensor) -> Tensor:
        """Map (patients, outputs) -> (patients,); larger is worse."""
        raise NotImplementedError


HEADS: Registry[Head] = Registry("head")


@HEADS.register("cox", summary="one log-risk", source="Cox 1972; arXiv 2605.13897")
class CoxHead(Head):
    """One log-risk. The bias cancels in the partial likelihood; the paper's model has it, so it stays."""

    @staticmethod
    def outputs(bins: int) -> int:
        """One number per patient."""
        return 1

    def log_risk(self, output: Tensor) -> Tensor:
        """Return the output itself: (patients, 1) -> (patients,)."""
        return output.squeeze(1)


@HEADS.register(
    "discrete",
    summary="one hazard (as a logit) per time bin",
    source="Gensheimer 2019 (10.7717/peerj.6257)",
)
class DiscreteHead(Head):
    """Logits of the hazard of each time bin."""

    @staticmethod
    def outputs(bins: int) -> int:
        """One number per bin."""
        return bins

    def log_risk(self, output: Tensor) -> Tensor:
        """Log of the cumulative hazard ``-log S`` at the last bin edge.

        ``-log S = -sum log(1 - sigmoid(l)) = -sum logsigmoid(-l)``, summed on the log scale so that
        neither tiny nor large hazards overflow.
        """
        return torch.logsumexp(_log_of_negative_logsigmoid(output), dim=1)


def _log_of_negative_logsigmoid(logits: Tensor) -> Tensor:
    """``log(-logsigmoid(-l))``; below -20 it is l to within 1e-9."""
    safe = logits.clamp_min(-20.0)
    return torch.where(logits > -20.0, torch.log(-functional.logsigmoid(-safe)), logits)
