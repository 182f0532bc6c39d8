"""From training patients to a calibrated model: selection, refit, calibration.

Whatever is chosen (epochs, slope, cut-offs) is chosen inside the training
patients; transforms are fitted anew for every inner fold.
"""

from survfuse.fitting.choices import (
    choose_epoch,
    fold_means,
    log_risks,
    risk_cuts,
    training_patients,
)
from survfuse.fitting.fit import Fitted, fit_model, watched_log_risks

__all__ = [
    "Fitted",
    "choose_epoch",
    "fit_model",
    "fold_means",
    "log_risks",
    "risk_cuts",
    "training_patients",
    "watched_log_risks",
]
