"""Networks taken apart: what they read of each modality, and fusion and head as parts."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from survfuse._types import Batch, FloatArray
from survfuse.decomposition import Part, Product, Readings, Sampled
from survfuse.models.branches import BagBranch
from survfuse.models.network import FusionNetwork
from survfuse.models.pooling import TileReader


def read_batch(
    networks: Sequence[FusionNetwork],
    batch: Batch,
) -> Readings:
    """Embed the patients of a batch by networks of one shape, their embeddings side by side."""
    read: dict[str, list[FloatArray]] = {name: [] for name in networks[0].config.names}
    tiles: dict[str, list[Any]] = {}
    with torch.inference_mode():
        for network in networks:
            network.eval().to(next(iter(batch.present.values())).device)
            output = network(batch)
            for name, embedding in output.embeddings.items():
                read[name].append(embedding.cpu().double().numpy())
        if networks[0].fusion.needs_tiles:
            tiles = _projected(networks, batch)
    blocks = {}
    for name, embeddings in read.items():
        has = output.present[name].cpu().numpy()
        blocks[name] = np.concatenate(embeddings, axis=1), has
    return Readings(Readings.of(blocks).values, tiles)


def _projected(
    networks: Sequence[FusionNetwork],
    batch: Batch,
) -> dict[str, list[Any]]:
    """Projected tiles of each patient by each network, as lists over networks."""
    tiles = {}
    for name, branch in networks[0].branches.items():
        if not isinstance(branch, BagBranch):
            continue
        sizes = batch.offsets[name].diff().tolist()
        projected = []
        for network in networks:
            own = cast(BagBranch, network.branches[name])
            hidden, _ = own.read_tiles(batch.bags[name])
            projected.append(torch.split(hidden.cpu(), sizes))
        tiles[name] = list(zip(*projected, strict=True))
    return tiles


def network_terms(network: FusionNetwork, member: int) -> tuple[Part, ...]:
    """Fusion and head of one network, a member of an ensemble, as parts of its log-risk."""
    if network.config.head == "cox":
        outputs = output_terms(network)
        if outputs is not None:
            return outputs[0]
    return (sampled_terms(network, member),)


def output_terms(network: FusionNetwork) -> tuple[tuple[Part, ...], ...] | None:
    """Each output of the head as parts that split exactly; None where the fusion has none.

    Of head ``cox`` the log-risk, of ``discrete`` the logit of the hazard of each time bin.
    """
    weights = network.head.linear.weight.detach().cpu().double().numpy()
    biases = network.head.linear.bias.detach().cpu().double().numpy()
    outputs = []
    for weight, bias in zip(weights, biases, strict=True):
        parts = network.fusion.terms(weight)
        if parts is None:
            return None
        outputs.append((*parts, Product({}, np.array([bias]))))
    return tuple(outputs)


def sampled_terms(network: FusionNetwork, member: int) -> Sampled:
    """Fusion and head of one network as a function of its embeddings."""
    fusion = copy.deepcopy(network.fusion).cpu().double().eval()
    head = copy.deepcopy(network.head).cpu().double().eval()
    widths = dict(network.fusion.widths)

    def risk(readings: Readings, embeddings: Mapping[str, Tensor]) -> Tensor:
        present = {}
        for name in widths:
            present[name] = torch.from_numpy(readings.values[name][:, 1] > 0)
        tiles = (_readers(readings.tiles, member),) if fusion.needs_tiles else ()
        return head.log_risk(head(fusion(embeddings, present, *tiles)))

    def value(readings: Readings) -> FloatArray:
        with torch.no_grad():
            return risk(readings, _embeddings(readings)).numpy()

    def slope(readings: Readings, name: str) -> FloatArray:
        embeddings = _embeddings(readings)
        own = embeddings[name].requires_grad_()
        total = risk(readings, embeddings).sum()
        (gradient,) = torch.autograd.grad(total, own)
        return np.pad(gradient.numpy(), [(0, 0), (2, 0)])

    return Sampled(tuple(widths), value, slope, widths)


def _embeddings(readings: Readings) -> dict[str, Tensor]:
    embeddings = {}
    for name, values in readings.values.items():
        embeddings[name] = torch.from_numpy(np.ascontiguousarray(values[:, 2:]))
    return embeddings


def _readers(
    tiles: Mapping[str, Sequence[Sequence[Tensor]]],
    member: int,
) -> dict[str, TileReader]:
    """Readers of the tiles of each patient, as one member projects them."""
    readers = {}
    for name, patients in tiles.items():
        own = [projected[member] for projected in patients]
        offsets = torch.tensor([0, *map(len, own)]).cumsum(0)
        chunk = (0, torch.cat(own).double())
        readers[name] = TileReader(offsets, partial(list, [chunk]))
    return readers
