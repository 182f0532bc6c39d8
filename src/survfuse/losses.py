"""Losses for one's own networks; the checked form of :mod:`survfuse.survival.training_losses`.

Arguments are checked once, before the loss uses them: tensors of one
length, finite, times above 0 and events of 0 or 1. Anything else is an
:class:`~survfuse._errors.InputError` that names the argument.
"""

from survfuse.survival import training_losses as _losses
from survfuse.survival._tensors import checked as _checked
from survfuse.survival.training_losses import discretise

assign_bins = _checked(_losses.assign_bins)
cox = _checked(_losses.cox)
cox_batch = _checked(_losses.cox_batch)
discrete_nll = _checked(_losses.discrete_nll)

__all__ = ["assign_bins", "cox", "cox_batch", "discrete_nll", "discretise"]
