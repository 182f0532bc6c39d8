"""The one network: a branch per modality, a fusion, a head.

::

    bag      tiles  -> Linear -> ReLU -> Dropout -> pooling ┐
    vector   values -> (Linear -> ReLU)* or an encoder      ├─ fusion ─ head ─ log-risk
    ...                                                     ┘
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from survfuse._errors import BundleError, listed
from survfuse._types import Batch
from survfuse.models.branches import BagBranch
from survfuse.models.encoders import ENCODERS, EncoderShape, GeneSetEncoder
from survfuse.models.fusion import build_fusion, mask
from survfuse.models.heads import HEADS, Head
from survfuse.models.modality_dropout import drop_modalities
from survfuse.models.network_config import (
    BagConfig,
    ModalityConfig,
    NetworkConfig,
    VectorConfig,
    network_config,
)
from survfuse.models.pooling import TileReader, segments

__all__ = [
    "BagConfig",
    "FusionNetwork",
    "NetworkConfig",
    "NetworkOutput",
    "VectorConfig",
    "build_network",
    "network_config",
    "network_of",
]


@dataclass(frozen=True)
class NetworkOutput:
    """What a network computes for a batch.

    Attributes
    ----------
    output : Tensor, (patients, outputs)
        What the loss reads.
    log_risk : Tensor, (patients,)
        Larger is worse.
    attention : mapping of bag modality to Tensor, (tiles,)
        Sums to 1 within each patient that has the modality.
    embeddings : mapping of modality to Tensor, (patients, width)
        Zeros where the modality is missing.
    fused : Tensor, (patients, fused)
        The head's input; its columns are the fusion's `parts`.
    present : mapping of modality to Tensor, (patients,) bool
        What was read; a bag without tiles is not.
    """

    output: Tensor
    log_risk: Tensor
    attention: Mapping[str, Tensor]
    embeddings: Mapping[str, Tensor]
    fused: Tensor
    present: Mapping[str, Tensor]


class FusionNetwork(nn.Module):
    """Branches, fusion and head of a configuration; make one with :func:`build_network`.

    Parameters
    ----------
    config : NetworkConfig
        The shape.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.branches = nn.ModuleDict()
        widths, encoded, bags = {}, [], []
        for shape in config.modalities:
            self.branches[shape.name] = branch = _branch(shape, config)
            widths[shape.name] = cast(int, branch.width)
            if not isinstance(shape, VectorConfig):
                bags.append(shape.name)
            if not isinstance(shape, VectorConfig) or shape.encoded:
                encoded.append(shape.name)
        self.fusion = build_fusion(config.fusion, widths, encoded, config, bags)
        self.head: Head = HEADS.build(config.head, self.fusion.width, config.bins)

    def forward(self, batch: Batch) -> NetworkOutput:
        """Read a batch.

        What a patient lacks adds nothing: neither its placeholder values (not even
        NaN) nor gradients reach anything. A bag without tiles counts as missing. While
        training, what modality dropout leaves out counts as missing too.

        Parameters
        ----------
        batch : Batch
            Holds at least the modalities of this network.
        """
        embeddings: dict[str, Tensor] = {}
        present: dict[str, Tensor] = {}
        attention: dict[str, Tensor] = {}
        readers: dict[str, TileReader | None] = {}
        for name, branch in self.branches.items():
            present[name] = batch.present[name]
            if isinstance(branch, BagBranch):
                bag = self._read_bag(name, branch, batch)
                embeddings[name], attention[name], readers[name] = bag
                present[name] = present[name] & (batch.offsets[name].diff() > 0)
            else:
                embeddings[name] = branch(mask(batch.vectors[name], present[name]))
        if self.training:
            present = drop_modalities(present, self.config.modality_dropout)
        for name, embedding in embeddings.items():
            embeddings[name] = mask(embedding, present[name])
        tiles = (readers,) if self.fusion.needs_tiles else ()
        fused = self.fusion(embeddings, present, *tiles)
        output = self.head(fused)
        log_risk = self.head.log_risk(output)
        return NetworkOutput(
            output,
            log_risk,
            attention,
            embeddings,
            fused,
            present,
        )

    def _read_bag(
        self,
        name: str,
        branch: BagBranch,
        batch: Batch,
    ) -> tuple[Tensor, Tensor, TileReader | None]:
        """Embedding (patients, width), attention (tiles,) and a reader of the tiles of a bag."""
        tiles, offsets = batch.bags[name], batch.offsets[name]
        declared = batch.present[name]
        if not (~declared & (offsets.diff() > 0)).any():
            return self._embed(branch, tiles, offsets)
        # Some patients have tiles and are said not to have the modality.
        included = declared[segments(offsets, len(tiles))]
        embedded = self._embed(branch, mask(tiles, included), offsets)
        embedding, attention, reader = embedded
        return embedding, attention * included, reader

    def _embed(
        self,
        branch: BagBranch,
        tiles: Tensor,
        offsets: Tensor,
    ) -> tuple[Tensor, Tensor, TileReader | None]:
        if not self.fusion.needs_tiles:
            by_chunks = branch.train_step(tiles, offsets)
            if by_chunks is not None:
                return *by_chunks, None
        return branch.read(tiles, offsets)

    def parameter_count(self) -> int:
        """Count the trainable numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def _branch(
    shape: ModalityConfig,
    config: NetworkConfig,
) -> nn.Module:
    if isinstance(shape, VectorConfig):
        sizes = shape.input_dim, shape.hidden, shape.width, shape.members
        encoder = EncoderShape(*sizes, config.dropout, config.input_dropout)
        return ENCODERS.build(shape.encoder, encoder)
    widths = shape.input_dim, shape.width, shape.attention_width
    return BagBranch(*widths, shape.pooling, config.dropout)


def build_network(
    config: NetworkConfig,
    *,
    seed: int | None = None,
) -> FusionNetwork:
    """Make a network with fresh weights: Xavier normal, zero biases (the paper's start).

    Parameters
    ----------
    config : NetworkConfig
        The shape.
    seed : int, optional
        The same seed gives the same weights and leaves torch's global generator
        alone; without it the global generator is drawn from.

    Returns
    -------
    FusionNetwork
        On the CPU, float32, in training mode.
    """
    with torch.device("meta"):
        network = FusionNetwork(config)
    network.to_empty(device="cpu")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        owner = network.get_submodule(name.rpartition(".")[0])
        if isinstance(owner, GeneSetEncoder):
            owner.start(generator)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:
            nn.init.xavier_normal_(parameter, generator=generator)
    return network


def network_of(
    config: NetworkConfig,
    weights: Mapping[str, Tensor],
    names: Mapping[str, str] | None = None,
) -> FusionNetwork:
    """Make a network of the weights in a file, compared before memory is taken for it.

    Parameters
    ----------
    config : NetworkConfig
        The shape, which the file may have made up.
    weights : mapping of str to Tensor
        On the CPU, by their names in the state dict.
    names : mapping of str to str, optional
        The file's name of each, for messages; the same by default.

    Returns
    -------
    FusionNetwork
        On the CPU, in evaluation mode.

    Raises
    ------
    BundleError
        When a weight is missing, unexpected, of another shape or type, or not finite.
    """
    with torch.device("meta"):
        network = FusionNetwork(config)
    own = network.state_dict()
    if own.keys() != weights.keys():
        missing = listed(sorted(own.keys() - weights.keys())) or "none"
        unexpected = listed(sorted(weights.keys() - own.keys())) or "none"
        raise BundleError(
            f"weights are not of this network: missing {missing}, unexpected {unexpected}",
        )
    wrong = []
    for name, expected in own.items():
        weight, label = weights[name], name if names is None else names[name]
        if (weight.shape, weight.dtype) != (expected.shape, expected.dtype):
            wrong.append(f"{label} is {_kind(weight)}, expected {_kind(expected)}")
        elif not bool(torch.isfinite(weight).all()):
            wrong.append(f"{label} holds NaN or infinite weights")
    if wrong:
        raise BundleError(f"weights do not fit each other: {listed(wrong)}")
    network.to_empty(device="cpu")
    network.load_state_dict(dict(weights))
    return network.eval()


def _kind(weight: Tensor) -> str:
    kind = str(weight.dtype).removeprefix("torch.").replace("float32", "")
    return f"{tuple(weight.shape)} {kind}".rstrip()
