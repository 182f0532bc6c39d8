"""Small networks and batches of every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
import torch

from survfuse._types import Batch
from survfuse.models import (
    BagConfig,
    FusionNetwork,
    NetworkConfig,
    VectorConfig,
    build_network,
)

COUNTS = (5, 0, 3, 8, 1)  # tiles per patient; the second patient has none
MODALITIES = (
    BagConfig("slides", 6, 5, 4),
    VectorConfig("expression", 7, (8, 5)),
    VectorConfig("clinical", 3),
)


def make_batch(
    counts: Sequence[int] = COUNTS,
    *,
    seed: int = 0,
    present: Mapping[str, Sequence[bool]] | None = None,
) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    patients = len(counts)
    mask = {"slides": [count > 0 for count in counts]} | dict(present or {})
    return Batch(
        bags={"slides": torch.randn(sum(counts), 6, generator=generator)},
        offsets={"slides": torch.tensor([0, *counts]).cumsum(0)},
        vectors={
            "expression": torch.randn(patients, 7, generator=generator),
            "clinical": torch.randn(patients, 3, generator=generator),
        },
        present={
            name: torch.tensor(mask.get(name, [True] * patients))
            for name in ("slides", "expression", "clinical")
        },
        time=torch.arange(1.0, patients + 1, dtype=torch.float64),
        event=torch.ones(patients, dtype=torch.bool),
        patient_id=tuple(f"P{i}" for i in range(patients)),
    )


def select(batch: Batch, rows: Sequence[int]) -> Batch:
    """The same patients in another order, or fewer of them (a slow loop, as an oracle)."""
    bags, offsets = {}, {}
    for name, tiles in batch.bags.items():
        bounds = batch.offsets[name].tolist()
        parts = [tiles[bounds[i] : bounds[i + 1]] for i in rows]
        bags[name] = torch.cat(parts)
        offsets[name] = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
    index = torch.tensor(list(rows))
    return replace(
        batch,
        bags=bags,
        offsets=offsets,
        vectors={name: values[index] for name, values in batch.vectors.items()},
        present={name: values[index] for name, values in batch.present.items()},
        time=batch.time[index],
        event=batch.event[index],
        patient_id=tuple(batch.patient_id[i] for i in rows),
    )


@pytest.fixture
def batch() -> Batch:
    return make_batch(present={"expression": [True, True, False, True, True]})


@pytest.fixture
def network_of() -> Callable[..., FusionNetwork]:
    def make(fusion: str = "pairwise", **fields: object) -> FusionNetwork:
        config = NetworkConfig(
            modalities=MODALITIES,
            fusion=fusion,
            rank=4,
            pair_width=3,
            **fields,
        )  # type: ignore[arg-type]
        network = build_network(config, seed=1)
        with torch.no_grad():  # zero biases hide mistakes with masks
            for parameter in network.parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.linspace(0.1, 0.3, len(parameter)))
        return network.eval()

    return make


@pytest.fixture
def batch_of() -> Callable[..., Batch]:
    return make_batch


@pytest.fixture
def rows_of() -> Callable[[Batch, Sequence[int]], Batch]:
    return select
