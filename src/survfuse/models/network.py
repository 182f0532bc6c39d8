"""The one network: a branch per modality, a fusion, a head.

::

    bag      tiles  -> Linear -> ReLU -> Dropout -> pooling ┐
    vector   values -> (Linear -> ReLU)* or an encoder      ├─ fusion ─ head ─ log-risk
    ...                                                     ┘
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from survfuse._errors import BundleError, listed
from survfuse._types import Batch
from survfuse.models.branches import BagBranch
from survfuse.models.encoders import ENCODERS, EncoderShape, GeneSetEncoder
from survfuse.models.fusion import FusionSizes, build_fusion, mask
from survfuse.models.heads import HEADS, Head
from survfuse.models.mean_tile import MeanTileBranch
from survfuse.models.modality_dropout import drop_modalities
from survfuse.models.network_config import (
    BagConfig,
    MeanTileConfig,
    ModalityConfig,
    NetworkConfig,
    VectorConfig,
    network_config,
)
from survfuse.models.pooling import TileReader, segments

__all__ = [
    "BagConfig",
    "FusionNetwork",
    "MeanTileConfig",
    "NetworkConfig",
    "NetworkOutput",
    "VectorConfig",
    "build_network",
    "network_config",
    "network_of",
]


@dataclass(frozen=True)
class NetworkOutput:
    """What a network says about a batch.

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
    """

    output: Tensor
    log_risk: Tensor
    attention: Mapping[str, Tensor]
    embeddings: Mapping[str, Tensor]
    fused: Tensor


class FusionNetwork(nn.Module):
    """Branches, fusion and head as its configuration says; make one with :func:`build_network`.

    Parameters
    ----------
    config : NetworkConfig
        The shape.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.branches = nn.ModuleDict(
            {m.name: _branch(m, config) for m in config.modalities},
        )
        widths = {name: int(branch.width) for name, branch in self.branches.items()}  # type: ignore[arg-type]
        bags = {m.name for m in config.modalities if not isinstance(m, VectorConfig)}
        encoded = bags | {
            m.name
            for m in config.modalities
            if isinstance(m, VectorConfig) and m.encoded
        }
        self.fusion = build_fusion(config.fusion, widths, encoded, _sizes(config), bags)
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
        tiles: dict[str, TileReader] = {}
        for name, branch in self.branches.items():
            if isinstance(branch, BagBranch | MeanTileBranch):
                asked = self.fusion.needs_tiles
                embeddings[name], attention[name], reader, present[name] = _read_bag(
                    branch,
                    name,
                    batch,
                    asked,
                )
                if reader is not None:
                    tiles[name] = reader
            else:
                present[name] = batch.present[name]
                embeddings[name] = branch(mask(batch.vectors[name], present[name]))
        if self.training:
            present = drop_modalities(present, self.config.modality_dropout)
        embeddings = {
            name: mask(embedding, present[name])
            for name, embedding in embeddings.items()
        }
        fused = self.fusion(
            embeddings,
            present,
            *((tiles,) if self.fusion.needs_tiles else ()),
        )
        output = self.head(fused)
        return NetworkOutput(
            output,
            self.head.log_risk(output),
            attention,
            embeddings,
            fused,
        )

    def parameter_count(self) -> int:
        """Count the trainable numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def _sizes(config: NetworkConfig) -> FusionSizes:
    return FusionSizes(
        **{field.name: getattr(config, field.name) for field in fields(FusionSizes)},
    )


def _branch(shape: ModalityConfig, config: NetworkConfig) -> nn.Module:
    if isinstance(shape, MeanTileConfig):
        return MeanTileBranch(
            shape.input_dim,
            shape.width,
            shape.attention_width,
            config.dropout,
        )
    if isinstance(shape, BagConfig):
        sizes = (shape.input_dim, shape.width, shape.attention_width)
        return BagBranch(*sizes, shape.pooling, config.dropout)
    encoder = EncoderShape(
        shape.input_dim,
        shape.hidden,
        shape.width,
        shape.members,
        config.dropout,
        config.input_dropout,
    )
    return ENCODERS.build(shape.encoder, encoder)


def _read_bag(
    branch: BagBranch | MeanTileBranch,
    name: str,
    batch: Batch,
    asked: bool,
) -> tuple[Tensor, Tensor, TileReader | None, Tensor]:
    """Embedding (patients, width), attention (tiles,), tiles if asked, and presence (patients,) of a bag."""
    tiles, offsets, declared = (
        batch.bags[name],
        batch.offsets[name],
        batch.present[name],
    )
    counts = offsets.diff()
    present = declared & (counts > 0)
    if not bool((~declared & (counts > 0)).any()):
        return *_embed(branch, tiles, offsets, asked), present
    keep = declared[
        segments(offsets, len(tiles))
    ]  # tiles of patients who are said not to have any
    embedding, attention, reader = _embed(branch, mask(tiles, keep), offsets, asked)
    return embedding, attention * keep, reader, present


def _embed(
    branch: BagBranch | MeanTileBranch,
    tiles: Tensor,
    offsets: Tensor,
    asked: bool,
) -> tuple[Tensor, Tensor, TileReader | None]:
    if isinstance(branch, BagBranch) and not asked:
        stepped = branch.train_step(tiles, offsets)
        if stepped is not None:
            return *stepped, None
    return branch.read(tiles, offsets)


def build_network(config: NetworkConfig, *, seed: int | None = None) -> FusionNetwork:
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
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif isinstance(
            owner := network.get_submodule(name.rpartition(".")[0]),
            GeneSetEncoder,
        ):
            owner.start(generator)
        else:
            nn.init.xavier_normal_(parameter, generator=generator)
    return network


def network_of(
    config: NetworkConfig,
    weights: Mapping[str, Tensor],
    names: Mapping[str, str] | None = None,
) -> FusionNetwork:
    """Make a network of weights that a file brought, which are compared before memory is taken for it.

    Parameters
    ----------
    config : NetworkConfig
        The shape, which the file may have made up.
    weights : mapping of str to Tensor
        On the CPU, by their names in the state dict.
    names : mapping of str to str, optional
        What the file calls each of them, for messages; the same by default.

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
        missing, others = (
            sorted(own.keys() - weights.keys()),
            sorted(weights.keys() - own.keys()),
        )
        raise BundleError(
            f"weights are not of this network: missing {listed(missing) or 'none'}, "
            f"unexpected {listed(others) or 'none'}",
        )
    wrong = []
    for name, expected in own.items():
        given, called = weights[name], name if names is None else names[name]
        if (given.shape, given.dtype) != (expected.shape, expected.dtype):
            wrong.append(f"{called} is {_kind(given)}, expected {_kind(expected)}")
        elif not bool(torch.isfinite(given).all()):
            wrong.append(f"{called} holds NaN or infinite weights")
    if wrong:
        raise BundleError(f"weights do not fit each other: {listed(wrong)}")
    network.to_empty(device="cpu")
    network.load_state_dict(dict(weights))
    return network.eval()


def _kind(weight: Tensor) -> str:
    word = (
        ""
        if weight.dtype == torch.float32
        else f" {weight.dtype}".replace("torch.", "")
    )
    return f"{tuple(weight.shape)}{word}"
