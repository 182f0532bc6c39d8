"""The networks of arXiv 2605.13897, their checkpoints, their loss and their map from risk to time.

All seven published variants are configurations of the one
:class:`~survfuse.models.network.FusionNetwork`; here stand their shapes and the
names that the reference implementation gives to their weights:

=========  ============================  =====================================
variant    modalities                    fusion
=========  ============================  =====================================
`abmil`    slides, clinical, expression  side by side
`pg`       slides, expression, clinical  bilinear pairs
`pg_res`   slides, expression, clinical  bilinear pairs and a residual branch
`img`      slides                        none
`imgcli`   slides, clinical              one pair
`imgrna`   slides, expression            one pair
`rnacli`   expression, clinical          one pair
=========  ============================  =====================================
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from survfuse._errors import BundleError, InputError, context, listed
from survfuse._gate import boundary, refuse_claim
from survfuse._types import Batch
from survfuse.losses import cox_batch
from survfuse.models.branches import BagBranch
from survfuse.models.network import (
    BagConfig,
    FusionNetwork,
    NetworkConfig,
    VectorConfig,
    network_of,
)
from survfuse.models.network_config import ModalityConfig
from survfuse.readers.torch_files import read_checkpoint
from survfuse.survival.argument_checks import as_array, as_floats, as_whole
from survfuse.survival.calibration import km_rank_time

__all__ = [
    "VARIANTS",
    "PaperModel",
    "cox_loss",
    "km_rank_time",
    "load_checkpoint",
    "state_dict_for",
    "variant_config",
]

VARIANTS: dict[str, tuple[tuple[str, ...], str]] = {
    "abmil": (("slides", "clinical", "expression"), "concat"),
    "pg": (("slides", "expression", "clinical"), "pairwise"),
    "pg_res": (("slides", "expression", "clinical"), "pairwise_residual"),
    "img": (("slides",), "pairwise"),
    "imgcli": (("slides", "clinical"), "pairwise"),
    "imgrna": (("slides", "expression"), "pairwise"),
    "rnacli": (("expression", "clinical"), "pairwise"),
}
"""Modalities, in the order of the fusion, and fusion of each variant."""

_BRANCHES = {
    "slides": {
        "project": "attention_net.0",
        "pooling.signal": "attention_net.3.attention_a.0",
        "pooling.gate": "attention_net.3.attention_b.0",
        "pooling.score": "attention_net.3.attention_c",
    },
    "expression": {f"layers.{i}": f"rna_encoder.encoder.{3 * i}" for i in range(3)},
    "clinical": {},
}
_PAIRS = {
    ("slides", "expression"): "fuse_hr",
    ("slides", "clinical"): "fuse_hc",
    ("expression", "clinical"): "fuse_rc",
}
_SIDES = {"left": "f1", "right": "f2", "out": "out"}
_REMEDY = "write the state dict again with torch.save"
_ENVELOPES = ("state_dict", "model_state_dict", "model")


def _layers(variant: str) -> dict[str, str]:
    """Our name of every linear layer of a variant -> the reference's."""
    modalities, fusion = VARIANTS[variant]
    names = {
        f"branches.{modality}.{ours}": theirs
        for modality in modalities
        for ours, theirs in _BRANCHES[modality].items()
    }
    if fusion != "concat":
        for left, right in itertools.combinations(modalities, 2):
            for ours, theirs in _SIDES.items():
                names[f"fusion.pairs.{left}*{right}.{ours}"] = (
                    f"{_PAIRS[left, right]}.{theirs}"
                )
    if fusion == "pairwise_residual":
        names["fusion.residual"] = "residual_proj"
    names["head.linear"] = "classifiers" if variant == "abmil" else "classifier"
    return names


def _keys(variant: str) -> dict[str, str]:
    """Our state-dict keys of a variant -> the reference's."""
    return {
        f"{ours}.{part}": f"{theirs}.{part}"
        for ours, theirs in _layers(variant).items()
        for part in ("weight", "bias")
    }


