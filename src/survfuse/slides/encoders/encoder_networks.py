"""From a card to a network whose output is (tiles, dim), whatever stands inside."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from survfuse.slides.encoders._timm import import_timm
from survfuse.slides.encoders.encoder import EncoderCard

POOLER_HEADS = 8


class PooledNetwork(nn.Module):
    """A timm network and the pooling that its card names.

    Parameters
    ----------
    trunk : nn.Module
        What ``timm.create_model`` gave.
    card : EncoderCard
        Decides the pooling.
    """

    def __init__(
        self,
        trunk: nn.Module,
        card: EncoderCard,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.pooling = card.pooling
        self.pooler: AttentionPooler | None = None
        if card.pooling == "attention":
            self.pooler = AttentionPooler(trunk.num_features, card.dim)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:  # (tiles, 3, px, px) -> (tiles, dim)
        """Features of normalised images."""
        if self.pooler is not None:
            return self.pooler(self.trunk.forward_features(images))  # type: ignore[operator, no-any-return]
        output = self.trunk(images)
        if isinstance(output, list):  # maps of the requested stages: one
            return output[0].mean(dim=(2, 3))  # type: ignore[no-any-return]
        if self.pooling == "cls+mean":
            patches = output[:, self.trunk.num_prefix_tokens :]
            return torch.cat([output[:, 0], patches.mean(dim=1)], dim=1)
        return output  # type: ignore[no-any-return]


class AttentionPooler(nn.Module):
    r"""One learned question asked of all tokens (CONCH, Lu et al. 2024; as in CoCa).

    .. math:: z = \mathrm{LN}(\mathrm{MHA}(\mathrm{LN}(q), \mathrm{LN}(T), \mathrm{LN}(T)))

    Parameters
    ----------
    width, dim : int
        Width of the tokens and of the answer.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, dim))
        self.ln_q = nn.LayerNorm(dim)
        self.ln_k = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(
            dim,
            POOLER_HEADS,
            kdim=width,
            vdim=width,
            batch_first=True,
        )
        self.ln_out = nn.LayerNorm(dim)

    def forward(
        self,
        tokens: Tensor,
    ) -> Tensor:  # (tiles, tokens, width) -> (tiles, dim)
        """Answer per tile."""
        query = self.ln_q(self.query).expand(len(tokens), -1, -1)
        keys = self.ln_k(tokens)
        answer, _ = self.attn(query, keys, keys, need_weights=False)
        return self.ln_out(answer[:, 0])  # type: ignore[no-any-return]


def build_network(
    card: EncoderCard,
    *,
    device: str = "cpu",
    **overrides: Any,
) -> PooledNetwork:
    """Build a card's network; its weights mean nothing yet.

    Parameters
    ----------
    card : EncoderCard
        What to build.
    device : str
        ``meta`` builds shapes and names without memory.
    **overrides
        Replace arguments of the card (a smaller `depth` in tests).

    Raises
    ------
    MissingExtraError
        When timm is not installed.
    """
    timm = import_timm()
    arguments = {**card.arguments, **overrides}
    for name, modules in (("act_layer", nn), ("mlp_layer", timm.layers)):
        if name in arguments:
            arguments[name] = getattr(modules, arguments[name])
    with torch.device(device):
        trunk = timm.create_model(card.arch, pretrained=False, **arguments)
        return PooledNetwork(trunk, card).eval()


def randomise(card: EncoderCard, seed: int) -> PooledNetwork:
    """Build a network with weights drawn from a seed, leaving torch's own generator as it was.

    Layer scales are set to 1: at their usual 0.00001 an untrained transformer would give
    every tile the same features.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(card)
        for name, parameter in network.named_parameters():
            if name.endswith(".gamma"):
                nn.init.ones_(parameter)
    return network
