"""Which patients come together, on which device; and predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from survfuse._types import Batch, BoolArray, FloatArray, IntArray
from survfuse.config import FitConfig
from survfuse.models.network import FusionNetwork
from survfuse.training.ranks import Ranks
from survfuse.training.run import Source

COHORT_PATIENTS = 2_000  # up to here `batch: auto` takes all patients at once
POOLED_PATIENTS = 256  # above, about so many, with the cohort's share of events
PREDICT_PATIENTS = 16  # patients per batch when no gradient is needed
PREDICT_TILES = 2**18  # tiles of such a batch, unless a single patient has more


def resolved(config: FitConfig, patients: int) -> FitConfig:
    """Decide what `batch: auto` means for so many training patients."""
    if config.training.batch != "auto":
        return config
    if patients <= COHORT_PATIENTS:
        return config.model_copy(update={"batch": "cohort"})
    pooled = {"batch": POOLED_PATIENTS, "sampling": "stratified"}
    return config.model_copy(update=pooled)


def always_the_same(config: FitConfig) -> bool:
    """Whether every step sees the same patients and tiles, so that their order does not matter."""
    return (
        config.training.batch == "cohort"
        and config.training.max_tiles is None
        and config.training.sampling != "event_balanced"
    )


def steps_of_epoch(
    rows: IntArray,
    event: BoolArray,
    config: FitConfig,
    rng: np.random.Generator,
) -> Iterator[IntArray]:
    """Rows of each step of an epoch, in order.

    Parameters
    ----------
    rows : array of int, (training patients,)
    event : array of bool, (training patients,)
    config : FitConfig
        `batch` (resolved) and `sampling`.
    rng : Generator
    """
    if always_the_same(config):
        yield rows
        return
    order = _draw(rows, event, config, rng)
    if config.training.batch == "cohort":
        yield order
        return
    size = int(config.training.batch)
    if config.training.sampling == "stratified":
        # Steps of almost one size: none of them small.
        yield from np.array_split(order, math.ceil(len(order) / size))
    else:
        yield from np.split(order, range(size, len(order), size))


def _draw(
    rows: IntArray,
    event: BoolArray,
    config: FitConfig,
    rng: np.random.Generator,
) -> IntArray:
    if config.training.sampling == "shuffle":
        return rng.permutation(rows)
    if config.training.sampling == "event_balanced":
        rate = 1 / np.where(event, event.sum(), (~event).sum())
        return rng.choice(
            rows,
            size=len(rows),
            replace=True,
            p=rate / rate.sum(),
        )
    # Events and censored patients spread evenly over the order, each shuffled.
    shuffled = rng.permutation(len(rows))
    place = np.empty(len(rows))
    for kind in (True, False):
        own = event[shuffled] == kind
        place[own] = (np.arange(own.sum()) + 0.5) / max(1, own.sum())
    return rows[shuffled[np.argsort(place, kind="stable")]]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move every tensor of a batch."""
    if device.type == "cpu":
        return batch

    def moved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            m: tensor.to(device, non_blocking=True) for m, tensor in tensors.items()
        }

    return replace(
        batch,
        bags=moved(batch.bags),
        offsets=moved(batch.offsets),
        vectors=moved(batch.vectors),
        present=moved(batch.present),
        time=batch.time.to(device),
        event=batch.event.to(device),
    )


def predict(
    network: FusionNetwork,
    source: Source,
    rows: IntArray,
    device: torch.device,
    ranks: Ranks | None = None,
) -> FloatArray:
    """Log-risk of each patient at `rows`, every tile used, no dropout.

    Parameters
    ----------
    network : FusionNetwork
        Moved to `device`.
    source : Source
    rows : array of int, (rows,)
    device : torch.device
    ranks : Ranks, optional
        Processes that share the work; each returns all risks.

    Returns
    -------
    array, (rows,) float64
    """
    network.to(device).eval()
    ranks = ranks or Ranks()
    risks = torch.zeros(
        len(rows),
        dtype=torch.float64,
        device=device,
    )
    with torch.inference_mode():
        for part in predicted_together(source, rows)[ranks.own :: ranks.count]:
            output = network(to_device(source.batch(rows[part]), device))
            risks[part] = output.log_risk.double()
    ranks.add(risks)
    return np.asarray(risks.cpu().numpy())


def predicted_together(source: Source, rows: IntArray) -> list[slice]:
    """Patients that are predicted together, in order."""
    tiles = sum(source.tile_counts(rows).values(), np.zeros(len(rows), np.int64))
    parts, begin, filled = [], 0, 0
    for row, count in enumerate(tiles.tolist()):
        full = row - begin >= PREDICT_PATIENTS or filled + count > PREDICT_TILES
        if row > begin and full:
            parts.append(slice(begin, row))
            begin, filled = row, 0
        filled += count
    return [*parts, slice(begin, len(rows))] if len(rows) else []