def variant_config(
    variant: str,
    *,
    bag_dim: int = 1024,
    clinical_dim: int = 27,
    genes: int = 19_359,
) -> NetworkConfig:
    """Shape one of the paper's networks.

    Parameters
    ----------
    variant : str
        A name in :data:`VARIANTS`.
    bag_dim : int
        Features of a tile: 1024 (UNI; 512 and 256 wide after it) or 1536 (Prov-GigaPath; 768 and 384).
    clinical_dim, genes : int
        Lengths of the clinical and the expression vector.

    Raises
    ------
    InputError
        For an unknown variant, or a length that is not a whole number.

    Examples
    --------
    >>> variant_config("imgrna").names
    ('slides', 'expression')
    """
    modalities, fusion = VARIANTS[_known(variant)]
    bag_dim, genes = as_whole(bag_dim, "bag_dim", 4), as_whole(genes, "genes", 1)
    clinical_dim = as_whole(clinical_dim, "clinical_dim", 1)
    branches: dict[str, BagConfig | VectorConfig] = {
        "slides": BagConfig("slides", bag_dim, bag_dim // 2, bag_dim // 4),
        "expression": VectorConfig("expression", genes, (2048, 512, 128)),
        "clinical": VectorConfig("clinical", clinical_dim),
    }
    return NetworkConfig(
        modalities=tuple(branches[name] for name in modalities),
        fusion=fusion,
        rank=64,
        pair_width=64,
        raw_pair_width=32,
        residual_width=128,
        dropout=0.25,
    )


def _known(variant: str) -> str:
    if not isinstance(variant, str) or variant not in VARIANTS:
        raise InputError(
            f"unknown variant {variant!r} of the paper's network; known: {', '.join(VARIANTS)}",
        )
    return variant


@dataclass(frozen=True)
class PaperModel:
    """One of the paper's networks with trained weights; numpy in, one patient at a time.

    Attributes
    ----------
    variant : str
        A name in :data:`VARIANTS`.
    network : FusionNetwork
        In evaluation mode.
    """

    variant: str
    network: FusionNetwork

    @property
    def parameter_count(self) -> int:
        """Count of trained numbers."""
        return self.network.parameter_count()

    def log_risk(
        self,
        bag: npt.ArrayLike | None = None,
        clinical: npt.ArrayLike | None = None,
        expression: npt.ArrayLike | None = None,
    ) -> float:
        """Compute one patient's log-risk.

        Parameters
        ----------
        bag : array, (tiles, bag_dim)
            Tile features.
        clinical : array, (clinical_dim,)
            As the checkpoint's own preprocessing made it.
        expression : array, (genes,)
            In the gene order of the checkpoint.

        Notes
        -----
        What the variant does not use may be None and is not looked at.

        Raises
        ------
        InputError
            When an input that the variant uses is absent, misshapen or not finite.
        """
        given = {"slides": bag, "clinical": clinical, "expression": expression}
        tensors = {
            m.name: _tensor(m, given[m.name]) for m in self.network.config.modalities
        }
        bags = {name: value for name, value in tensors.items() if name == "slides"}
        batch = Batch(
            bags=bags,
            offsets={
                name: torch.tensor([0, len(value)]) for name, value in bags.items()
            },
            vectors={
                name: value[None] for name, value in tensors.items() if name not in bags
            },
            present={name: torch.tensor([True]) for name in tensors},
            time=torch.tensor([torch.nan], dtype=torch.float64),
            event=torch.tensor([False]),
            patient_id=("one",),
        )
        with torch.no_grad():
            return float(self.network(batch).log_risk)

    def attention(self, bag: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Weigh the tiles (tiles, bag_dim) of one patient: (tiles,), summing to 1.

        Raises
        ------
        InputError
            When the variant has no slide branch, or the bag is misshapen or not finite.
        """
        for modality in self.network.config.modalities:
            branch = self.network.branches[modality.name]
            if isinstance(branch, BagBranch):
                tiles = _tensor(modality, bag)
                with torch.no_grad():
                    weights: npt.NDArray[np.float32] = branch(
                        tiles,
                        torch.tensor([0, len(tiles)]),
                    )[1].numpy()
                return weights
        raise InputError(
            f"variant {self.variant!r} reads no slides, so there is no attention over tiles",
        )


def _tensor(modality: ModalityConfig, given: npt.ArrayLike | None) -> Tensor:
    """Check one input and hand it over; half and single precision keep their type, all else is cast."""
    word, wanted = (
        ("bag", "tiles >= 1, ")
        if isinstance(modality, BagConfig)
        else (modality.name, "")
    )
    if given is None:
        raise InputError(f"{word}: this variant reads it, got None")
    array = as_array(given, f"{word}: expected numbers")
    fits = (
        array.ndim == (2 if wanted else 1)
        and array.shape[-1] == modality.input_dim
        and len(array) > 0
    )
    if not fits or array.dtype.kind not in "iuf":
        raise InputError(
            f"{word}: expected numbers of shape ({wanted}{modality.input_dim}), "
            f"got {array.dtype} of shape {array.shape}",
        )
    if array.dtype not in (np.float16, np.float32):
        array = array.astype(np.float32)
    if not all(
        np.isfinite(array[i : i + 65536]).all() for i in range(0, len(array), 65536)
    ):
        raise InputError(
            f"{word}: holds NaN or infinite values; impute or drop them first",
        )
    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    return tensor if wanted else tensor.float()


def load_checkpoint(
    path_or_state_dict: str | Path | Mapping[str, Any],
    variant: str | None = "pg",
) -> PaperModel:
    """Load weights trained with the reference implementation.

    Parameters
    ----------
    path_or_state_dict : path or mapping
        A file written by `torch.save` (read with ``weights_only=True``) or the
        state dict itself, tensors or arrays. ``module.`` prefixes are stripped.
    variant : str, optional
        A name in :data:`VARIANTS`; None finds it by the names of the weights.

    Returns
    -------
    PaperModel
        Layer widths are those of the checkpoint.

    Raises
    ------
    InputError
        For an unknown variant.
    BundleError
        When the file cannot be read, or weights are missing, unexpected,
        misshapen or not finite; names them, and the variant that fits better.
    """
    saved = _read_state(path_or_state_dict)
    variant = _nearest(set(saved)) if variant is None else _known(variant)
    _check_names(saved, variant)
    state = {name: _weight(name, value) for name, value in saved.items()}
    names = _keys(variant)
    config = _infer_config(state, variant)
    with context(f"checkpoint of variant {variant!r}"):
        network = network_of(
            config,
            {ours: state[theirs] for ours, theirs in names.items()},
            names,
        )
    return PaperModel(variant, network.requires_grad_(False))


def state_dict_for(network: FusionNetwork, variant: str) -> dict[str, Tensor]:
    """Name a network's weights as the reference implementation does.

    Raises
    ------
    InputError
        For an unknown variant, or a network that is not of this variant.
    """
    if not isinstance(network, FusionNetwork):
        raise InputError(
            f"network must be a FusionNetwork, got {type(network).__name__}",
        )
    own, names = network.state_dict(), _keys(_known(variant))
    same_shape = set(own) == set(names) and network.config.names == VARIANTS[variant][0]
    if not same_shape or network.config.head != "cox":
        told = f"{', '.join(network.config.names)}; {network.config.head} head"
        raise InputError(f"this network ({told}) is not of variant {variant!r}")
    return {theirs: own[ours].detach().clone() for ours, theirs in names.items()}


def cox_loss(log_risk: Any, time: Any, event: Any) -> Tensor:
    """Cox loss of a batch in the paper's form.

    With patients sorted by descending time,
    ``-sum event (r - log(cumsum(exp r) + 1e-8)) / sum event``; tied times are not
    corrected for. Without events it is zero, with a gradient (of zeros).

    Parameters
    ----------
    log_risk : Tensor or array-like, (patients,)
    time : Tensor or array-like, (patients,)
    event : Tensor or array-like, (patients,), 0/1 or bool

    Returns
    -------
    Tensor, scalar

    Raises
    ------
    InputError
        For anything but one finite number, one time above 0 and one event of 0 or 1 per patient.
    """
    risk = _column(log_risk, "log_risk")
    return cox_batch(risk, _column(event, "event", risk), _column(time, "time", risk))


def _column(values: Any, name: str, beside: Tensor | None = None) -> Tensor:
    """Hand a tensor over as it is; anything else becomes a float64 tensor on the device of another."""
    if isinstance(values, Tensor):
        return values
    column = torch.from_numpy(as_floats(values, name))
    return column if beside is None else column.to(beside.device)


def _read_state(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(source, Mapping | str | PathLike):
        raise InputError(
            f"expected the path of a checkpoint or a state dict, got {type(source).__name__}",
        )
    content: Any = source
    if not isinstance(source, Mapping):
        content = read_checkpoint(Path(source), remedy=_REMEDY, error=BundleError)
    for name in _ENVELOPES:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise BundleError(
            f"checkpoint: expected a state dict, got {type(content).__name__}",
        )
    state = {
        str(name).removeprefix("module."): value for name, value in content.items()
    }
    if not isinstance(source, Mapping):
        _refuse_claims(source, state)
    return state


def _refuse_claims(path: str | Path, state: Mapping[str, Any]) -> None:
    """Refuse tensors that together claim more than the file holds: views that repeat their numbers."""
    stored: dict[int, int] = {}
    claimed = 0
    for name, value in state.items():
        if not isinstance(value, Tensor):
            continue
        if value.layout != torch.strided or value.device.type != "cpu":
            raise BundleError(f"{path}: {name!r} is no dense tensor; {_REMEDY}")
        storage = value.untyped_storage()
        stored[storage.data_ptr()] = storage.nbytes()
        claimed += value.numel() * value.element_size()
    refuse_claim(path, claimed, sum(stored.values()), error=BundleError, ratio=1)


def _weight(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor | np.ndarray):
        raise BundleError(
            f"checkpoint: {name!r} is a {type(value).__name__}, expected a tensor",
        )
    with boundary(
        f"checkpoint: {name!r}",
        "numbers",
        error=BundleError,
        remedy=_REMEDY,
    ):
        return torch.as_tensor(value).float()


def _nearest(found: set[str]) -> str:
    return min(VARIANTS, key=lambda variant: len(found ^ set(_keys(variant).values())))


def _check_names(state: Mapping[str, Any], variant: str) -> None:
    found, wanted = set(state), set(_keys(variant).values())
    if found == wanted:
        return
    parts = [
        f"{word} {listed(sorted(names))}"
        for word, names in (("missing", wanted - found), ("unexpected", found - wanted))
        if names
    ]
    nearest = _nearest(found)
    exact = found == set(_keys(nearest).values())
    hint = (
        f"; these are the weights of variant {nearest!r}"
        if exact
        else f"; the nearest variant is {nearest!r}"
    )
    raise BundleError(
        f"checkpoint is not of variant {variant!r}: {'; '.join(parts)}{hint}",
    )


def _infer_config(state: Mapping[str, Tensor], variant: str) -> NetworkConfig:
    """Read the widths off the weights; the fusion's are those of its first pair of each kind."""

    def shape(layer: str) -> tuple[int, int]:
        weight = state[f"{layer}.weight"]
        if weight.ndim != 2 or 0 in weight.shape:
            raise BundleError(
                f"checkpoint: {layer}.weight is {tuple(weight.shape)}, expected two dimensions",
            )
        return weight.shape[0], weight.shape[1]

    config = variant_config(variant)
    names, pairs = (
        set(config.names),
        [p for p in _PAIRS.values() if f"{p}.out.weight" in state],
    )
    branches: dict[str, BagConfig | VectorConfig] = {}
    if "slides" in names:
        width, dim = shape("attention_net.0")
        branches["slides"] = BagConfig(
            "slides",
            dim,
            width,
            shape("attention_net.3.attention_a.0")[0],
        )
    if "expression" in names:
        sizes = [shape(layer) for layer in _BRANCHES["expression"].values()]
        branches["expression"] = VectorConfig(
            "expression",
            sizes[0][1],
            tuple(out for out, _ in sizes),
        )
    if "clinical" in names:
        rest = (
            shape("classifiers")[1] - width - sizes[-1][0] if variant == "abmil" else 0
        )
        rest = (
            shape("fuse_hc.f2" if "fuse_hc" in pairs else "fuse_rc.f2")[1]
            if pairs
            else rest
        )
        if rest < 1:
            raise BundleError(
                "checkpoint: classifiers.weight is narrower than its slide and expression parts",
            )
        branches["clinical"] = VectorConfig("clinical", rest)
    raw = [shape(f"{pair}.out")[0] for pair in pairs if pair != "fuse_hr"]
    return replace(
        config,
        modalities=tuple(branches[name] for name in config.names),
        rank=shape(f"{pairs[0]}.f1")[0] if pairs else config.rank,
        pair_width=shape("fuse_hr.out")[0] if "fuse_hr" in pairs else config.pair_width,
        raw_pair_width=raw[0] if raw else config.raw_pair_width,
        residual_width=shape("residual_proj")[0]
        if variant == "pg_res"
        else config.residual_width,
    )
