"""Tensor names: from how a publisher's file spells them to how our networks do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from survfuse.slides.encoders.encoder import EncoderCard

Named = dict[str, Tensor]

_WRAPPERS = ("module.", "_orig_mod.")


def to_network(tensors: Mapping[str, Tensor], card: EncoderCard) -> Named:
    """Rename a file's tensors to those of :class:`~.networks.PooledNetwork`.

    What the card lists as unused is dropped; what nobody knows keeps its name, so that
    the comparison with the network can name it.
    """
    plain = {_unwrapped(name): tensor for name, tensor in tensors.items()}
    wanted = {
        name: tensor
        for name, tensor in plain.items()
        if not name.startswith(card.unused or ("\0",))
    }
    return _LAYOUTS[card.layout](wanted)


def _unwrapped(name: str) -> str:
    for prefix in _WRAPPERS:
        name = name.removeprefix(prefix)
    return name


def _from_timm(tensors: Named) -> Named:
    return {f"trunk.{name}": tensor for name, tensor in tensors.items()}


_CONCH = (
    (r"^visual\.trunk\.", "trunk."),
    (r"^visual\.attn_pool_contrast\.", "pooler."),
    (r"^visual\.ln_contrast\.", "pooler.ln_out."),
)


def _from_conch(tensors: Named) -> Named:
    return {_rewritten(name, _CONCH): tensor for name, tensor in tensors.items()}


_DINOV2 = (
    (r"^(dinov2\.)?embeddings\.cls_token$", "trunk.cls_token"),
    (r"^(dinov2\.)?embeddings\.position_embeddings$", "trunk.pos_embed"),
    (
        r"^(dinov2\.)?embeddings\.patch_embeddings\.projection\.",
        "trunk.patch_embed.proj.",
    ),
    (r"^(dinov2\.)?layernorm\.", "trunk.norm."),
    (r"^(dinov2\.)?encoder\.layer\.", "trunk.blocks."),
    (r"\.attention\.(output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
)
_QKV = re.compile(
    r"^(trunk\.blocks\.\d+)\.attention\.(?:attention\.)?(query|key|value|[qkv]_proj)\.(weight|bias)$",
)
_ORDER = {"query": 0, "q_proj": 0, "key": 1, "k_proj": 1, "value": 2, "v_proj": 2}


def _from_hf_dinov2(tensors: Named) -> Named:
    """Rename tensors of transformers' ``Dinov2Model``; queries, keys and values become one matrix."""
    found: Named = {}
    split: dict[str, dict[int, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.endswith("embeddings.mask_token"):  # used in pretraining only
            continue
        renamed = _rewritten(name, _DINOV2)
        part = _QKV.match(renamed)
        if part is None:
            found[renamed] = tensor
        else:
            split.setdefault(f"{part[1]}.attn.qkv.{part[3]}", {})[_ORDER[part[2]]] = (
                tensor
            )
    for name, parts in split.items():
        if len(parts) == 3:  # with one absent, the whole is reported missing
            found[name] = torch.cat([parts[i] for i in range(3)])
    return found


def _rewritten(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name


_LAYOUTS: dict[str, Callable[[Named], Named]] = {
    "timm": _from_timm,
    "hf_dinov2": _from_hf_dinov2,
    "conch": _from_conch,
}
