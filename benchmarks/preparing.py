"""What benchmarks of training share: a fresh network, and the task of training it on a whole cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import survfuse as sf
from survfuse.cohort.batch_source import BatchSource
from survfuse.cohort.transforms import Transforms
from survfuse.config import FitConfig
from survfuse.models import FusionNetwork, build_network, network_config
from survfuse.training import Task


def prepared(
    folder: Path,
    config: FitConfig,
    epochs: int,
) -> tuple[FusionNetwork, Task]:
    """Fresh network and task of the cohort in a folder; every patient trains, nobody validates."""
    cohort = sf.load_cohort(folder / "cohort.yaml")
    ids = sorted(cohort.patients)
    transforms = Transforms.fit(cohort, ids, config)
    source = BatchSource(cohort, transforms, ids)
    assert cohort.outcome is not None
    outcome, rows = cohort.outcome.loc[ids], np.arange(len(ids))
    times, events = outcome["time"].to_numpy(float), outcome["event"].to_numpy(bool)
    task = Task(
        "benchmark",
        source,
        rows,
        rows[:0],
        times,
        events,
        epochs=epochs,
        seed=1,
    )
    return build_network(
        network_config(config, transforms.dims, transforms.kinds),
        seed=1,
    ), task
