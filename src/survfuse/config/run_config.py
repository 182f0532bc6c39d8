"""The configuration of a run: the model, the splits, the horizons; from YAML and overrides."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from survfuse._errors import ConfigError, listed
from survfuse._yaml import parse_yaml, read_yaml
from survfuse.config.fit_config import (
    PRESETS,
    FitConfig,
    in_sections,
    is_parameter,
    parameters_of,
    preset_values,
)
from survfuse.config.frozen import Frozen, build
from survfuse.config.sections import PARAMETERS

CURVE_REPEATS = 10
QUICK: Mapping[str, Any] = {
    "networks": False,
    "controls": False,
    "robustness": False,
    "learning_curve": False,
    "halves": 0,
}
"""What `quick` sets; a field that is given beside it counts all the same."""


class CrossvalConfig(Frozen):
    """How patients are split, what runs beside the model, and how intervals are computed."""

    folds: int = Field(default=5, ge=2)
    """Outer folds, by patient, stratified on the event."""
    repeats: int = Field(default=1, ge=1)
    """Independent splits into folds; from two on, intervals include how much a model depends on
    its patients."""
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
    )
    """Seed of the splits."""
    given_folds: bool = True
    """Use the folds that the cohort file names, for the first repeat."""
    split: Literal["patients", "whole_sites", "leave_one_site_out"] = "patients"
    """`whole_sites`: patients of one site share a fold. `leave_one_site_out`: one fold a site."""
    site: str = "site"
    """The group of the cohort file that names sites, for `split`."""
    splits_file: Path | None = None
    """Fixed splits of CLAM, MMP, MCAT, Patho-Bench or STAMP; overrides folds, repeats and split."""
    quick: bool = False
    """A first look: the model, the clinical baseline and the late fusion alone. Sets networks,
    controls, robustness and learning_curve to false and halves to 0, where they are not given."""
    networks: bool = True
    """Also train the network on each modality alone and without each; the ridge Cox baselines run
    always."""
    controls: bool = True
    """Also run the controls against chance, on the first repeat: outcomes permuted, epoch chosen
    on the scored fold, other seeds."""
    robustness: bool = True
    """Also let the model predict the test patients with each modality removed, with each alone, and
    with 25, 50 and 75 % of the clinical values missing: the same fits, nothing is trained."""
    seeds: int = Field(default=3, ge=1)
    """Trainings of the model that differ by seed alone, with `controls`: their spread is reported
    apart."""
    interval: Literal["influence", "nadeau_bengio", "bootstrap"] = "influence"
    """How 95 % intervals are computed: influence functions widened by how much risks depend on the
    training patients, by n_test/n_train, or by resampling patients (slow)."""
    bootstrap: int = Field(default=200, ge=0)
    """Resamples behind calibration bands, ICI, E50, E90 (0: none); five times as many behind
    `bootstrap`."""

    learning_curve: bool = False
    """Also train the model and its simple comparators on fewer patients, on the first repeat, and
    score them on the whole test folds."""
    curve_sizes: tuple[Annotated[int, Field(ge=10)], ...] | None = Field(
        default=None,
        min_length=1,
    )
    """Numbers of training patients of the learning curve; null: 50, 100 and 200, where the training
    sets are larger."""
    curve_repeats: int = Field(default=CURVE_REPEATS, ge=1)
    """Random subsamples of each size in each fold."""

    halves: int | None = Field(default=None, ge=0)
    """Pairs of models of half the patients, whose explanations of the same others are compared
    (docs/explain.md); null: 4, or none for fusions of networks, for which it takes long."""

    @model_validator(mode="before")
    @classmethod
    def _fill_quick(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("quick") is True:
            return {**QUICK, **values}
        return values

    @model_validator(mode="after")
    def _check_curve(self) -> Self:
        changed = self.curve_sizes is not None or self.curve_repeats != CURVE_REPEATS
        if changed and not self.learning_curve:
            raise ValueError(
                "curve_sizes and curve_repeats are for the learning curve: also set "
                "learning_curve to true (--learning-curve)",
            )
        return self

    @model_validator(mode="after")
    def _check_repeats(self) -> Self:
        if self.split == "leave_one_site_out" and self.repeats > 1:
            raise ValueError(
                "split leave_one_site_out has one repeat: there is one way to leave each site out",
            )
        return self


class RunConfig(Frozen):
    """Everything about one run."""

    model: FitConfig = FitConfig()
    """The model."""
    crossval: CrossvalConfig = CrossvalConfig()
    """The splits."""
    horizons: tuple[float, ...] | None = None
    """Times, in the cohort's unit, at which survival is predicted; null: those of the cohort file,
    or 1, 3, 5 years."""
    tau: float | None = Field(default=None, gt=0)
    """Truncation time of Uno's C; null takes the last horizon."""


