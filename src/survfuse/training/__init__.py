"""The one training loop, its hooks, and the steps it takes.

A step may take all patients in one pass, or piece by piece in two with the same gradient
(`steps`), on one process or on several (`ranks`).
"""

from survfuse.training.batch_sampling import predict, predicted_together, to_device
from survfuse.training.loop import train
from survfuse.training.objective import Target, objective, validation_score
from survfuse.training.ranks import Ranks, pick_device, ranks_of_launcher
from survfuse.training.run import Epoch, Hook, Run, Source, Task

__all__ = [
    "Epoch",
    "Hook",
    "Ranks",
    "Run",
    "Source",
    "Target",
    "Task",
    "objective",
    "pick_device",
    "predict",
    "predicted_together",
    "ranks_of_launcher",
    "to_device",
    "train",
    "validation_score",
]
