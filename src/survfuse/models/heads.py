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


@HEADS.register(
    "cox",
    summary="one log-risk",
    source="Cox 1972; arXiv 2605.13897",
)
class CoxHead(Head):
    """One log-risk. Its bias cancels in the partial likelihood; the paper's model has it."""

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
        """Log of the cumulative hazard ``-log S`` at the last bin edge, (patients,).

        ``-log S = -sum log(1 - sigmoid(l)) = -sum logsigmoid(-l)``, summed on the log scale so that
        neither tiny nor large hazards overflow.
        """
        # log(-logsigmoid(-l)) is l to within 1e-9 below -20.
        safe = output.clamp_min(-20.0)
        log_hazard = torch.log(-functional.logsigmoid(-safe))
        return torch.logsumexp(torch.where(output > -20.0, log_hazard, output), dim=1)
