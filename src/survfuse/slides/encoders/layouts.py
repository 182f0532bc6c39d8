"""Tensor names: from those in a publisher's file to those of our networks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

from survfuse.slides.encoders.encoder import EncoderCard

_RULES = {
    "timm": [(r"^", "trunk.")],
    "conch": [
        (r"^visual\.trunk\.", "trunk."),
        (r"^visual\.attn_pool_contrast\.", "pooler."),
        (r"^visual\.ln_contrast\.", "pooler.ln_out."),
    ],
    "hf_dinov2": [
        (r"^dinov2\.", ""),
        (r"^embeddings\.cls_token$", "trunk.cls_token"),
        (r"^embeddings\.position_embeddings$", "trunk.pos_embed"),
        (r"^embeddings\.patch_embeddings\.projection\.", "trunk.patch_embed.proj."),
        (r"^layernorm\.", "trunk.norm."),
        (r"^encoder\.layer\.", "trunk.blocks."),
        (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
        (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
        (r"\.attention\.(attention\.)?(query|q_proj)\.", ".attn.qkv.0."),
        (r"\.attention\.(attention\.)?(key|k_proj)\.", ".attn.qkv.1."),
        (r"\.attention\.(attention\.)?(value|v_proj)\.", ".attn.qkv.2."),
    ],
}
"""Of each layout: patterns and their replacements, applied one after the other."""
_QKV = re.compile(r"^(trunk\.blocks\.\d+\.attn\.qkv\.)([012])\.(weight|bias)$")


def to_network(
    tensors: Mapping[str, Tensor],
    card: EncoderCard,
) -> dict[str, Tensor]:
    """Rename a file's tensors to those of :class:`~.encoder_networks.PooledNetwork`.

    What the card lists as unused is dropped; what is unknown keeps its name, so that
    the comparison with the network can name it.
    """
    renamed = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("module.").removeprefix("_orig_mod.")
        if name.startswith(card.unused):
            continue
        for pattern, new in _RULES[card.layout]:
            name = re.sub(pattern, new, name)
        renamed[name] = tensor
    return _joined(renamed) if card.layout == "hf_dinov2" else renamed


def _joined(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join queries, keys and values; transformers' ``Dinov2Model`` stores them apart."""
    joined: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        match = _QKV.match(name)
        if match:
            parts[match[1] + match[3]][match[2]] = tensor
        elif not name.endswith("embeddings.mask_token"):  # used in pretraining only
            joined[name] = tensor
    for name, by_order in parts.items():
        if len(by_order) == 3:  # with one absent, the whole is reported missing
            joined[name] = torch.cat([by_order[order] for order in "012"])
    return joined