def load_config(
    path: Path | str | None,
    overrides: Sequence[str] = (),
    note: Callable[[str], None] | None = None,
) -> RunConfig:
    """Read a run configuration from YAML (or start from the defaults) and apply overrides.

    Parameters
    ----------
    path : path, optional
        A YAML file.
    overrides : sequence of str
        ``KEY=VALUE`` each, such as ``model.network.rank=32``.
    note : callable, optional
        Is called with a sentence for each source that uses names from before there were sections.

    Raises
    ------
    ConfigError
        When the file is absent, is not a YAML mapping, or a field is wrong.
    """
    where = str(path or "config")
    notes = []
    values: Any = {} if path is None else read_yaml(path) or {}
    if not isinstance(values, Mapping):
        kind = type(values).__name__
        raise ConfigError(f"{path}: expected a mapping of sections, got {kind}")
    model = values.get("model")
    if isinstance(model, Mapping):
        renamed = _renamed_keys(model, where)
        if renamed:
            notes.append(f"{where}: fields now have sections; read {listed(renamed)}")
        values = {**values, "model": in_sections(model)}

    def rename(name: str, value: Any) -> str:
        current = _path_in_sections(name, value)
        if current != name:
            notes.append(f"--set {name} is now --set {current}")
        return current

    changes = _parse_overrides(overrides, rename)
    if note is not None:
        for message in notes:
            note(message)
    _refuse_preset_without_effect(values, changes.get("model.preset"), where)
    return build(RunConfig, _apply(values, changes), where=where)


def _renamed_keys(
    model: Mapping[str, Any],
    where: str,
) -> list[str]:
    """Old keys of the section `model` and their new paths."""
    renamed = []
    for name, value in model.items():
        if not is_parameter(name, value):
            continue
        path = PARAMETERS[name]
        section, _, field = path.partition(".")
        other = model.get(section)
        if isinstance(other, Mapping) and field in other:
            raise ConfigError(
                f"{where}: model.{name} and model.{path} are the same field; give one",
            )
        renamed.append(f"model.{name} as model.{path}")
    return renamed


def _path_in_sections(path: str, value: Any) -> str:
    """Path of the field that an override names, perhaps by its parameter."""
    top, _, rest = path.partition(".")
    name, dot, deeper = rest.partition(".")
    # model.search.trials is a path already; model.search=grid is the parameter.
    if top != "model" or not is_parameter(name, {} if deeper else value):
        return path
    return f"model.{PARAMETERS[name]}{dot}{deeper}"


def apply_overrides(
    values: Mapping[str, Any],
    overrides: Sequence[str],
) -> dict[str, Any]:
    """Apply ``a.b=c`` overrides (values are YAML) to nested mappings.

    Examples
    --------
    >>> apply_overrides({"network": {"rank": 16}}, ["network.rank=32", "folds=3"])
    {'network': {'rank': 32}, 'folds': 3}
    """
    return _apply(values, _parse_overrides(overrides, lambda path, value: path))


def _parse_overrides(
    overrides: Sequence[str],
    rename: Callable[[str, Any], str],
) -> dict[str, Any]:
    """Path of each override, as `rename` returns it, and its value."""
    changes: dict[str, Any] = {}
    for text in overrides:
        path, equals, value_text = text.partition("=")
        if not equals or not path:
            raise ConfigError(
                f"--set {text}: expected KEY=VALUE, such as model.network.rank=32",
            )
        value = parse_yaml(value_text, f"--set {text}")
        path_now = rename(path, value)
        if path_now in changes:
            raise ConfigError(f"--set {text}: {path} is given twice; give it once")
        changes[path_now] = value
    return changes


def _apply(
    values: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> dict[str, Any]:
    result = copy.deepcopy(dict(values))
    for path, value in changes.items():
        *parents, name = path.split(".")
        node: dict[str, Any] = result
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"--set {path}: {parent!r} is a value, not a section")
        node[name] = value
    return result


def _refuse_preset_without_effect(
    values: Mapping[str, Any],
    preset: str | None,
    where: str,
) -> None:
    """Refuse another preset over a file that gives its fields: the values of the file would win."""
    model = values.get("model")
    if preset not in PRESETS or not isinstance(model, Mapping):
        return
    recipe = parameters_of(preset_values(preset))
    shared = sorted(recipe.keys() & parameters_of(model).keys())
    if shared and model.get("preset", "default") != preset:
        raise ConfigError(
            f"{where}: gives {', '.join(shared[:4])}… itself, so that preset {preset!r} "
            "would change the name alone; take those fields out of the file, or start without it",
        )


def to_yaml(config: Frozen) -> str:
    """Write every field, given or not, so that the file alone repeats the run."""
    return yaml.safe_dump(
        config.model_dump(mode="json"),
        sort_keys=False,
        allow_unicode=True,
    )
