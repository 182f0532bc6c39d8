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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from survfuse._errors import BundleError, InputError, context, listed
from survfuse._gate import boundary, refuse_claim
from survfuse._types import Batch, Float32Array
from survfuse.decomposition import Readings, Reference, decompose
from survfuse.decomposition.readings import term_name
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
from survfuse.models.network_terms import network_terms, read_batch
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

Inputs = Sequence[npt.ArrayLike | None] | Mapping[str, npt.ArrayLike | None]
"""What is known of one patient: ``(bag, clinical, expression)``, or by these names."""

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
    names = {}
    for modality in modalities:
        for ours, theirs in _BRANCHES[modality].items():
            names[f"branches.{modality}.{ours}"] = theirs
    pairs = itertools.combinations(modalities, 2) if fusion != "concat" else ()
    for left, right in pairs:
        for ours, theirs in _SIDES.items():
            pair = _PAIRS[left, right]
            names[f"fusion.pairs.{left}*{right}.{ours}"] = f"{pair}.{theirs}"
    if fusion == "pairwise_residual":
        names["fusion.residual"] = "residual_proj"
    names["head.linear"] = "classifiers" if variant == "abmil" else "classifier"
    return names


def _keys(variant: str) -> dict[str, str]:
    """Our state-dict keys of a variant -> the reference's."""
    keys = {}
    for ours, theirs in _layers(variant).items():
        for part in ("weight", "bias"):
            keys[f"{ours}.{part}"] = f"{theirs}.{part}"
    return keys


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
        Features of a tile: 1024 (UNI; then 512 and 256 wide) or 1536 (Prov-GigaPath; 768, 384).
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
        batch = self._batch(bag, clinical, expression)
        with torch.no_grad():
            return float(self.network(batch).log_risk)

    def terms(
        self,
        patients: Sequence[Inputs],
        reference: Sequence[Inputs],
    ) -> pd.DataFrame:
        """Split the log-risks of patients into terms, exactly.

        The blocks of the paper's pairs are no interactions: a network can move what a modality says
        alone into them and back without a change of any log-risk. Terms are the functional ANOVA
        under the product over modalities of the reference patients, whose values do not depend on
        that (Hooker 2007, 10.1198/106186007X237892).

        Parameters
        ----------
        patients : sequence of tuple or mapping
            Of each, what :meth:`log_risk` reads: ``(bag, clinical, expression)``, or by these
            names.
        reference : sequence of tuple or mapping
            Patients to compare with, best those that the network was trained on; at most 500 of
            them, drawn by seed.

        Returns
        -------
        DataFrame
            A row per patient, in order, that adds up to the log-risk; columns `constant`, a main
            effect per modality, a pure interaction per pair as ``a*b``, and of variant `pg_res`
            ``a*b*c``.

        Raises
        ------
        InputError
            For no patient, or an input that :meth:`log_risk` refuses; names the patient by number.
        """
        compared = Reference.of(
            self._read(reference, "reference"), from_background=True
        )
        parts = network_terms(self.network, 0)
        readings = self._read(patients, "patients")
        effects = decompose([parts], readings, compared).effects
        frame = pd.DataFrame({term_name(t): v for t, v in effects.items()})
        return frame.rename_axis(index="patient")

    def _read(
        self,
        patients: Sequence[Inputs],
        what: str,
    ) -> Readings:
        if not isinstance(patients, Sequence) or isinstance(patients, str):
            raise InputError(
                f"{what}: expected a list of patients, got {type(patients).__name__}",
            )
        if not patients:
            raise InputError(f"{what}: expected at least one patient, got none")
        readings = []
        for number, given in enumerate(patients):
            with context(f"{what}[{number}]"):
                batch = self._batch(*_inputs(given))
                readings.append(read_batch([self.network], batch))
        return Readings.joined(readings)

    def _batch(
        self,
        bag: npt.ArrayLike | None,
        clinical: npt.ArrayLike | None,
        expression: npt.ArrayLike | None,
    ) -> Batch:
        """One patient."""
        given = {"slides": bag, "clinical": clinical, "expression": expression}
        bags, offsets, vectors = {}, {}, {}
        for modality in self.network.config.modalities:
            name = modality.name
            values = _tensor(modality, given[name])
            if name == "slides":
                bags[name], offsets[name] = values, torch.tensor([0, len(values)])
            else:
                vectors[name] = values[None]
        return Batch(
            bags=bags,
            offsets=offsets,
            vectors=vectors,
            present={name: torch.tensor([True]) for name in [*bags, *vectors]},
            time=torch.tensor([torch.nan], dtype=torch.float64),
            event=torch.tensor([False]),
            patient_id=("one",),
        )

    def attention(self, bag: npt.ArrayLike) -> Float32Array:
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
                    _, attention = branch(tiles, torch.tensor([0, len(tiles)]))
                weights: Float32Array = attention.numpy()
                return weights
        raise InputError(
            f"variant {self.variant!r} reads no slides, so there is no attention over tiles",
        )


