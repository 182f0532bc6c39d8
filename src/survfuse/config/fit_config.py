"""The configuration of one model: a preset, a fusion, and one section for each concern."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, model_validator

from survfuse._errors import ConfigError
from survfuse._storage import sha256_file
from survfuse._yaml import read_yaml
from survfuse.config.frozen import Frozen, build
from survfuse.config.sections import (
    PARAMETER_NAMES,
    PARAMETERS,
    SECTIONS,
    CalibrationSettings,
    InputSettings,
    NetworkSettings,
    SearchSettings,
    SelectionSettings,
    StackSettings,
    TrainingSettings,
)

Preset = Literal["default", "paper"]
PRESETS: tuple[str, ...] = get_args(Preset)
WITHIN_A_STACK: Mapping[str, Any] = {
    "calibration": "breslow_oof",
    "conformal": None,
    "search": "none",
    "search_space": None,
    "stack_terms": {},
}
"""Parameters of every term of a stack, which needs out-of-fold risks and nothing more."""


class FitConfig(Frozen):
    """How one model is made from training patients.

    Every field has a short name without its section, its *parameter*
    (:data:`~survfuse.config.PARAMETERS`). Both are accepted wherever a configuration is made:
    ``{"network": {"rank": 8}}`` and ``{"rank": 8}`` are the same.
    """

    preset: Preset = "default"
    """The recipe that every field not given is taken from."""
    fusion: str = "anchored"
    """How modalities are combined. `anchored`: a ridge Cox of each modality alone, added with
    weights from out-of-fold risks, and pairs where they improve on that; only the attention of
    `stack.bags` is trained by gradients. The fusions of docs/fusions.md, such as `concat`, are
    trained as networks. Other packages add their own (docs/extending.md)."""
    inputs: InputSettings = InputSettings()
    """What the transforms do."""
    network: NetworkSettings = NetworkSettings()
    """Shape of a network."""
    training: TrainingSettings = TrainingSettings()
    """How a network is trained."""
    stack: StackSettings = StackSettings()
    """What only `anchored` reads."""
    selection: SelectionSettings = SelectionSettings()
    """How the number of epochs is chosen."""
    calibration: CalibrationSettings = CalibrationSettings()
    """From risks to survival curves."""
    search: SearchSettings = SearchSettings()
    """Search of hyper-parameters."""

    @classmethod
    def of(
        cls,
        preset: str = "default",
        **fields: Any,
    ) -> Self:
        """Make a configuration from a preset and the fields that differ from it.

        Raises
        ------
        ConfigError
            For an unknown preset or field, or a value outside its range.
        """
        if preset not in PRESETS:
            raise ConfigError(f"unknown preset {preset!r}; known: {', '.join(PRESETS)}")
        return build(cls, {**fields, "preset": preset}, where="model")

    @classmethod
    def suggestions(cls) -> Mapping[str, str]:
        """Names that a user may have meant, parameters too, and what to write for each."""
        return {**super().suggestions(), **PARAMETERS}

    def parameters(self) -> dict[str, Any]:
        """Value of every parameter, the preset and the fusion among them."""
        return parameters_of(dict(self))

    def identity(self) -> dict[str, Any]:
        """Every parameter, and a hash of each file that one names: all that decides a result."""
        hashes = {}
        for config in (self, *self.term_configs().values()):
            inputs = config.inputs
            for path in (inputs.expression_genes, inputs.expression_gene_sets):
                if path is not None and path.is_file():
                    hashes[str(path)] = sha256_file(path)
        parameters = parameters_of(self.model_dump(mode="json"))
        return {**parameters, "files": hashes} if hashes else parameters

    def model_copy(
        self,
        *,
        update: Mapping[str, Any] | None = None,
        deep: bool = False,
    ) -> Self:
        """Copy with other values, which are not validated; parameters are accepted as names."""
        changes = in_sections(update or {})
        for name in SECTIONS.keys() & changes.keys():
            section: Frozen = getattr(self, name)
            changes[name] = section.model_copy(update=changes[name])
        return super().model_copy(update=changes, deep=deep)

    def term_configs(self) -> dict[str, FitConfig]:
        """Configuration of each model of `stack.terms`, by name; of other models than a stack, {}.

        A term has the parameters of its stack where it gives no others.

        Raises
        ------
        ConfigError
            For an unknown field of a term, a value outside its range, or a stack in a stack.
        """
        configs: dict[str, FitConfig] = {}
        if self.fusion != "anchored":
            return configs
        inherited = {**self.parameters(), **WITHIN_A_STACK}
        for name, own in self.stack.terms.items():
            values = {**inherited, "fusion": name, **own}
            if values["fusion"] == "anchored":
                raise ConfigError(
                    f"stack.terms: {name}: a stack cannot be a term of a stack; name another model",
                )
            configs[name] = build(FitConfig, values, where=f"stack.terms.{name}")
            reads = configs[name].inputs.modalities
            if reads == () and self.inputs.modalities != ():
                raise ConfigError(
                    f"stack.terms: {name}: modalities: expected at least one, got an empty list; "
                    "leave it out for all",
                )
        return configs

    @property
    def chosen_by(self) -> str:
        """How epochs are chosen: the method of selection, or ``anchored``, which has none."""
        return "anchored" if self.fusion == "anchored" else self.selection.method

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        values = in_sections(given)
        preset = values.get("preset", "default")
        if preset not in PRESETS:
            return values
        for name, recipe in preset_values(preset).items():
            if not isinstance(recipe, Mapping):
                values.setdefault(name, recipe)
            elif isinstance(values.setdefault(name, {}), Mapping):
                values[name] = {**recipe, **values[name]}
        return values

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        network, training = self.network, self.training
        if network.head == "discrete" and training.loss == "paper":
            raise ValueError(
                "loss: 'paper' is a Cox loss; a discrete head has its own likelihood",
            )
        if network.head == "cox" and training.batch == 1:
            raise ValueError(
                "batch: a risk set of 1 patient has no gradient; take 2 or more, or 'cohort'",
            )
        if (
            network.expression_encoder == "gene_set"
            and not self.inputs.expression_gene_sets
        ):
            raise ValueError(
                "expression_encoder: 'gene_set' needs the sets: give a GMT file as "
                "inputs.expression_gene_sets",
            )
        if self.fusion == "anchored":
            self._check_stack()
        return self

    def _check_stack(self) -> None:
        """Refuse what a stack of Cox models cannot do."""
        network, training = self.network, self.training
        if network.head != "cox" or training.loss == "paper":
            raise ValueError(
                "fusion: 'anchored' is a Cox model with head 'cox' and loss 'efron' or 'breslow'; "
                f"got head {network.head!r}, loss {training.loss!r}; choose another fusion, "
                "such as concat, for these",
            )
        if network.expression_encoder != "mlp":
            raise ValueError(
                "expression_encoder: 'anchored' trains no encoder, got "
                f"{network.expression_encoder!r}; choose another fusion, such as concat, "
                "or see stack.vectors",
            )
        if training.members != 1:
            raise ValueError(
                "members: 'anchored' has one solution, nothing to average; "
                f"got {training.members}",
            )
        if network.modality_dropout:
            raise ValueError(
                "modality_dropout: 'anchored' fits each modality alone and adds nothing for a "
                f"missing one; there is no training to drop from; got "
                f"{network.modality_dropout:g}, set it to 0",
            )
        self.term_configs()


@cache
def preset_values(name: str) -> dict[str, Any]:
    """What a preset changes, by section."""
    return read_yaml(Path(__file__).parent / "presets" / f"{name}.yaml") or {}


def in_sections(values: Mapping[str, Any]) -> dict[str, Any]:
    """Move each parameter into its section; of the same field given twice the later counts.

    >>> in_sections({"preset": "paper", "rank": 8, "network": {"bins": 4}})
    {'preset': 'paper', 'network': {'rank': 8, 'bins': 4}}
    """
    result: dict[str, Any] = {}
    for name, value in values.items():
        # A key of YAML may be a number; it is refused later.
        section, _, field = PARAMETERS.get(name, str(name)).partition(".")
        if is_parameter(name, value):
            value = {field: value}
        elif name in SECTIONS and isinstance(value, BaseModel):
            value = dict(value)
        earlier = result.get(section)
        if isinstance(value, Mapping) and isinstance(earlier, Mapping):
            value = {**earlier, **value}
        result[section if field else name] = value
    return result


def is_parameter(name: str, value: Any) -> bool:
    """Whether a key is a parameter; three parameters share the name of their section."""
    if name in SECTIONS and isinstance(value, Mapping | BaseModel):
        return False
    return name in PARAMETERS


def parameters_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Take each field out of its section: the opposite of :func:`in_sections`.

    >>> parameters_of({"preset": "paper", "network": {"rank": 8}, "calibration": "km"})
    {'preset': 'paper', 'rank': 8, 'calibration': 'km'}
    """
    result: dict[str, Any] = {}
    for name, value in values.items():
        if name in SECTIONS and isinstance(value, Mapping | BaseModel):
            for field, content in dict(value).items():
                result[PARAMETER_NAMES.get(f"{name}.{field}", field)] = content
        else:
            result[name] = value
    return result
