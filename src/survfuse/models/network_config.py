"""The shape of a network, as JSON-able values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from torch import nn

from survfuse._errors import ConfigError, listed
from survfuse.config import FitConfig
from survfuse.models.encoders import ENCODERS, check_members
from survfuse.models.fusion import FUSIONS
from survfuse.models.heads import HEADS
from survfuse.models.pooling import POOLINGS

T = TypeVar("T")

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
        _positive(self.name, (self.input_dim, self.width, self.attention_width))
        POOLINGS[self.pooling]


@dataclass(frozen=True)
class MeanTileConfig:
    """A modality of many tiles per patient whose mean tile is read, after an attention embedding if asked.

    Attributes
    ----------
    name : str
        The modality.
    input_dim : int
        Features of a tile.
    width, attention_width : int
        Of the attention branch; both 0: the mean tile alone.
    """

    name: str
    input_dim: int
    width: int = 0
    attention_width: int = 0
    kind: Literal["mean_tile"] = "mean_tile"

    def __post_init__(self) -> None:
        widths = (
            (self.width, self.attention_width)
            if self.width or self.attention_width
            else ()
        )
        _positive(self.name, (self.input_dim, *widths))


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
    members: tuple[tuple[int, ...], ...] = ()
    kind: Literal["vector"] = "vector"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        object.__setattr__(self, "members", check_members(self.members))
        ENCODERS[self.encoder]
        if len(self.hidden) > MOST_LAYERS:
            raise ConfigError(
                f"modality {self.name!r}: at most {MOST_LAYERS} layers, got {len(self.hidden)}",
            )
        _positive(self.name, (self.input_dim, *self.hidden))

    @property
    def encoded(self) -> bool:
        """Whether anything stands between the vector and the fusion."""
        return bool(self.hidden) or self.encoder != "mlp"


ModalityConfig = BagConfig | MeanTileConfig | VectorConfig


def _positive(name: str, widths: tuple[int, ...]) -> None:
    if any(type(width) is not int or width < 1 for width in widths):
        raise ConfigError(
            f"modality {name!r}: widths must be whole numbers >= 1, got {listed(widths)}",
        )


@dataclass(frozen=True)
class NetworkConfig:
    """Everything that shapes a network; with its state dict it is the network.

    Attributes
    ----------
    modalities : tuple of BagConfig, MeanTileConfig and VectorConfig
        In the order in which the fusion meets them.
    fusion : str
        A name in the fusion registry.
    rank, pair_width, raw_pair_width, residual_width, tensor_width, query_tokens : int
        See :class:`~survfuse.models.fusion.FusionSizes`.
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
    rank: int = 16
    pair_width: int = 16
    raw_pair_width: int | None = None
    residual_width: int = 32
    tensor_width: int = 8
    query_tokens: int = 6
    head: str = "cox"
    bins: int = 8
    dropout: float = 0.25
    input_dropout: float = 0.0
    modality_dropout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple(self.modalities))
        names = self.names
        if not names:
            raise ConfigError("a network needs at least one modality")
        if len(names) > MOST_MODALITIES:
            raise ConfigError(
                f"a network takes at most {MOST_MODALITIES} modalities, got {len(names)}",
            )
        if len(set(names)) < len(names):
            raise ConfigError(f"modality names must differ, got {', '.join(names)}")
        for name in names:
            _refuse_name(name)
        FUSIONS[self.fusion]
        HEADS[self.head]
        sizes = (
            self.rank,
            self.pair_width,
            self.residual_width,
            self.tensor_width,
            self.query_tokens,
        )
        _positive("(fusion and head)", (*sizes, self.bins, self.raw_pair_width or 1))
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
        kinds: dict[str, type[ModalityConfig]] = {
            "bag": BagConfig,
            "mean_tile": MeanTileConfig,
            "vector": VectorConfig,
        }
        modalities = []
        for given in values.get("modalities", ()):
            if not isinstance(given, Mapping) or given.get("kind") not in kinds:
                raise ConfigError(
                    f"network: a modality is a mapping of kind {', '.join(kinds)}, got {given!r}",
                )
            modalities.append(_from_fields(kinds[given["kind"]], given))
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


def _refuse_name(name: str) -> None:
    if (
        not isinstance(name, str)
        or not name
        or "." in name
        or "*" in name
        or hasattr(nn.ModuleDict(), name)
    ):
        raise ConfigError(
            f"modality name {name!r} cannot name a part of a network (empty, reserved, or holds '.' or '*'); "
            "rename it",
        )


Members = tuple[tuple[int, ...], ...]


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
        Its network section is read.
    dims : mapping of modality to int
        Input features after the transforms, in the order of the fusion.
    kinds : mapping of modality to str
        ``bag``, ``clinical`` (encoded by `clinical_hidden`), ``expression`` or
        ``table`` (encoded by `vector_hidden`; expression as `expression_encoder` says).
    members : mapping of modality to tuple of tuple of int, optional
        Inputs of each gene set, where the transforms hand over gene sets to be weighed.

    Raises
    ------
    ConfigError
        For an unknown kind.
    """

    def branch(name: str, dim: int) -> BagConfig | VectorConfig:
        match kinds.get(name):
            case "bag":
                return BagConfig(
                    name,
                    dim,
                    fit_config.bag_width,
                    fit_config.attention_width,
                    fit_config.bag_pooling,
                )
            case "clinical":
                return VectorConfig(name, dim, fit_config.clinical_hidden)
            case "expression" if fit_config.expression_encoder == "linear":
                return VectorConfig(
                    name,
                    dim,
                    encoder="linear",
                    width=fit_config.expression_width,
                )
            case "expression" if fit_config.expression_encoder == "gene_set":
                return VectorConfig(
                    name,
                    dim,
                    encoder="gene_set",
                    members=(members or {}).get(name, ()),
                )
            case "expression" | "table":
                return VectorConfig(name, dim, fit_config.vector_hidden)
        raise ConfigError(
            f"modality {name!r}: kind must be bag, clinical, expression or table, got {kinds.get(name)!r}",
        )

    return NetworkConfig(
        modalities=tuple(branch(name, dim) for name, dim in dims.items()),
        fusion=fit_config.fusion,
        rank=fit_config.rank,
        pair_width=fit_config.pair_width,
        raw_pair_width=fit_config.raw_pair_width,
        residual_width=fit_config.residual_width,
        tensor_width=fit_config.tensor_width,
        query_tokens=fit_config.query_tokens,
        head=fit_config.head,
        bins=fit_config.bins,
        dropout=fit_config.dropout,
        input_dropout=fit_config.input_dropout,
        modality_dropout=fit_config.modality_dropout,
    )