def _inputs(given: Inputs) -> tuple[npt.ArrayLike | None, ...]:
    """Bag, clinical vector and expression of a patient."""
    names = ("bag", "clinical", "expression")
    if isinstance(given, Mapping):
        unknown = sorted(set(map(str, given)).difference(names))
        if unknown:
            raise InputError(f"expected {', '.join(names)}, got {listed(unknown)}")
        return tuple(given.get(name) for name in names)
    if not isinstance(given, Sequence) or len(given) != len(names):
        raise InputError(
            f"expected a tuple (bag, clinical, expression) or a mapping of these names, got "
            f"{type(given).__name__}",
        )
    return tuple(given)


def _tensor(
    modality: ModalityConfig,
    given: npt.ArrayLike | None,
) -> Tensor:
    """Check one input; half and single precision keep their type, all else is cast."""
    is_bag = isinstance(modality, BagConfig)
    name = "bag" if is_bag else modality.name
    if given is None:
        raise InputError(f"{name}: this variant reads it, got None")
    array = as_array(given, f"{name}: expected numbers")
    axes = f"tiles >= 1, {modality.input_dim}" if is_bag else f"{modality.input_dim}"
    fits = array.ndim == 1 + is_bag and array.shape[-1] == modality.input_dim
    if not fits or len(array) == 0 or array.dtype.kind not in "iuf":
        raise InputError(
            f"{name}: expected numbers of shape ({axes}), got {array.dtype} of shape "
            f"{array.shape}",
        )
    if array.dtype not in (np.float16, np.float32):
        array = array.astype(np.float32)
    # In parts, so that the check takes no memory of the size of the bag.
    parts = range(0, len(array), 65536)
    if not all(np.isfinite(array[start : start + 65536]).all() for start in parts):
        raise InputError(
            f"{name}: holds NaN or infinite values; impute or drop them first",
        )
    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    return tensor if is_bag else tensor.float()


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


def state_dict_for(
    network: FusionNetwork,
    variant: str,
) -> dict[str, Tensor]:
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
    config = network.config
    same_shape = set(own) == set(names) and config.names == VARIANTS[variant][0]
    if not same_shape or config.head != "cox":
        shape = f"{', '.join(config.names)}; {config.head} head"
        raise InputError(f"this network ({shape}) is not of variant {variant!r}")
    return {theirs: own[ours].detach().clone() for ours, theirs in names.items()}


def cox_loss(
    log_risk: Any,
    time: Any,
    event: Any,
) -> Tensor:
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
    columns: dict[str, Any] = {"log_risk": log_risk, "event": event, "time": time}
    for name, values in columns.items():
        if not isinstance(values, Tensor):
            column = torch.from_numpy(as_floats(values, name))
            columns[name] = column.to(getattr(columns["log_risk"], "device", "cpu"))
    return cox_batch(**columns)


