"""Losses for one's own networks; the public door to :mod:`survfuse.survival.losses`."""

from survfuse.survival.losses import assign_bins, cox, cox_batch, discrete_nll, discretise

__all__ = ["assign_bins", "cox", "cox_batch", "discrete_nll", "discretise"]
