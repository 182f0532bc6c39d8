"""The shape of a network, as JSON-able values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from torch import nn

from survfuse._errors import ConfigError, listed
from survfuse.config import FitConfig
from survfuse.models.encoders import ENCODERS
from survfuse.models.fusion import FUSIONS, FusionSizes
from survfuse.models.heads import HEADS
from survfuse.models.pooling import POOLINGS

T = TypeVar("T")
Members = tuple[tuple[int, ...], ...]

MOST_MODALITIES = 100
"""Of one network; a fusion may hold a part for each pair of them."""
MOST_LAYERS = 100
"""Of one encoder."""


@dataclass(frozen=True)
class BagConfig:
    """A modality of many tiles per patient.

    Attributes
    ----------
    name : str
        The modality.
    input_dim : int
        Features of a tile.
    width : int
        Width of the projection and of the embedding.
    attention_width : int
        Hidden width of the attention.
    pooling : str
        A name in the pooling registry.
    """

    name: str
    input_dim: int
    width: int = 64
    attention_width: int = 32
    pooling: str = "attention"
    kind: Literal["bag"] = "bag"

    def __post_init__(self) -> None:
        _require_widths(self.name, self.input_dim, self.width, self.attention_width)
        POOLINGS[self.pooling]


@dataclass(frozen=True)
class VectorConfig:
    """A modality of one vector per patient.

    Attributes
    ----------
    name : str
        The modality.
    input_dim : int
        Length of the vector.
    hidden : tuple of int
        Layers of the encoder `mlp`; none: the vector is the embedding.
    encoder : str
        A name in the encoder registry.
    width : int
        Of the encoder `linear`.
    members : tuple of tuple of int
        Inputs of each gene set of the encoder `gene_set`.
    """

    name: str
    input_dim: int
    hidden: tuple[int, ...] = ()
    encoder: str = "mlp"
    width: int = 0
    members: Members = ()
    kind: Literal["vector"] = "vector"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        object.__setattr__(self, "members", tuple(tuple(m) for m in self.members))
        ENCODERS[self.encoder]
        for genes in self.members:
            if not all(type(gene) is int for gene in genes):
                raise ConfigError("gene sets: expected lists of whole numbers")
        if len(self.hidden) > MOST_LAYERS:
            raise ConfigError(
                f"modality {self.name!r}: at most {MOST_LAYERS} layers, got {len(self.hidden)}",
            )
        _require_widths(self.name, self.input_dim, *self.hidden)

    @property
    def encoded(self) -> bool:
        """Whether anything stands between the vector and the fusion."""
        return bool(self.hidden) or self.encoder != "mlp"


ModalityConfig = BagConfig | VectorConfig
KINDS: dict[str, type[ModalityConfig]] = {
    "bag": BagConfig,
    "vector": VectorConfig,
}


def _require_widths(name: str, *widths: int) -> None:
    if any(type(width) is not int or width < 1 for width in widths):
        raise ConfigError(
            f"modality {name!r}: widths must be whole numbers >= 1, got {listed(widths)}",
        )


@dataclass(frozen=True)
class NetworkConfig(FusionSizes):
    """Everything that shapes a network; with its state dict it is the network.

    The widths of the fusion are inherited: each is declared in
    :class:`~survfuse.models.fusion.FusionSizes` and nowhere else in `survfuse.models`.

    Attributes
    ----------
    modalities : tuple of BagConfig and VectorConfig
        In the order of the fusion.
    fusion : str
        A name in the fusion registry.
    head : str
        A name in the head registry.
    bins : int
        Time bins of a discrete head.
    dropout : float
        One rate for all branches.
    input_dropout : float
        On the vectors that enter vector branches.
    modality_dropout : float
        Chance that a patient's modality is left out while training
        (:func:`~survfuse.models.modality_dropout.drop_modalities`).

    Raises
    ------
    ConfigError
        For an unknown name, a width below 1, or modality names that clash.
    """

    modalities: tuple[ModalityConfig, ...]
    fusion: str = "concat"
    head: str = "cox"
    bins: int = 8
    dropout: float = 0.25
    input_dropout: float = 0.0
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple(self.modalities))
        _check_names(self.names)
        FUSIONS[self.fusion]
        HEADS[self.head]
        sizes = {field.name: getattr(self, field.name) for field in fields(FusionSizes)}
        sizes["raw_pair_width"] = self.raw_pair_width or 1
        _require_widths("(fusion and head)", *sizes.values(), self.bins)
        for rate in (self.dropout, self.input_dropout, self.modality_dropout):
            if not 0 <= rate < 1:
                raise ConfigError(f"dropout must lie in [0, 1), got {rate}")

    @property
    def names(self) -> tuple[str, ...]:
        """Modalities in the order of the fusion."""
        return tuple(modality.name for modality in self.modalities)

    def to_dict(self) -> dict[str, Any]:
        """Render as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """Read what :meth:`to_dict` wrote, also after a round through JSON.

        Raises
        ------
        ConfigError
            When a field is unknown, missing or out of range.
        """
        modalities = []
        for shape in values.get("modalities", ()):
            if not isinstance(shape, Mapping) or shape.get("kind") not in KINDS:
                raise ConfigError(
                    f"network: a modality is a mapping of kind {', '.join(KINDS)}, got {shape!r}",
                )
            modalities.append(_from_fields(KINDS[shape["kind"]], shape))
        return _from_fields(cls, {**values, "modalities": tuple(modalities)})