def _read_state(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(source, Mapping | str | PathLike):
        raise InputError(
            f"expected the path of a checkpoint or a state dict, got {type(source).__name__}",
        )
    content: Any = source
    if not isinstance(source, Mapping):
        content = read_checkpoint(
            Path(source),
            remedy=_REMEDY,
            error=BundleError,
        )
    for name in _ENVELOPES:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise BundleError(
            f"checkpoint: expected a state dict, got {type(content).__name__}",
        )
    state = {str(key).removeprefix("module."): v for key, v in content.items()}
    if not isinstance(source, Mapping):
        _refuse_claims(source, state)
    return state


def _refuse_claims(
    path: str | Path,
    state: Mapping[str, Any],
) -> None:
    """Refuse tensors that claim more than the file holds: views that repeat their numbers."""
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
    refuse_claim(
        path,
        claimed,
        sum(stored.values()),
        error=BundleError,
        ratio=1,
    )


def _weight(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor | np.ndarray):
        raise BundleError(
            f"checkpoint: {name!r} is a {type(value).__name__}, expected a tensor",
        )
    place = f"checkpoint: {name!r}"
    with boundary(
        place,
        "numbers",
        error=BundleError,
        remedy=_REMEDY,
    ):
        return torch.as_tensor(value).float()


def _nearest(names: set[str]) -> str:
    return min(VARIANTS, key=lambda variant: len(names ^ set(_keys(variant).values())))


def _check_names(
    state: Mapping[str, Any],
    variant: str,
) -> None:
    names, expected = set(state), set(_keys(variant).values())
    if names == expected:
        return
    parts = []
    if expected - names:
        parts.append(f"missing {listed(sorted(expected - names))}")
    if names - expected:
        parts.append(f"unexpected {listed(sorted(names - expected))}")
    nearest = _nearest(names)
    hint = f"the nearest variant is {nearest!r}"
    if names == set(_keys(nearest).values()):
        hint = f"these are the weights of variant {nearest!r}"
    raise BundleError(
        f"checkpoint is not of variant {variant!r}: {'; '.join(parts)}; {hint}",
    )


def _infer_config(
    state: Mapping[str, Tensor],
    variant: str,
) -> NetworkConfig:
    """Read the widths off the weights; a fusion's are those of its first pair of each kind."""
    shapes = _layer_shapes(state, variant)
    config = variant_config(variant)
    sizes, clinical_dim = _pair_sizes(shapes)
    if "fusion.residual" in shapes:
        sizes["residual_width"] = shapes["fusion.residual"][0]
    branches: dict[str, BagConfig | VectorConfig] = {}
    if "slides" in config.names:
        width, dim = shapes["branches.slides.project"]
        attention = shapes["branches.slides.pooling.signal"][0]
        branches["slides"] = BagConfig("slides", dim, width, attention)
    if "expression" in config.names:
        layers = [shapes[f"branches.expression.layers.{i}"] for i in range(3)]
        hidden = tuple(out for out, _ in layers)
        branches["expression"] = VectorConfig("expression", layers[0][1], hidden)
    if variant == "abmil":
        clinical_dim = shapes["head.linear"][1] - width - hidden[-1]
        if clinical_dim < 1:
            raise BundleError(
                "checkpoint: classifiers.weight is narrower than its slide and expression parts",
            )
    if "clinical" in config.names:
        branches["clinical"] = VectorConfig("clinical", clinical_dim)
    modalities = tuple(branches[name] for name in config.names)
    return replace(config, modalities=modalities, **sizes)


def _layer_shapes(
    state: Mapping[str, Tensor],
    variant: str,
) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of every linear layer, by our names."""
    shapes = {}
    for ours, theirs in _layers(variant).items():
        shape = tuple(state[f"{theirs}.weight"].shape)
        if len(shape) != 2 or 0 in shape:
            raise BundleError(
                f"checkpoint: {theirs}.weight is {shape}, expected two dimensions",
            )
        shapes[ours] = (shape[0], shape[1])
    return shapes


def _pair_sizes(
    shapes: Mapping[str, tuple[int, int]],
) -> tuple[dict[str, Any], int]:
    """Widths of the first pair of each kind, and the length of the clinical vector (0: no pair)."""
    sizes: dict[str, Any] = {}
    clinical_dim = 0
    for name, (out, rank) in shapes.items():
        if not (name.startswith("fusion.pairs.") and name.endswith(".out")):
            continue
        sizes.setdefault("rank", rank)
        if "*clinical." in name:
            sizes.setdefault("raw_pair_width", out)
            right = name.removesuffix("out") + "right"
            clinical_dim = clinical_dim or shapes[right][1]
        else:
            sizes["pair_width"] = out
    return sizes, clinical_dim
