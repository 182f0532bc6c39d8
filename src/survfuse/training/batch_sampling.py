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
    if config.batch != "auto":
        return config
    if patients <= COHORT_PATIENTS:
        return config.model_copy(update={"batch": "cohort"})
    return config.model_copy(
        update={"batch": POOLED_PATIENTS, "sampling": "stratified"},
    )


def always_the_same(config: FitConfig) -> bool:
    """Whether every step sees the same patients and tiles, so that their order does not matter."""
    return (
        config.batch == "cohort"
        and config.max_tiles is None
        and config.sampling != "event_balanced"
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
    if config.batch == "cohort":
        yield order
    elif (
        config.sampling == "stratified"
    ):  # steps of almost one size: none of them small
        yield from np.array_split(order, math.ceil(len(order) / int(config.batch)))
    else:
        for start in range(0, len(order), int(config.batch)):
            yield order[start : start + int(config.batch)]


def _draw(
    rows: IntArray,
    event: BoolArray,
    config: FitConfig,
    rng: np.random.Generator,
) -> IntArray:
    if config.sampling == "shuffle":
        return rng.permutation(rows)
    if config.sampling == "event_balanced":
        counts = np.where(event, event.sum(), (~event).sum())
        return rng.choice(
            rows,
            size=len(rows),
            replace=True,
            p=(1 / counts) / (1 / counts).sum(),
        )
    shuffled = rng.permutation(len(rows))
    happened = event[shuffled]
    place = np.empty(
        len(rows),
    )  # events and censored spread evenly over the order, each shuffled
    for kind in (True, False):
        own = happened == kind
        place[own] = (np.arange(own.sum()) + 0.5) / max(1, own.sum())
    return rows[shuffled[np.argsort(place, kind="stable")]]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move every tensor of a batch."""
    if device.type == "cpu":
        return batch

    def moved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: tensor.to(device, non_blocking=True)
            for name, tensor in tensors.items()
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
    risks = torch.zeros(len(rows), dtype=torch.float64, device=device)
    with torch.inference_mode():
        for part in _parts(source, rows)[ranks.own :: ranks.count]:
            output = network(to_device(source.batch(rows[part]), device))
            risks[part] = output.log_risk.double()
    ranks.add(risks)
    return np.asarray(risks.cpu().numpy())


def _parts(source: Source, rows: IntArray) -> list[slice]:
    """Patients that are predicted together, in order."""
    tiles = np.zeros(len(rows), np.int64)
    for counts in source.tile_counts(rows).values():
        tiles += counts
    begins, held = [0], 0
    for row, count in enumerate(tiles.tolist()):
        if row > begins[-1] and (
            row - begins[-1] >= PREDICT_PATIENTS or held + count > PREDICT_TILES
        ):
            begins.append(row)
            held = 0
        held += count
    return [
        slice(a, b)
        for a, b in zip(begins, [*begins[1:], len(rows)], strict=True)
        if b > a
    ]
