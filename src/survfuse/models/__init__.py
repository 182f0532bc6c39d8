"""Networks over patients with any subset of modalities: branches, poolings, fusions, heads.

Tensors only: nothing here reads a file, knows a column or fits a transform.
"""

from __future__ import annotations

from survfuse.models.fusion import FUSIONS
from survfuse.models.heads import HEADS
from survfuse.models.network import (
    BagConfig,
    FusionNetwork,
    NetworkConfig,
    NetworkOutput,
    VectorConfig,
    build_network,
    network_config,
)
from survfuse.models.pooling import POOLINGS

__all__ = [
    "FUSIONS",
    "HEADS",
    "POOLINGS",
    "BagConfig",
    "FusionNetwork",
    "NetworkConfig",
    "NetworkOutput",
    "VectorConfig",
    "build_network",
    "network_config",
]