def _from_fields(cls: type[T], values: Mapping[str, Any]) -> T:
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"{cls.__name__}: unknown field {unknown[0]!r}; known: {', '.join(sorted(known))}",
        )
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__}: {error}") from None


def _check_names(names: tuple[str, ...]) -> None:
    if not names:
        raise ConfigError("a network needs at least one modality")
    if len(names) > MOST_MODALITIES:
        raise ConfigError(
            f"a network takes at most {MOST_MODALITIES} modalities, got {len(names)}",
        )
    if len(set(names)) < len(names):
        raise ConfigError(f"modality names must differ, got {', '.join(names)}")
    reserved = nn.ModuleDict()
    for name in names:
        plain = isinstance(name, str) and name and not {".", "*"} & set(name)
        if not plain or hasattr(reserved, name):
            raise ConfigError(
                f"modality name {name!r} cannot name a part of a network (empty, reserved, or "
                "holds '.' or '*'); rename it",
            )


def network_config(
    fit_config: FitConfig,
    dims: Mapping[str, int],
    kinds: Mapping[str, str],
    members: Mapping[str, Members] | None = None,
) -> NetworkConfig:
    """Shape a network for the modalities at hand.

    Parameters
    ----------
    fit_config : FitConfig
        Its network section is read: every field that :class:`NetworkConfig` has, by its name.
    dims : mapping of modality to int
        Input features after the transforms, in the order of the fusion.
    kinds : mapping of modality to str
        ``bag``, ``clinical`` (encoded by `clinical_hidden`), ``expression`` or
        ``table`` (encoded by `vector_hidden`; expression as `expression_encoder` says).
    members : mapping of modality to tuple of tuple of int, optional
        Inputs of each gene set, where the transforms give gene sets to be weighed.

    Raises
    ------
    ConfigError
        For an unknown kind.
    """
    shared = {field.name for field in fields(NetworkConfig)} - {"modalities", "fusion"}
    modalities = []
    for name, dim in dims.items():
        genes = (members or {}).get(name, ())
        modalities.append(_modality(fit_config, name, dim, kinds.get(name), genes))
    return NetworkConfig(
        modalities=tuple(modalities),
        fusion=fit_config.fusion,
        **{name: getattr(fit_config.network, name) for name in shared},
    )


def _modality(
    fit_config: FitConfig,
    name: str,
    dim: int,
    kind: str | None,
    members: Members,
) -> ModalityConfig:
    if kind == "bag":
        widths = fit_config.network.bag_width, fit_config.network.attention_width
        return BagConfig(name, dim, *widths, fit_config.network.bag_pooling)
    if kind == "clinical":
        return VectorConfig(name, dim, fit_config.network.clinical_hidden)
    encoder = fit_config.network.expression_encoder if kind == "expression" else "mlp"
    if kind not in ("expression", "table", "prior"):
        raise ConfigError(
            f"modality {name!r}: kind must be bag, clinical, expression, table or prior, got "
            f"{kind!r}",
        )
    if encoder == "linear":
        width = fit_config.network.expression_width
        return VectorConfig(
            name,
            dim,
            encoder="linear",
            width=width,
        )
    if encoder == "gene_set":
        return VectorConfig(
            name,
            dim,
            encoder="gene_set",
            members=members,
        )
    return VectorConfig(name, dim, fit_config.network.vector_hidden)
