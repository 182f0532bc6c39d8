"""Networks taken apart: embeddings of each modality, and fusion and head as parts."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import nn

from survfuse._types import AnyArray, FloatArray
from survfuse.cohort.transform_bags import BagScaler
from survfuse.decomposition import Part, Readings
from survfuse.estimators.base import Patients
from survfuse.estimators.layer_paths import embedded_along, pulled_back
from survfuse.estimators.model_parts import (
    Members,
    ModelParts,
    Path,
    TileReadings,
    widened,
)
from survfuse.models.branches import BagBranch, VectorBranch
from survfuse.models.encoders import GeneSetEncoder, LinearEncoder
from survfuse.models.network import FusionNetwork, VectorConfig
from survfuse.models.network_terms import network_terms, output_terms, read_batch
from survfuse.training import pick_device, predicted_together, to_device


@dataclass(frozen=True, eq=False)
class NetworkParts(ModelParts):
    """The members of an ensemble; what is read of a modality is their embeddings, side by side.

    Embeddings are computed as for a prediction, fusion and head in double precision.

    Attributes
    ----------
    networks : tuple of FusionNetwork, (members,)
        Of one shape.
    scalers : mapping of bag to BagScaler
        Empty where tiles are read as they are.
    device : str
        See :class:`survfuse.config.FitConfig`.
    """

    networks: tuple[FusionNetwork, ...]
    scalers: Mapping[str, BagScaler]
    device: str = "cpu"

    @property
    def widths(self) -> dict[str, int]:
        """Numbers read of each modality."""
        own = self.networks[0].fusion.widths
        return {name: width * len(self.networks) for name, width in own.items()}

    @cached_property
    def members(self) -> Members:  # type: ignore[override]
        """Parts of each network."""
        members = []
        for number, network in enumerate(self.networks):
            members.append(self._own(number, network_terms(network, number)))
        return tuple(members)

    def outputs(self) -> tuple[Members, ...] | None:
        """Parts of each output of the head, its mean over the networks; None where sampled."""
        networks = []
        for number, network in enumerate(self.networks):
            outputs = output_terms(network)
            if outputs is None:
                return None
            networks.append([self._own(number, parts) for parts in outputs])
        return tuple(zip(*networks, strict=True))

    def _own(self, number: int, parts: Sequence[Part]) -> tuple[Part, ...]:
        """Parts that read the columns of one network."""
        places = {}
        for name, width in self.networks[0].fusion.widths.items():
            places[name] = number * width, self.widths[name]
        return tuple(widened(part, places) for part in parts)

    @property
    def needs_tiles(self) -> bool:
        """Whether the fusion reads tiles."""
        return self.networks[0].fusion.needs_tiles

    def read(self, source: Patients) -> Readings:
        """Embed patients."""
        rows, device = np.arange(len(source)), pick_device(self.device)
        batches = []
        for some in predicted_together(source, rows):
            batch = to_device(source.batch(rows[some]), device)
            batches.append(read_batch(self.networks, batch))
        return Readings.joined(batches)

    def encode(
        self,
        modality: str,
        values: FloatArray,
    ) -> FloatArray:
        """Embed transformed vectors (patients, features); (patients, width)."""
        given = torch.from_numpy(np.asarray(values, np.float64))
        with torch.no_grad():
            embedded = [encoder(given) for encoder in self._encoders(modality)]
        return torch.cat(embedded, dim=1).numpy()

    def pull_back(
        self,
        modality: str,
        values: FloatArray,
        weights: FloatArray,
    ) -> FloatArray:
        """Gradient by the transformed vector; see the base."""
        given = torch.from_numpy(np.array(values, np.float64)).requires_grad_()
        embedded = torch.cat([one(given) for one in self._encoders(modality)], dim=1)
        seed = torch.from_numpy(np.broadcast_to(weights, embedded.shape).copy())
        (gradient,) = torch.autograd.grad(embedded, given, seed)
        return gradient.numpy()

    def encode_along(
        self,
        modality: str,
        path: Path,
    ) -> FloatArray:
        """Embed the middle of each interval of a path; see the base."""
        if not self._is_layered(modality):
            return super().encode_along(modality, path)
        embedded = []
        for encoder in self._encoders(modality):
            embedded.append(embedded_along(_layers(encoder), path))
        return torch.cat(embedded, dim=2).numpy()

    def pull_back_along(
        self,
        modality: str,
        path: Path,
        weights: FloatArray,
    ) -> FloatArray:
        """Mean slope over the intervals of a path, which adds up to its whole rise."""
        if not self._is_layered(modality):
            return super().pull_back_along(modality, path, weights)
        total = np.zeros_like(path.stop)
        encoders = self._encoders(modality)
        own = torch.from_numpy(weights).chunk(len(encoders), dim=2)
        for encoder, part in zip(encoders, own, strict=True):
            total += pulled_back(_layers(encoder), path, part)
        return total

    def _is_layered(self, modality: str) -> bool:
        branch = self.networks[0].branches[modality]
        return isinstance(branch, VectorBranch) and len(branch.layers) > 0

    def _encoders(self, modality: str) -> list[torch.nn.Module]:
        if modality not in self._doubled:
            doubled = []
            for network in self.networks:
                branch = copy.deepcopy(network.branches[modality]).cpu()
                doubled.append(branch.double().eval())
            self._doubled[modality] = doubled
        return self._doubled[modality]

    @cached_property
    def _doubled(self) -> dict[str, list[torch.nn.Module]]:
        """Encoders in double precision, as they were once made."""
        return {}

    def is_linear(self, modality: str) -> bool:
        """Whether the encoder has no hidden layer."""
        shape = {m.name: m for m in self.networks[0].config.modalities}[modality]
        linear = isinstance(
            self.networks[0].branches[modality],
            LinearEncoder | GeneSetEncoder,
        )
        return isinstance(shape, VectorConfig) and (linear or not shape.encoded)

    def read_tiles(
        self,
        modality: str,
        tiles: AnyArray,
    ) -> TileReadings:
        """Project and score tiles (tiles, features) as they are stored."""
        if modality in self.scalers:
            tiles = self.scalers[modality].scale(tiles)
        device = pick_device(self.device)
        given = torch.from_numpy(np.ascontiguousarray(tiles)).to(device)
        parts = []
        with torch.inference_mode():
            for network in self.networks:
                own = cast(BagBranch, network.eval().to(device).branches[modality])
                hidden, scores = own.read_tiles(given)
                values = hidden.cpu().double().numpy()
                pooling = np.zeros(values.shape[1], dtype=np.int64)
                own_scores = scores.cpu().double().numpy()[:, None]
                parts.append(TileReadings(values, own_scores, pooling))
        return TileReadings.side_by_side(parts)


def _layers(encoder: torch.nn.Module) -> list[nn.Linear]:
    return [cast(nn.Linear, layer) for layer in cast(VectorBranch, encoder).layers]
